//! Lambda functions as local commands or at an endpoint.

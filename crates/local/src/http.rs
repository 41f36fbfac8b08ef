//! The HTTP server: limits on size, time and connections.

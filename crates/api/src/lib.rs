//! Every HTTP surface, host-agnostic: the CodePipeline protocol, webhooks, approval pages.

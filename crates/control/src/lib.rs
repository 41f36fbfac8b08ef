//! The use cases, the ports they need, and what is stored.

//! What all functions share: start-up, batches, error names.

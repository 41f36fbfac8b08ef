//! Programs under a supervising copy of the binary, in process groups of their own that end with their parent.

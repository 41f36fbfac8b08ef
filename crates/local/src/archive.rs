//! Packs and unpacks artifacts as zip archives, with file modes and symbolic links kept and path traversal refused.

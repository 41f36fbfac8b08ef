//! The artifact store as files below the data directory.

//! `penstock.toml`: which local stand-in serves which name.

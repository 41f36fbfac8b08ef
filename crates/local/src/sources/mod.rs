//! Sources from directories, files and git repositories.

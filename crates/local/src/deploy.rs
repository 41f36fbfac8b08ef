//! S3 deploys to a directory.

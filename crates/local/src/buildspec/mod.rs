//! CodeBuild in a scratch directory: buildspec v0.2.

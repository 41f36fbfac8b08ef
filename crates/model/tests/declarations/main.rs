//! Validation against whole declarations: real ones, mutated ones and rubbish.

mod corpus;

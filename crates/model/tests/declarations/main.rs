//! Validation against whole declarations: real ones, mutated ones and rubbish.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod rubbish;

//! Where something stands in a document, as a JSON path (`$.stages[1].actions[0].runOrder`).

use std::fmt::{self, Write};

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// The document itself.
    Root,
    /// A member of an object.
    Field(&'a str),
    /// An element of a list, from 0.
    Index(usize),
}

/// A place, as a chain of steps on the stack: it costs nothing until it is written into a finding.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

impl Place<'static> {
    /// The document itself, `$`.
    pub const ROOT: Self = Self { parent: None, step: Step::Root };
}

impl<'a> Place<'a> {
    /// A member of the object here.
    pub fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the list here, from 0.
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        write_step(f, self.step)
    }
}

/// Writes one step as a JSON path has it: names that are not plain words in brackets and quotes.
pub(crate) fn write_step(out: &mut impl Write, step: Step<'_>) -> fmt::Result {
    match step {
        Step::Root => out.write_char('$'),
        Step::Index(index) => write!(out, "[{index}]"),
        Step::Field(name) if is_plain(name) => write!(out, ".{name}"),
        Step::Field(name) => write!(out, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
    }
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// One step of a path read from text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum OwnedStep {
    Field(String),
    Index(usize),
}

/// Reads a path as [`Place`] writes it; `None` when it is not one.
pub(crate) fn parse_path(path: &str) -> Option<Vec<OwnedStep>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, left) = parse_step(rest)?;
        steps.push(step);
        rest = left;
    }
    Some(steps)
}

fn parse_step(text: &str) -> Option<(OwnedStep, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        return Some((OwnedStep::Field(rest[..end].to_owned()), &rest[end..]));
    }
    if let Some(rest) = text.strip_prefix("['") {
        return parse_quoted(rest);
    }
    let rest = text.strip_prefix('[')?;
    let end = rest.find(']')?;
    Some((OwnedStep::Index(rest[..end].parse().ok()?), &rest[end + 1..]))
}

fn parse_quoted(text: &str) -> Option<(OwnedStep, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '\'' => return Some((OwnedStep::Field(name), text[at + 1..].strip_prefix(']')?)),
            c => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_and_read_back() {
        let stages = Place::ROOT.field("stages");
        let stage = stages.index(1);
        let odd = stage.field("us-east-1");
        let odder = odd.field("it's \\ [x]");
        assert_eq!(odder.to_string(), r"$.stages[1]['us-east-1']['it\'s \\ [x]']");
        assert_eq!(
            parse_path(&odder.to_string()),
            Some(vec![
                OwnedStep::Field("stages".into()),
                OwnedStep::Index(1),
                OwnedStep::Field("us-east-1".into()),
                OwnedStep::Field("it's \\ [x]".into()),
            ])
        );
        assert_eq!(parse_path("$"), Some(vec![]));
        for wrong in ["", "stages", "$[x]", "$['a'", "$x"] {
            assert_eq!(parse_path(wrong), None, "{wrong}");
        }
    }
}

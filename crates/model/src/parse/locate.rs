//! Finds the text that JSON paths stand for, to show findings in their file. Runs only when there is a finding; however
//! many there are, the text is read once.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};
use serde_json::value::RawValue;

use crate::place::{OwnedStep, parse_path};

/// The bytes of `text` that `path` of a finding stands for: a scalar's value, or the key of what is larger; of what is
/// not there (a missing field), the nearest that holds it. Looks into the envelope too. `None` when the text cannot be
/// read or the path is none.
pub fn locate(text: &str, path: &str) -> Option<Range<usize>> {
    Places::of(text).locate(path)
}

/// Where everything in a text stands, for several findings.
pub struct Places<'t> {
    text: &'t str,
    nodes: Vec<Node<'t>>,
    /// Bytes of a mark at the text's beginning that belongs to nothing.
    skipped: usize,
}

/// A value, by its place in the list of all; the first is the whole text.
struct Node<'t> {
    range: Range<usize>,
    children: Children<'t>,
}

enum Children<'t> {
    None,
    /// JSON that nobody asked about yet.
    Unread(&'t RawValue),
    List(Vec<usize>),
    Fields(HashMap<String, usize>),
}

impl<'t> Places<'t> {
    /// Reads a text; JSON only as far as it is asked about.
    pub fn of(text: &'t str) -> Self {
        let body = text.trim_start_matches('\u{FEFF}');
        let nodes = match serde_json::from_str::<&RawValue>(body) {
            Ok(root) => {
                let start = start_in(body, root);
                vec![Node { range: first_line(body, start), children: Children::Unread(root) }]
            }
            Err(_) => yaml_nodes(body),
        };
        let skipped = text.len() - body.len();
        Self { text: body, nodes, skipped }
    }

    /// As [`locate`], in the text that it was made of.
    pub fn locate(&mut self, path: &str) -> Option<Range<usize>> {
        let steps = parse_path(path)?;
        let outer = self.find(0, &steps)?;
        let envelope = self.child(0, &OwnedStep::Field("pipeline".into()));
        // With an envelope, `$.tags` is found whole outside only.
        let inner = envelope.and_then(|envelope| self.find(envelope, &steps)).map(|found| (found.0 + 1, found.1));
        let (_, node) = inner.filter(|inner| inner.0 > outer.0).unwrap_or(outer);
        let range = &self.nodes.get(node)?.range;
        Some(range.start + self.skipped..range.end + self.skipped)
    }

    /// The deepest step of a path that is there, and how deep.
    fn find(&mut self, from: usize, steps: &[OwnedStep]) -> Option<(usize, usize)> {
        self.nodes.get(from)?;
        let mut found = (0, from);
        for step in steps {
            let Some(next) = self.child(found.1, step) else { break };
            found = (found.0 + 1, next);
        }
        Some(found)
    }

    fn child(&mut self, of: usize, step: &OwnedStep) -> Option<usize> {
        if let Children::Unread(value) = self.nodes.get(of)?.children {
            let children = self.read(value);
            self.nodes.get_mut(of)?.children = children;
        }
        match (&self.nodes.get(of)?.children, step) {
            (Children::List(items), OwnedStep::Index(index)) => items.get(*index).copied(),
            (Children::Fields(fields), OwnedStep::Field(name)) => fields.get(name).copied(),
            (Children::None | Children::Unread(_) | Children::List(_) | Children::Fields(_), _) => None,
        }
    }

    /// The children of a JSON value, put behind all others.
    fn read(&mut self, value: &'t RawValue) -> Children<'t> {
        let text = self.text;
        let mut put = |value: &'t RawValue, step: &OwnedStep| {
            self.nodes.push(Node { range: json_range(text, value, step), children: Children::Unread(value) });
            self.nodes.len() - 1
        };
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            let numbered = items.into_iter().enumerate();
            Children::List(numbered.map(|(index, item)| put(item, &OwnedStep::Index(index))).collect())
        } else if let Ok(fields) = serde_json::from_str::<HashMap<String, &RawValue>>(value.get()) {
            let mut places = HashMap::with_capacity(fields.len());
            for (name, field) in fields {
                let place = put(field, &OwnedStep::Field(name.clone()));
                places.insert(name, place);
            }
            Children::Fields(places)
        } else {
            Children::None
        }
    }
}

/// Raw values are slices of the text that they were read from.
fn start_in(text: &str, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

fn json_range(text: &str, value: &RawValue, step: &OwnedStep) -> Range<usize> {
    let start = start_in(text, value);
    if !value.get().starts_with(['{', '[']) {
        return start..start + value.get().len();
    }
    let OwnedStep::Field(name) = step else { return first_line(text, start) };
    let before = text[..start].trim_end().strip_suffix(':').map_or("", str::trim_end);
    let key = serde_json::to_string(name).unwrap_or_default();
    if before.ends_with(&key) { before.len() - key.len()..before.len() } else { first_line(text, start) }
}

/// From `start` to the end of its line.
fn first_line(text: &str, start: usize) -> Range<usize> {
    let line = text[start..].lines().next().unwrap_or_default().trim_end();
    start..start + line.len()
}

/// Every value of a YAML text, up to where it cannot be read.
fn yaml_nodes<'t>(text: &'t str) -> Vec<Node<'t>> {
    let mut walk = Walk { text, characters: Characters::of(text), frames: Vec::new(), nodes: Vec::new() };
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        walk.take(&event, span);
    }
    walk.nodes
}

struct Walk<'t> {
    text: &'t str,
    characters: Characters,
    frames: Vec<Level>,
    nodes: Vec<Node<'t>>,
}

/// A list or object that is not yet closed.
struct Level {
    node: usize,
    /// The key of the value that comes next, with its place.
    key: Option<(String, Range<usize>)>,
}

impl Walk<'_> {
    fn take(&mut self, event: &Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, ..) => match self.frames.last() {
                Some(Level { node, key: None }) if matches!(self.nodes[*node].children, Children::Fields(_)) => {
                    let key = Some((text.to_string(), self.characters.bytes(self.text, span)));
                    if let Some(level) = self.frames.last_mut() {
                        level.key = key;
                    }
                }
                Some(_) | None => drop(self.arrive(span, Children::None)),
            },
            Event::Alias(_) => drop(self.arrive(span, Children::None)),
            Event::SequenceStart(..) => {
                let node = self.arrive(span, Children::List(Vec::new()));
                self.frames.push(Level { node, key: None });
            }
            Event::MappingStart(..) => {
                let node = self.arrive(span, Children::Fields(HashMap::new()));
                self.frames.push(Level { node, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => drop(self.frames.pop()),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    /// Notes a value; where it stands among all.
    fn arrive(&mut self, span: Span, children: Children<'static>) -> usize {
        let own = self.characters.bytes(self.text, span);
        let node = self.nodes.len();
        let mut range = match children {
            Children::None => own,
            Children::Unread(_) | Children::List(_) | Children::Fields(_) => first_line(self.text, own.start),
        };
        if let Some(level) = self.frames.last_mut()
            && let Some(parent) = self.nodes.get_mut(level.node)
        {
            match (&mut parent.children, level.key.take()) {
                (Children::List(items), _) => items.push(node),
                (Children::Fields(fields), Some((name, key))) => {
                    if !matches!(children, Children::None) {
                        range = key;
                    }
                    // Of a name that stands there twice, the last is the one that is read.
                    fields.insert(name, node);
                }
                (Children::None | Children::Unread(_) | Children::Fields(_), _) => {}
            }
        }
        self.nodes.push(Node { range, children });
        node
    }
}

/// The YAML reader counts characters; this finds their bytes.
struct Characters {
    /// The byte of every 256th character; none in a text where each is a byte.
    starts: Option<Vec<usize>>,
}

impl Characters {
    const STEP: usize = 256;

    fn of(text: &str) -> Self {
        let starts = || text.char_indices().step_by(Self::STEP).map(|(at, _)| at).collect();
        Self { starts: (!text.is_ascii()).then(starts) }
    }

    fn bytes(&self, text: &str, span: Span) -> Range<usize> {
        let start = self.byte(text, span.start.index());
        start..self.byte(text, span.end.index()).max(start)
    }

    fn byte(&self, text: &str, index: usize) -> usize {
        let Some(starts) = &self.starts else { return index.min(text.len()) };
        let Some(from) = starts.get(index / Self::STEP) else { return text.len() };
        let rest = text[*from..].char_indices().nth(index % Self::STEP);
        rest.map_or(text.len(), |(at, _)| from + at)
    }
}

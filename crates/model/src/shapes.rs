//! The API model as a table: every operation, error and shape of CodePipeline's API with its constraints, read once.
//!
//! [`validate`] checks any value against any shape; the accessors let a server decode and encode by table.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::finding::{Finding, Findings};
use crate::place::Place;

mod check;
#[cfg(test)]
mod tests;

pub(crate) use check::quote;

/// One operation of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// The shape of its request.
    pub input: String,
    /// The shape of its response; an empty response when absent.
    #[serde(default)]
    pub output: Option<String>,
    /// The errors that it may answer with.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Whether it may be repeated without harm.
    #[serde(default)]
    pub idempotent: bool,
    /// How its answers are paged, if they are.
    #[serde(default)]
    pub paginator: Option<Paginator>,
}

/// How the answers of an operation are paged.
#[derive(Clone, Debug, Deserialize)]
pub struct Paginator {
    /// The field of the request that says where to go on.
    pub input_token: String,
    /// The field of the response that says where to go on.
    pub output_token: String,
    /// The field of the request that limits a page.
    #[serde(default)]
    pub limit_key: Option<String>,
    /// The field of the response that holds the items.
    pub result_key: String,
}

/// One error of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorShape {
    /// Its fields, each with its shape.
    pub members: BTreeMap<String, String>,
    /// Its HTTP status; 400 unless the model says otherwise.
    #[serde(default = "bad_request")]
    pub http_status: u16,
}

fn bad_request() -> u16 {
    400
}

/// One shape of the API.
#[derive(Debug)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether its value must not be shown.
    pub sensitive: bool,
}

/// What a shape is, with its constraints.
#[derive(Debug)]
pub enum Kind {
    /// Text.
    String {
        /// The fewest and the most characters.
        length: Bounds,
        /// What the whole text must match.
        pattern: Option<Pattern>,
        /// The fixed words, if it is one of some.
        values: Vec<String>,
    },
    /// A whole number of 32 bits.
    Integer {
        /// The smallest and the largest value.
        range: Bounds,
    },
    /// true or false.
    Boolean,
    /// Seconds since 1970, with a fraction.
    Timestamp,
    /// A list.
    List {
        /// The shape of its elements.
        member: ShapeRef,
        /// The fewest and the most elements.
        count: Bounds,
    },
    /// A map.
    Map {
        /// The shape of its keys.
        key: ShapeRef,
        /// The shape of its values.
        value: ShapeRef,
        /// The fewest and the most entries.
        count: Bounds,
    },
    /// An object with known fields.
    Structure {
        /// Its fields, sorted by name.
        members: Vec<Member>,
    },
}

/// Where one shape uses another.
#[derive(Clone, Copy, Debug)]
pub struct ShapeRef(usize);

impl ShapeRef {
    /// The shape itself.
    pub fn shape(self) -> &'static Shape {
        &TABLE.shapes[self.0]
    }
}

/// A field of a structure.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: ShapeRef,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is an idempotency token: a client makes one up when its user gives none.
    pub idempotency_token: bool,
}

/// A lower and an upper limit, either of which may be open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The smallest value or count that is allowed.
    pub min: Option<i64>,
    /// The largest value or count that is allowed.
    pub max: Option<i64>,
}

impl Bounds {
    /// Whether `value` lies within.
    pub fn contain(self, value: i64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }

    /// The limits in words: `1 to 100`, `at most 50`, `at least 1`.
    pub fn describe(self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => format!("exactly {min}"),
            (Some(min), Some(max)) if min > 0 => format!("{min} to {max}"),
            (_, Some(max)) => format!("at most {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, None) => "any number".into(),
        }
    }
}

/// A pattern that a whole text must match; compiled when it is first needed.
#[derive(Debug)]
pub struct Pattern {
    /// The pattern as the API model has it.
    pub source: String,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(source: String) -> Self {
        Self { source, regex: OnceLock::new() }
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_none_or(|regex| regex.is_match(text))
    }

    /// `\w` is ASCII in the service's patterns, and stands only within brackets there.
    fn regex(&self) -> Option<&Regex> {
        let compile = || Regex::new(&format!(r"\A(?:{})\z", self.source.replace(r"\w", "0-9A-Za-z_"))).ok();
        self.regex.get_or_init(compile).as_ref()
    }
}

/// The name of an operation's target in the JSON 1.1 protocol's header, before the dot.
pub fn target_prefix() -> &'static str {
    &TABLE.target_prefix
}

/// An operation by its name.
pub fn operation(name: &str) -> Option<&'static Operation> {
    TABLE.operations.get(name)
}

/// Every operation with its name, sorted.
pub fn operations() -> impl Iterator<Item = (&'static str, &'static Operation)> {
    TABLE.operations.iter().map(|(name, operation)| (name.as_str(), operation))
}

/// An error by its name.
pub fn error(name: &str) -> Option<&'static ErrorShape> {
    TABLE.errors.get(name)
}

/// Every error with its name, sorted.
pub fn errors() -> impl Iterator<Item = (&'static str, &'static ErrorShape)> {
    TABLE.errors.iter().map(|(name, error)| (name.as_str(), error))
}

/// A shape by its name.
pub fn shape(name: &str) -> Option<&'static Shape> {
    TABLE.by_name.get(name).map(|index| &TABLE.shapes[*index])
}

impl Shape {
    /// The fields of a structure; nothing for other kinds.
    pub fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Structure { members } => members,
            Kind::String { .. }
            | Kind::Integer { .. }
            | Kind::Boolean
            | Kind::Timestamp
            | Kind::List { .. }
            | Kind::Map { .. } => &[],
        }
    }

    /// A field of a structure by its name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        let members = self.members();
        members.binary_search_by(|member| member.name.as_str().cmp(name)).ok().map(|index| &members[index])
    }
}

/// Every way in which `value` is not of the named shape. `null` for a field counts as its absence, as it does in the
/// API's JSON. An unknown shape name is a fault of the caller: nothing is checked then.
pub fn validate(shape_name: &str, value: &Value) -> Vec<Finding> {
    let mut findings = Findings::default();
    validate_into(shape_name, value, &Place::ROOT, &mut findings);
    findings.into_vec()
}

/// [`validate`], for a value that stands at `place`.
pub(crate) fn validate_into(shape_name: &str, value: &Value, place: &Place<'_>, findings: &mut Findings) {
    match shape(shape_name) {
        Some(shape) => check::check(shape, value, place, findings),
        None => debug_assert!(false, "no shape {shape_name}"),
    }
}

/// The table, with shapes by index so that they can refer to one another.
#[derive(Default)]
struct Table {
    target_prefix: String,
    operations: BTreeMap<String, Operation>,
    errors: BTreeMap<String, ErrorShape>,
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
}

/// The file is part of the program; a test holds that it is read whole.
static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("codepipeline_api.json")).unwrap_or_default());

#[derive(Deserialize)]
struct RawTable {
    target_prefix: String,
    operations: BTreeMap<String, Operation>,
    errors: BTreeMap<String, ErrorShape>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(rename = "type")]
    kind: String,
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<String>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: BTreeMap<String, String>,
    idempotency_token: Option<String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

fn read(text: &str) -> Option<Table> {
    let raw: RawTable = serde_json::from_str(text).ok()?;
    let by_name: HashMap<String, usize> =
        raw.shapes.keys().enumerate().map(|(index, name)| (name.clone(), index)).collect();
    let shapes = raw.shapes.into_iter().map(|(name, shape)| resolve(name, shape, &by_name)).collect::<Option<_>>()?;
    let RawTable { target_prefix, operations, errors, .. } = raw;
    Some(Table { target_prefix, operations, errors, shapes, by_name })
}

fn resolve(name: String, raw: RawShape, by_name: &HashMap<String, usize>) -> Option<Shape> {
    let refer = |name: &Option<String>| by_name.get(name.as_ref()?).copied().map(ShapeRef);
    let bounds = Bounds { min: raw.min, max: raw.max };
    let kind = match raw.kind.as_str() {
        "string" => Kind::String { length: bounds, pattern: raw.pattern.map(Pattern::new), values: raw.values },
        "integer" => Kind::Integer { range: bounds },
        "boolean" => Kind::Boolean,
        "timestamp" => Kind::Timestamp,
        "list" => Kind::List { member: refer(&raw.member)?, count: bounds },
        "map" => Kind::Map { key: refer(&raw.key)?, value: refer(&raw.value)?, count: bounds },
        "structure" => Kind::Structure {
            members: raw
                .members
                .iter()
                .map(|(name, shape)| {
                    Some(Member {
                        name: name.clone(),
                        shape: ShapeRef(*by_name.get(shape)?),
                        required: raw.required.contains(name),
                        idempotency_token: raw.idempotency_token.as_ref() == Some(name),
                    })
                })
                .collect::<Option<_>>()?,
        },
        _ => return None,
    };
    Some(Shape { name, kind, sensitive: raw.sensitive })
}

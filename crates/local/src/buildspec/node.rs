//! YAML as a buildspec needs it: every scalar as it is written, so that `1.10` stays a version and `yes` a word.

use saphyr::{ScalarStyle, Yaml, YamlLoader};
use saphyr_parser::Parser;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing.
    Null,
    /// A scalar, as it is written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a text that holds one document.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut loader = YamlLoader::<Yaml<'_>>::default();
        loader.early_parse(false);
        let place = |error: &saphyr::ScanError| {
            let marker = error.marker();
            format!("line {}, column {}: {}", marker.line(), marker.col() + 1, error.info())
        };
        Parser::new_from_str(text).load(&mut loader, true).map_err(|error| place(&error))?;
        if let Some(error) = loader.error() {
            return Err(place(error));
        }
        let documents = loader.into_documents();
        match documents.as_slice() {
            [] => Ok(Self::Null),
            [document] => Self::of(document),
            _ => Err("there are several documents; a buildspec is one".into()),
        }
    }

    fn of(yaml: &Yaml<'_>) -> Result<Self, String> {
        match yaml {
            Yaml::Representation(text, ScalarStyle::Plain, None) if matches!(&**text, "" | "~" | "null") => {
                Ok(Self::Null)
            }
            Yaml::Representation(text, _, _) => Ok(Self::Text(text.clone().into_owned())),
            Yaml::Sequence(items) => items.iter().map(Self::of).collect::<Result<_, _>>().map(Self::List),
            Yaml::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| match Self::of(key)? {
                    Self::Text(key) => Ok((key, Self::of(value)?)),
                    Self::Null | Self::List(_) | Self::Map(_) => Err("a key must be a word".to_owned()),
                })
                .collect::<Result<_, _>>()
                .map(Self::Map),
            Yaml::Tagged(_, inner) => Self::of(inner),
            Yaml::Value(_) | Yaml::Alias(_) | Yaml::BadValue => Err("there is a value that cannot be read".into()),
        }
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

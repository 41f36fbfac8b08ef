//! Writes the fields of API objects: absent and empty ones are left out, long ones are cut to what the API model allows.

use model::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// An API object as it is written.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// A field that is always there.
    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        // Names, statuses and maps of text always serialize; null would mean absent.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        if !value.is_null() {
            self.0.insert(name.into(), value);
        }
        self
    }

    /// A field that is there if it has a value.
    pub(crate) fn maybe(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Text of 1 to `max` characters: empty text is left out, longer text is cut.
    pub(crate) fn text(self, name: &str, value: Option<&str>, max: usize) -> Self {
        self.maybe(name, text(value, max))
    }

    /// An address of 1 to 2,048 characters; a longer one would be wrong if cut, and is left out.
    pub(crate) fn url(self, name: &str, value: Option<&str>) -> Self {
        self.maybe(name, url(value))
    }

    /// Seconds since 1970.
    pub(crate) fn time(self, name: &str, at: Timestamp) -> Self {
        self.with(name, at.as_epoch_seconds())
    }

    /// An object; left out when it is empty.
    pub(crate) fn object(self, name: &str, object: Fields) -> Self {
        if object.0.is_empty() { self } else { self.with(name, object.0) }
    }

    /// The object, finished.
    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// Text of 1 to `max` characters: none for empty text, longer text is cut.
pub(crate) fn text(value: Option<&str>, max: usize) -> Option<&str> {
    value.filter(|text| !text.is_empty()).map(|text| cut(text, max))
}

/// An address of 1 to 2,048 characters; none for what would be wrong if cut.
pub(crate) fn url(value: Option<&str>) -> Option<&str> {
    value.filter(|url| !url.is_empty() && url.chars().count() <= 2048)
}

/// At most `max` characters of `text`.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}

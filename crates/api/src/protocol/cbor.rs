//! CBOR as the Smithy RPC v2 protocol uses it: a body becomes the JSON value of the same meaning and back, by the API
//! model's table.

use ciborium_ll::{Decoder, Encoder, Header, simple};
use model::shapes::{Kind, Shape};
use serde_json::{Map, Number, Value};

use super::MAX_VALUES;
use crate::error::ApiError;

/// The deepest nesting that is read.
const MAX_DEPTH: usize = 128;
/// The tag of a time in seconds since 1970.
const EPOCH_SECONDS: u64 = 1;

/// Reads a request's body: one map; nothing counts as an empty one.
///
/// # Errors
///
/// `SerializationException` for what is not one map with text as keys, for a key that stands twice, for byte strings and
/// tags other than times, for integers beyond 64 bits, and for too many values or too deep a nesting.
pub(super) fn body(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut reader = Reader { decoder: Decoder::from(bytes), values: 0 };
    let value = reader.value(0)?;
    let whole = reader.decoder.offset() == bytes.len();
    match value {
        Value::Object(_) if whole => Ok(value),
        Value::Object(_) => Err(unreadable("there is something behind the body's map")),
        _ => Err(unreadable("the body must be a map")),
    }
}

fn unreadable(message: impl Into<String>) -> ApiError {
    ApiError::unreadable(message)
}

struct Reader<'a> {
    decoder: Decoder<&'a [u8]>,
    values: usize,
}

impl Reader<'_> {
    fn pull(&mut self) -> Result<Header, ApiError> {
        self.decoder.pull().map_err(|_| unreadable("the body is not CBOR, or it was cut short"))
    }

    fn value(&mut self, depth: usize) -> Result<Value, ApiError> {
        let header = self.pull()?;
        self.value_of(header, depth)
    }

    fn value_of(&mut self, header: Header, depth: usize) -> Result<Value, ApiError> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(unreadable("the body is nested too deeply or has too many values"));
        }
        match header {
            Header::Positive(number) => Ok(number.into()),
            // All bits of a negative number are inverted.
            Header::Negative(bits) => {
                i64::try_from(bits).map(|bits| Value::from(!bits)).map_err(|_| unreadable("a number is beyond 64 bits"))
            }
            Header::Float(number) => {
                Number::from_f64(number).map(Value::Number).ok_or_else(|| unreadable("a number is not finite"))
            }
            Header::Simple(simple::TRUE) => Ok(Value::Bool(true)),
            Header::Simple(simple::FALSE) => Ok(Value::Bool(false)),
            Header::Simple(simple::NULL | simple::UNDEFINED) => Ok(Value::Null),
            Header::Text(length) => self.text(length).map(Value::String),
            Header::Array(length) => self.array(length, depth),
            Header::Map(length) => self.map(length, depth),
            Header::Tag(EPOCH_SECONDS) => match self.value(depth + 1)? {
                Value::Number(seconds) => Ok(Value::Number(seconds)),
                _ => Err(unreadable("a time must be a number")),
            },
            Header::Tag(tag) => Err(unreadable(format!("the tag {tag} is not known here"))),
            Header::Bytes(_) => Err(unreadable("byte strings do not belong into this API's requests")),
            Header::Simple(other) => Err(unreadable(format!("the simple value {other} is not known here"))),
            Header::Break => Err(unreadable("a break stands where a value should")),
        }
    }

    fn text(&mut self, length: Option<usize>) -> Result<String, ApiError> {
        let wrong = || unreadable("a text is not UTF-8, or it was cut short");
        let mut text = String::new();
        let mut scratch = [0; 4096];
        let mut segments = self.decoder.text(length);
        while let Some(mut segment) = segments.pull().map_err(|_| wrong())? {
            while let Some(piece) = segment.pull(&mut scratch).map_err(|_| wrong())? {
                text.push_str(piece);
            }
        }
        Ok(text)
    }

    fn array(&mut self, length: Option<usize>, depth: usize) -> Result<Value, ApiError> {
        let mut items = Vec::new();
        while length.is_none_or(|length| items.len() < length) {
            match self.pull()? {
                Header::Break if length.is_none() => break,
                header => items.push(self.value_of(header, depth + 1)?),
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, length: Option<usize>, depth: usize) -> Result<Value, ApiError> {
        let mut fields = Map::new();
        while length.is_none_or(|length| fields.len() < length) {
            let name = match self.pull()? {
                Header::Break if length.is_none() => break,
                Header::Text(length) => self.text(length)?,
                _ => return Err(unreadable("a map's keys must be text")),
            };
            let value = self.value(depth + 1)?;
            if fields.insert(name, value).is_some() {
                return Err(unreadable("a key stands twice in a map"));
            }
        }
        Ok(Value::Object(fields))
    }
}

/// Writes an answer of the shape; without one, what has no shape of the model's.
pub(super) fn write(shape: Option<&Shape>, value: &Value) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    let mut writer = Writer(Encoder::from(&mut bytes));
    // Writing to memory cannot fail.
    let _ = writer.value(shape, value);
    bytes
}

struct Writer<'a>(Encoder<&'a mut Vec<u8>>);

type Written<'a> = Result<(), <&'a mut Vec<u8> as ciborium_io::Write>::Error>;

impl<'a> Writer<'a> {
    fn value(&mut self, shape: Option<&Shape>, value: &Value) -> Written<'a> {
        let kind = shape.map(|shape| &shape.kind);
        match value {
            Value::Null => self.0.push(Header::Simple(simple::NULL)),
            Value::Bool(flag) => self.0.push(Header::Simple(if *flag { simple::TRUE } else { simple::FALSE })),
            Value::String(text) => self.0.text(text, None),
            Value::Number(number) => {
                if let Some(Kind::Timestamp) = kind {
                    self.0.push(Header::Tag(EPOCH_SECONDS))?;
                }
                self.0.push(number_header(number))
            }
            Value::Array(items) => {
                self.0.push(Header::Array(Some(items.len())))?;
                let member = match kind {
                    Some(Kind::List { member, .. }) => Some(member.shape()),
                    _ => None,
                };
                items.iter().try_for_each(|item| self.value(member, item))
            }
            Value::Object(fields) => {
                self.0.push(Header::Map(Some(fields.len())))?;
                for (name, field) in fields {
                    let member = match kind {
                        Some(Kind::Map { value, .. }) => Some(value.shape()),
                        Some(Kind::Structure { .. }) => {
                            shape.and_then(|shape| shape.member(name)).map(|member| member.shape.shape())
                        }
                        _ => None,
                    };
                    self.0.text(name, None)?;
                    self.value(member, field)?;
                }
                Ok(())
            }
        }
    }
}

fn number_header(number: &Number) -> Header {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => Header::Positive(number),
        (None, Some(number)) => Header::Negative((!number).unsigned_abs()),
        (None, None) => Header::Float(number.as_f64().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_become_values() {
        assert_eq!(body(b""), Ok(json!({})));
        // {"a": [1, -2, 1.5, "ä", null, true], "t": tag 1 (1.5)} with lengths left open.
        let open = b"\xbf\x61a\x9f\x01\x21\xf9\x3e\x00\x7f\x62\xc3\xa4\xff\xf6\xf5\xff\x61t\xc1\xf9\x3e\x00\xff";
        assert_eq!(body(open), Ok(json!({ "a": [1, -2, 1.5, "ä", null, true], "t": 1.5 })));
        assert_eq!(body(b"\xa1\x61a\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(json!({ "a": i64::MIN })));
        for (wrong, what) in [
            (&b"\x80"[..], "a list"),
            (b"\xa0\xa0", "two values"),
            (b"\xa1\x61a", "cut short"),
            (b"\xa1\x01\x01", "a number as key"),
            (b"\xa2\x61a\x01\x61a\x02", "a key twice"),
            (b"\xa1\x61a\x41x", "bytes"),
            (b"\xa1\x61a\xc2\x01", "a tag"),
            (b"\xa1\x61a\xc1\x61x", "a time that is text"),
            (b"\xa1\x61a\x61\xff", "not UTF-8"),
            (b"\xa1\x61a\xf9\x7c\x00", "infinity"),
            (b"\xa1\x61a\x3b\xff\xff\xff\xff\xff\xff\xff\xff", "beyond 64 bits"),
            (b"\xa1\x61a\xff", "a break"),
            (b"\xa1\x61a\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "a list that says it is endless"),
            (b"\xa1\x61a\x7b\xff\xff\xff\xff\xff\xff\xff\xff", "a text that says it is endless"),
        ] {
            assert_eq!(body(wrong).unwrap_err().code, "SerializationException", "{what}");
        }
        let deep = [&b"\xa1\x61a"[..], &[0x81].repeat(1_000_000)].concat();
        assert_eq!(body(&deep).unwrap_err().code, "SerializationException");
        let wide = [&b"\xa1\x61a\x9f"[..], &[0x80].repeat(5_000_000)].concat();
        assert_eq!(body(&wide).unwrap_err().code, "SerializationException");
    }

    #[test]
    fn times_bear_their_tag() {
        let shape = model::shapes::shape("PutApprovalResultOutput");
        assert_eq!(write(shape, &json!({ "approvedAt": 2 })), b"\xa1\x6aapprovedAt\xc1\x02");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = body(&bytes) {
                prop_assert_eq!(body(&write(None, &value)), Ok(value));
            }
        }

        #[test]
        fn what_is_written_is_read(text in ".*", number in any::<i64>(), float in -1e300..1e300_f64) {
            let value = json!({ "text": text, "list": [number, float, null, true], "map": { "": {} } });
            prop_assert_eq!(body(&write(None, &value)), Ok(value));
        }
    }
}

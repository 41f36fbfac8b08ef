//! Variable references, `#{namespace.key}`, in texts: found, and replaced by their values.

use std::ops::Range;

/// One reference in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference<'a> {
    /// The namespace: an action's, `variables` or `codepipeline`.
    pub namespace: &'a str,
    /// The variable.
    pub key: &'a str,
    /// Where in the text, in bytes, with `#{` and `}`.
    pub range: Range<usize>,
}

/// A reference that has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the variable #{{{namespace}.{key}}} has no value")]
pub struct Unresolved {
    /// The namespace.
    pub namespace: String,
    /// The variable.
    pub key: String,
}

/// The namespace of pipeline variables.
pub const PIPELINE_VARIABLES: &str = "variables";

/// The namespace of what every execution has.
pub const EXECUTION_VARIABLES: &str = "codepipeline";

/// The only variable of [`EXECUTION_VARIABLES`].
pub const EXECUTION_ID: &str = "PipelineExecutionId";

/// Every well-formed reference of `text`, in order. Namespace and key are of `A–Z a–z 0–9 @ - _`; all else that starts
/// with `#{` is text.
pub fn find(text: &str) -> Vec<Reference<'_>> {
    brackets(text).filter_map(|range| read(text, range)).collect()
}

/// Every `#{…}` of `text` that is not a well-formed reference, with its range.
pub fn malformed(text: &str) -> Vec<Range<usize>> {
    brackets(text).filter(|range| read(text, range.clone()).is_none()).collect()
}

/// `text` with every reference replaced by its value; values are not searched for references again.
///
/// # Errors
/// The first reference that `lookup` (of namespace and key) has no value for.
pub fn resolve(text: &str, lookup: &dyn Fn(&str, &str) -> Option<String>) -> Result<String, Unresolved> {
    replace(text, lookup, |_, value| value)
}

/// As [`resolve`], of a text that is JSON: within a string of it a value is written as JSON writes it, so that no quote or
/// line break in it ends the string, and nobody who chooses the value adds to the structure around it.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_json(text: &str, lookup: &dyn Fn(&str, &str) -> Option<String>) -> Result<String, Unresolved> {
    let mut within = false;
    replace(text, lookup, |before, value| {
        within = ends_within_a_string(before, within);
        if within { escaped(&value) } else { value }
    })
}

/// Replaces each reference by what `written` makes of the text since the one before, and of its value.
fn replace(
    text: &str,
    lookup: &dyn Fn(&str, &str) -> Option<String>,
    mut written: impl FnMut(&str, String) -> String,
) -> Result<String, Unresolved> {
    let mut resolved = String::with_capacity(text.len());
    let mut done = 0;
    for Reference { namespace, key, range } in find(text) {
        let unresolved = || Unresolved { namespace: namespace.to_owned(), key: key.to_owned() };
        let before = &text[done..range.start];
        resolved.push_str(before);
        resolved.push_str(&written(before, lookup(namespace, key).ok_or_else(unresolved)?));
        done = range.end;
    }
    resolved.push_str(&text[done..]);
    Ok(resolved)
}

/// Whether a piece of JSON ends within a string, given whether it begins within one.
fn ends_within_a_string(json: &str, mut within: bool) -> bool {
    let mut characters = json.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => within = !within,
            '\\' if within => drop(characters.next()),
            _ => {}
        }
    }
    within
}

/// A text as it stands in a string of JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The ranges of `#{` to the next `}`, without overlap; an opening that never closes is text.
fn brackets(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let first = from + text.get(from..)?.find("#{")?;
        let end = first + text[first..].find('}')? + 1;
        // The innermost opening counts: `#{a #{b.c}` holds one reference.
        let open = first + text[first..end].rfind("#{")?;
        from = end;
        Some(open..end)
    })
}

fn read(text: &str, range: Range<usize>) -> Option<Reference<'_>> {
    let inner = &text[range.start + 2..range.end - 1];
    let (namespace, key) = inner.split_once('.')?;
    (is_word(namespace) && is_word(key)).then_some(Reference { namespace, key, range })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(&str, &str)> {
        find(text).iter().map(|r| (r.namespace, r.key)).collect()
    }

    #[test]
    fn references_are_found_where_they_are() {
        assert_eq!(pairs("#{a.b}"), [("a", "b")]);
        assert_eq!(
            pairs("x#{MyWave@Produce.MY_VAR}y#{Config-Vars.Id}"),
            [("MyWave@Produce", "MY_VAR"), ("Config-Vars", "Id")]
        );
        assert_eq!(pairs("#{a #{b.c}"), [("b", "c")]);
        assert_eq!(pairs("#{a}}#{b.c}"), [("b", "c")]);
        for none in
            ["", "#", "#{", "#{a", "#{a}", "#{a.}", "#{.b}", "#{a.b.c}", "#{a b.c}", "# {a.b}", "${a.b}", "#{ä.b}"]
        {
            assert_eq!(pairs(none), [], "{none}");
        }
        assert_eq!(find("ü#{a.b}!")[0].range, 2..8);
        assert_eq!(malformed("#{x} #{a.b} #{a.b.c}"), [0..4, 12..20]);
    }

    #[test]
    fn values_replace_references_once() {
        let lookup = |namespace: &str, key: &str| (namespace == "a").then(|| format!("#{{a.{key}}}"));
        assert_eq!(resolve("<#{a.x}|#{a.y}>", &lookup), Ok("<#{a.x}|#{a.y}>".into()));
        assert_eq!(resolve("no reference #{here}", &lookup), Ok("no reference #{here}".into()));
        let error = resolve("#{a.x} #{b.y}", &lookup).expect_err("b is unknown");
        assert_eq!(error.to_string(), "the variable #{b.y} has no value");
    }

    #[test]
    fn values_in_a_string_of_json_stay_in_it() {
        let lookup = |_: &str, key: &str| match key {
            "message" => Some("say \"hi\"\nC:\\ ".to_owned()),
            "evil" => Some(r#"a","type":"PLAINTEXT"},{"name":"LD_PRELOAD","value":"/evil.so"#.to_owned()),
            "number" => Some("42".to_owned()),
            _ => None,
        };
        let text = r##"[{"name": "a \" b", "value": "<#{v.message}|#{v.evil}>", "size": #{v.number}}, "#{v.number}"]"##;
        let json: serde_json::Value = serde_json::from_str(&resolve_json(text, &lookup).unwrap()).unwrap();
        let value = format!("<{}|{}>", lookup("v", "message").unwrap(), lookup("v", "evil").unwrap());
        assert_eq!(json, serde_json::json!([{ "name": "a \" b", "value": value, "size": 42 }, "42"]));
        assert_eq!(resolve_json("#{v.nowhere}", &lookup).unwrap_err().key, "nowhere");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(#|\\{|\\}|\\.|a|ü|-){0,40}") {
            let found = find(&text);
            let replaced = resolve(&text, &|_, _| Some(String::new())).expect("all have values");
            proptest::prop_assert_eq!(replaced.len(), text.len() - found.iter().map(|r| r.range.len()).sum::<usize>());
        }
    }
}

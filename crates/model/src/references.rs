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
    let mut resolved = String::with_capacity(text.len());
    let mut done = 0;
    for Reference { namespace, key, range } in find(text) {
        let unresolved = || Unresolved { namespace: namespace.to_owned(), key: key.to_owned() };
        resolved.push_str(&text[done..range.start]);
        resolved.push_str(&lookup(namespace, key).ok_or_else(unresolved)?);
        done = range.end;
    }
    resolved.push_str(&text[done..]);
    Ok(resolved)
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

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(#|\\{|\\}|\\.|a|ü|-){0,40}") {
            let found = find(&text);
            let replaced = resolve(&text, &|_, _| Some(String::new())).expect("all have values");
            proptest::prop_assert_eq!(replaced.len(), text.len() - found.iter().map(|r| r.range.len()).sum::<usize>());
        }
    }
}

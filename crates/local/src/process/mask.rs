//! Secrets out of text: `***` stands in their place.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// What stands for a secret.
const MASK: &[u8] = b"***";
/// Shorter values are not looked for: they would hide half of every line.
const SHORTEST_BYTES: usize = 4;

/// Replaces secrets.
pub struct Masker {
    search: Option<AhoCorasick>,
    longest: usize,
}

impl Masker {
    /// For these secrets. Of a secret of several lines each line is one. Those shorter than four bytes are not looked for.
    ///
    /// # Errors
    /// The secrets are too large to be looked for.
    pub fn new(secrets: &[String]) -> Result<Self, String> {
        let mut parts: Vec<&str> = secrets
            .iter()
            .flat_map(|secret| secret.lines())
            .map(str::trim)
            .filter(|part| part.len() >= SHORTEST_BYTES)
            .collect();
        parts.sort_unstable();
        parts.dedup();
        let longest = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        let search = if parts.is_empty() {
            None
        } else {
            // The fastest kind to search takes long to build, and each action builds one.
            let search = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&parts);
            Some(search.map_err(|error| format!("the secrets cannot be masked: {error}"))?)
        };
        Ok(Self { search, longest })
    }

    /// The length of the longest secret in bytes; 0 without any.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Whether a secret is anywhere in the text.
    pub fn finds(&self, text: &str) -> bool {
        self.search.as_ref().is_some_and(|search| search.is_match(text))
    }

    /// The bytes with every secret in them replaced, also where secrets overlap.
    pub fn mask<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(search) = &self.search else { return Cow::Borrowed(bytes) };
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        let mut found: Vec<(usize, usize)> =
            search.find_overlapping_iter(bytes).map(|found| (found.start(), found.end())).collect();
        found.sort_unstable();
        for (start, end) in found {
            match stretches.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                Some(_) | None => stretches.push((start, end)),
            }
        }
        if stretches.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for (start, end) in stretches {
            masked.extend_from_slice(bytes.get(from..start).unwrap_or_default());
            masked.extend_from_slice(MASK);
            from = end;
        }
        masked.extend_from_slice(bytes.get(from..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// The text with every secret in it replaced.
    pub fn mask_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        Masker::new(&secrets).unwrap().mask_text(text)
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
        assert_eq!(masked(&["hunter2"], "hunter2 a hunter2hunter2"), "*** a ***");
        assert_eq!(masked(&[], "hunter2"), "hunter2");
        assert_eq!(masked(&["hunter2"], "hunter"), "hunter");
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        assert_eq!(masked(&["abcd", "cdef"], "xabcdefx"), "x***x");
        assert_eq!(masked(&["abcd", "abcdefgh"], "abcdefgh abcdef"), "*** ***ef");
    }

    #[test]
    fn short_values_are_not_looked_for() {
        assert_eq!(masked(&["abc", ""], "abc"), "abc");
        assert_eq!(masked(&["abcd"], "abcd"), "***");
    }

    #[test]
    fn every_line_of_a_secret_of_several_lines_is_one() {
        assert_eq!(masked(&["-----KEY-----\nMIIEabc\r\nEND"], "got MIIEabc, -----KEY-----"), "got ***, ***");
    }
}

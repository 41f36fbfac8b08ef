//! "Did you mean": the known word nearest to an unknown one.

/// Words longer than this are not compared: comparing is quadratic.
const MAX_LENGTH: usize = 64;

/// No more candidates than this are compared, of those with a fitting length.
const MAX_CANDIDATES: usize = 200;

/// How alike two words must be, from 0 to 1.
const ALIKE: f64 = 0.7;

/// The candidate most like `word`, if one is alike enough; upper and lower case count as alike.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_LENGTH {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_LENGTH && candidate.len().abs_diff(word.len()) <= MAX_LENGTH / 3)
        .take(MAX_CANDIDATES)
        .map(|candidate| (strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or nothing.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(word, candidates).map(|known| format!("; did you mean \"{known}\"?")).unwrap_or_default()
}

/// The same; where nothing is near, what there is.
pub(crate) fn hint_or_list<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = candidates.into_iter().collect();
    let near = hint(word, names.iter().copied());
    if !near.is_empty() {
        return near;
    }
    names.sort_unstable();
    let more = if names.len() > MAX_LISTED { ", …" } else { "" };
    names.truncate(MAX_LISTED);
    match names.as_slice() {
        [] => "; there is none".into(),
        [only] => format!("; there is {only}"),
        several => format!("; there are {}{more}", several.join(", ")),
    }
}

/// No more names are listed than these.
const MAX_LISTED: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["runOrder", "roleArn", "region"];
        assert_eq!(did_you_mean("runorder", known), Some("runOrder"));
        assert_eq!(did_you_mean("RoleARN", known), Some("roleArn"));
        assert_eq!(did_you_mean("regoin", known), Some("region"));
        assert_eq!(did_you_mean("blockers", known), None);
        assert_eq!(did_you_mean(&"r".repeat(10_000), known), None);
    }
}

//! Where symbolic links of an archive lead, worked out without touching the file system.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// A path with more links than this is not followed by any system Penstock runs on.
const MOST_LINKS: usize = 64;

/// Whether following the link at `place` stays below the archive's root at every step, given all its links.
///
/// Links that go in circles, and those that lead to nothing, lead nowhere and are let be.
pub(super) fn stays_inside(place: &Path, links: &BTreeMap<PathBuf, PathBuf>) -> bool {
    let mut at: Vec<&OsStr> = Vec::new();
    let mut to_go: Vec<Component<'_>> = place.components().rev().collect();
    let mut followed = 0;
    while let Some(component) = to_go.pop() {
        match component {
            Component::Prefix(_) | Component::RootDir => return false,
            Component::CurDir => {}
            Component::ParentDir => {
                if at.pop().is_none() {
                    return false;
                }
            }
            Component::Normal(part) => {
                at.push(part);
                let Some(target) = links.get(&at.iter().collect::<PathBuf>()) else { continue };
                followed += 1;
                if followed > MOST_LINKS {
                    return true;
                }
                at.pop();
                to_go.extend(target.components().rev());
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(&str, &str)]) -> BTreeMap<PathBuf, PathBuf> {
        pairs.iter().map(|(place, target)| ((*place).into(), (*target).into())).collect()
    }

    #[test]
    fn a_link_may_lead_anywhere_below_the_root() {
        for (place, target) in
            [("a", "b"), ("a", "d/../b"), ("d/a", "../b"), ("d/e/a", "../.."), ("a", "."), ("a", "a")]
        {
            assert!(stays_inside(Path::new(place), &links(&[(place, target)])), "{place} -> {target}");
        }
    }

    #[test]
    fn a_link_may_not_lead_out() {
        for (place, target) in [("a", "/etc"), ("a", ".."), ("d/a", "../../b"), ("a", "d/../../b"), ("a", "../root/b")]
        {
            assert!(!stays_inside(Path::new(place), &links(&[(place, target)])), "{place} -> {target}");
        }
    }

    #[test]
    fn a_link_through_another_link_is_followed_to_its_end() {
        // `s/d/up` is the root itself, so that `up/..` is outside although it looks like `s/d`.
        let both = links(&[("s/d/up", "../.."), ("out", "s/d/up/../x")]);
        assert!(stays_inside(Path::new("s/d/up"), &both));
        assert!(!stays_inside(Path::new("out"), &both));
        let inside = links(&[("deep", "s/d"), ("fine", "deep/../x")]);
        assert!(stays_inside(Path::new("fine"), &inside));
    }
}

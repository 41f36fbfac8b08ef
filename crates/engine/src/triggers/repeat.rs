//! Pushes that were seen before: a webhook delivered twice, or told of by another hook or by a look at the branch.

use super::change::{NO_COMMIT, Push};
use crate::item::SourceHead;

/// Where a ref points, as far as the pushes noted tell: what the last one leads to. Deliveries are unordered: an old push
/// that came late leads to newer ones. A branch that was set back leads back to itself, in a circle: there it stands.
pub fn tip(head: &SourceHead) -> Option<&str> {
    let (_, start) = head.pushes.last()?;
    let mut path = vec![start.as_str()];
    loop {
        let here = *path.last()?;
        let further = head.pushes.iter().rev().find(|(before, _)| before == here).map(|(_, after)| after.as_str());
        match further {
            Some(next) if next == start => return Some(start),
            Some(next) if !path.contains(&next) => path.push(next),
            Some(_) | None => return Some(here),
        }
    }
}

/// Whether a push says nothing new: the ref was seen to point there already, or this very move was noted and the ref was
/// not set back to where it began.
pub fn is_repeat(head: &SourceHead, before: Option<&str>, after: &str) -> bool {
    let tip = tip(head);
    let is_noted = head.pushes.iter().any(|(b, a)| Some(b.as_str()) == before && a == after);
    tip == Some(after) || (is_noted && before != tip)
}

/// Whether the ref is noted to be deleted.
pub fn is_gone(head: &SourceHead) -> bool {
    tip(head) == Some(NO_COMMIT)
}

/// Notes a push that starts nothing, where later ones could not be told from repeats without it: the deletion of a ref
/// that started something, and that it is there again. Whether there was something to note.
pub fn note_passed(head: &mut SourceHead, push: &Push) -> bool {
    let Some(stands) = tip(head).map(str::to_owned) else { return false };
    match (&push.before, push.commit_id()) {
        (before, None) if stands != NO_COMMIT => {
            // A push that no filter let pass is not noted: then the deletion goes on from the last that was.
            let is_noted = |before: &&String| head.pushes.iter().any(|(_, after)| after == *before);
            let before = before.as_ref().filter(is_noted).cloned().unwrap_or(stands);
            head.note(&before, NO_COMMIT);
            true
        }
        (None, Some(after)) if stands == NO_COMMIT => {
            head.note(NO_COMMIT, after);
            true
        }
        (Some(_) | None, None | Some(_)) => false,
    }
}

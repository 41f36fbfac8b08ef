//! Pushes that were seen before: a webhook delivered twice, or told of by another hook or by a look at the branch.

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

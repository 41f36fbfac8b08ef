//! When a provider is asked for news: often at first, seldom later.

use std::time::Duration;

use engine::ActionExecution;
use model::Timestamp;

/// The shortest time between two questions.
pub const SHORTEST: Duration = Duration::from_secs(30);
/// The longest time between two questions.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);

/// How long to wait before the next question, when the work began `elapsed` ago: a quarter of that, within 30 seconds and
/// 15 minutes. So an end is noticed at most a quarter late even if its event never comes.
pub fn interval(elapsed: Duration) -> Duration {
    (elapsed / 4).clamp(SHORTEST, LONGEST)
}

/// When an action's work began: at its first claim.
pub(crate) fn began(action: &ActionExecution) -> Timestamp {
    let timeout = i64::from(action.timeout_minutes) * 60_000;
    action.deadline.map_or(action.started_at, |deadline| deadline.plus_millis(-timeout))
}

/// How long a provider may not yet know what it has just started, in minutes: its answers are eventually consistent.
const UNSEEN_MINUTES: u32 = 5;

/// Whether work that its provider does not know may still turn up there.
pub(crate) fn may_turn_up(action: &ActionExecution, now: Timestamp) -> bool {
    now < began(action).plus_minutes(UNSEEN_MINUTES)
}

/// When to ask next.
pub fn next(began: Timestamp, now: Timestamp) -> Timestamp {
    let wait = interval(Duration::from_millis(now.millis_since(began)));
    now.plus_millis(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_from_half_a_minute_to_a_quarter_of_an_hour() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (elapsed, expected) in [
            (Duration::ZERO, SHORTEST),
            (minutes(1), SHORTEST),
            (minutes(2), SHORTEST),
            (minutes(4), minutes(1)),
            (minutes(40), minutes(10)),
            (minutes(60), LONGEST),
            (minutes(60 * 24 * 60), LONGEST),
        ] {
            assert_eq!(interval(elapsed), expected, "{elapsed:?}");
        }
    }

    #[test]
    fn work_begins_at_the_first_claim() {
        let mut action = crate::testing::request("Deploy", "S3", &[]).action;
        let claimed = action.started_at.plus_millis(7000);
        action.deadline = Some(claimed.plus_minutes(action.timeout_minutes));
        assert_eq!(began(&action), claimed);
        action.deadline = None;
        assert_eq!(began(&action), action.started_at);
    }

    #[test]
    fn the_next_question_never_lies_in_the_past() {
        // A clock that was put back.
        assert_eq!(next(Timestamp(5_000_000), Timestamp(1000)), Timestamp(31_000));
        assert_eq!(next(Timestamp(0), Timestamp(240_000)), Timestamp(300_000));
    }
}

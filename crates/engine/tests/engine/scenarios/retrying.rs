//! Section 2: RetryStageExecution and automatic retry.

use engine::Subject;

use crate::play::play;

/// 2: "FAILED_ACTIONS reruns failed ones (and then those not yet run)".
#[test]
fn failed_actions_run_again_and_then_those_not_yet_run() {
    play(
        "given A(s) -> B(w; x,y; z) -> C(c)
         start #1
         A/s of #1 succeeds
         B/w of #1 succeeds
         B/x of #1 fails
         B/y of #1 succeeds
         then #1 is Failed
         forget events
         retry B of #1 with FAILED_ACTIONS
         then #1 is InProgress
         then #1 is in attempt 2
         then B of #1 is InProgress
         then B/w of #1 is in attempt 1
         then B/y of #1 is in attempt 1
         then B/x of #1 is in attempt 2
         then events: #1 RESUMED | #1 B RESUMED | #1 B/x STARTED
         B/x of #1 succeeds
         B/z of #1 succeeds
         then #1 is in C
         then B/x@1 of #1 is Failed",
    );
}

/// 2: "ALL_ACTIONS reruns the stage from its first runOrder and is refused while any action is in progress."
#[test]
fn all_actions_run_again_from_the_first_run_order() {
    play(
        "given A(s) -> B(w; x,y; z)
         start #1
         A/s of #1 succeeds
         B/w of #1 succeeds
         B/x of #1 fails
         retry B of #1 with ALL_ACTIONS -- refused Conflict
         B/y of #1 succeeds
         retry B of #1 with ALL_ACTIONS
         then B/w of #1 is in attempt 2
         then B/x of #1 is in attempt 1
         B/w of #1 succeeds
         then B/x of #1 is in attempt 2
         then B/y of #1 is in attempt 2
         B/x of #1 succeeds
         B/y of #1 succeeds
         B/z of #1 succeeds
         then #1 is Succeeded",
    );
}

/// User Guide, stage-retry: "When you retry the failed actions in a stage, all actions that are still in progress continue
/// working, and failed actions are triggered again."
#[test]
fn failed_actions_run_again_beside_those_in_progress() {
    play(
        "given A(s) -> B(x,y)
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         then B of #1 is Failed
         retry B of #1 with FAILED_ACTIONS
         then B of #1 is InProgress
         then B/x of #1 is in attempt 2
         then B/y of #1 is in attempt 1
         then B/y of #1 is InProgress
         B/x of #1 succeeds
         then B of #1 is InProgress
         B/y of #1 succeeds
         then #1 is Succeeded",
    );
}

/// 2: "Same pipelineExecutionId, pipeline-execution-attempt +1, event RESUMED at pipeline and stage,
/// stage-last-retry-attempt-time on every later stage event."
#[test]
fn a_retry_shows_in_attempts_and_events() {
    let play = play(
        "given A(s) -> B(x) -> C(c)
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         wait 5 minutes
         forget events
         retry B of #1 with ALL_ACTIONS
         B/x of #1 succeeds
         then #1 is in attempt 2",
    );
    let later: Vec<_> = play.world.published.iter().filter(|change| change.attempt == 2).collect();
    let retried = |change: &&&engine::StateChange| {
        match &change.subject {
            Subject::Stage { stage, retried_at } if *stage == *"B" => Some(*retried_at == Some(play.world.now)),
            Subject::Action(action) if action.stage == *"B" => Some(action.retried_at == Some(play.world.now)),
            Subject::Stage { retried_at, .. } => Some(retried_at.is_none()),
            _ => None,
        }
        .unwrap_or(true)
    };
    assert!(later.iter().all(|change| retried(&change)), "{later:#?}");
    let names: Vec<_> = later.iter().map(|change| play.named(change)).collect();
    let first = ["#1 RESUMED", "#1 B RESUMED", "#1 B/x STARTED", "#1 B/x SUCCEEDED", "#1 B SUCCEEDED"];
    assert_eq!(names[..5], first);
}

/// 2: "Artifacts are overwritten in view; the history of the earlier attempt is kept in ListActionExecutions."
#[test]
fn earlier_attempts_are_kept() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         retry B of #1 with ALL_ACTIONS
         B/x@1 of #1 succeeds -- ignored ActionEnded
         B/x@1 of #1 is advanced -- ignored StaleAttempt
         B/x of #1 fails
         retry B of #1 with FAILED_ACTIONS
         B/x of #1 succeeds
         then B/x@1 of #1 is Failed
         then B/x@2 of #1 is Failed
         then B/x@3 of #1 is Succeeded
         then #1 is in attempt 3",
    );
}

/// 2: "Not retryable when: another execution has entered the stage".
#[test]
fn nobody_retries_where_another_has_entered() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #1 fails
         then #2 is in B
         retry B of #1 with FAILED_ACTIONS -- refused NotLatest
         B/x of #2 succeeds
         retry B of #1 with FAILED_ACTIONS -- refused NotLatest",
    );
}

/// A retry that comes before the next has entered wins the stage, and the next waits.
#[test]
fn a_retry_may_come_before_the_next_enters() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         hold rows
         B/x of #1 fails
         B/x of #1 is advanced
         then #1 is Failed
         retry B of #1 with FAILED_ACTIONS
         release
         wait 0 minutes
         then #1 is in B
         then #2 is before B
         B/x of #1 succeeds
         then #2 is in B",
    );
}

/// 2: "Not retryable when: … stage not failed; a retry already runs. Errors: StageNotRetryableException,
/// NotLatestPipelineExecutionException, StageNotFoundException".
#[test]
fn only_a_failed_stage_can_be_retried() {
    play(
        "given A(s) -> B(x) -> C(c)
         start #1
         retry A of #1 with FAILED_ACTIONS -- refused StageNotRetryable
         retry B of #1 with FAILED_ACTIONS -- refused StageNotRetryable
         retry D of #1 with FAILED_ACTIONS -- refused StageNotFound
         A/s of #1 succeeds
         retry A of #1 with ALL_ACTIONS -- refused StageNotRetryable
         B/x of #1 fails
         retry B of #1 with FAILED_ACTIONS
         retry B of #1 with FAILED_ACTIONS -- refused StageNotRetryable
         retry A of #1 with ALL_ACTIONS -- refused StageNotRetryable
         stop #1
         retry B of #1 with ALL_ACTIONS -- refused StageNotRetryable",
    );
}

/// 2: "Automatic retry: exactly one attempt".
#[test]
fn automatic_retry_makes_exactly_one_attempt() {
    play(
        "given A(s) -> B(x; y,z) failure=RETRY_FAILED -> C(c)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         forget events
         B/y of #1 fails
         then B of #1 is Failed
         B/z of #1 succeeds
         then #1 is InProgress
         then #1 is in attempt 2
         then #2 is before B
         then B/y of #1 is in attempt 2
         then B/x of #1 is in attempt 1
         then events: #1 B/y FAILED | #1 B FAILED | #1 B/z SUCCEEDED | #1 RESUMED | #1 B RESUMED | #1 B/y STARTED
         B/y of #1 fails
         then #1 is Failed
         then B/y of #1 is in attempt 2
         then #2 is in B",
    );
    play(
        "given A(s) -> B(x; y) failure=RETRY_ALL -> C(c)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         B/y of #1 fails
         then B/x of #1 is in attempt 2
         B/x of #1 succeeds
         B/y of #1 succeeds
         then #1 is in C",
    );
}

/// A retry by hand does not bring the automatic one back.
#[test]
fn a_retry_by_hand_gives_no_second_automatic_retry() {
    play(
        "given A(s) -> B(x) failure=RETRY_ALL
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         B/x of #1 fails
         then #1 is Failed
         retry B of #1 with ALL_ACTIONS
         B/x of #1 fails
         then #1 is Failed
         then B/x of #1 is in attempt 3",
    );
}

/// API model: `retryStageMetadata` counts retries by who made them; an override is none.
#[test]
fn retries_are_counted_by_who_made_them() {
    for (script, by_hand, automatic) in [
        (
            "given A(s) -> B(x) before=FAIL:q\nstart #1\nA/s of #1 succeeds\nB/before:q of #1 fails\noverride BEFORE_ENTRY of B for #1",
            0,
            0,
        ),
        ("given A(s) -> B(x) failure=RETRY_ALL\nstart #1\nA/s of #1 succeeds\nB/x of #1 fails", 0, 1),
    ] {
        let mut play = play(&format!("{script}\nB/x of #1 fails\nthen #1 is Failed"));
        for more in 1..=2 {
            play.more("retry B of #1 with FAILED_ACTIONS\nB/x of #1 fails\nthen #1 is Failed");
            let stage = play.world.stage(play.id("#1"), "B").unwrap();
            let last = stage.last_retry.as_ref().unwrap();
            assert_eq!((last.by_hand, last.automatic), (by_hand + more, automatic), "{script}");
        }
    }
}

/// 2: "allowed on Source".
#[test]
fn automatic_retry_runs_sources_again() {
    play(
        "given A(s) failure=RETRY_ALL -> B(x)
         start #1
         A/s of #1 fails
         then A/s of #1 is in attempt 2
         A/s of #1 succeeds
         then #1 is in B",
    );
}

/// DESIGN: "AtMostOnce (after an unknown outcome the action fails with `StartOutcomeUnknown`: never a second start of that
/// action execution, and no automatic retry; a person may retry)".
#[test]
fn an_unknown_start_is_retried_by_people_only() {
    play(
        "given A(s) -> B(x) failure=RETRY_FAILED
         start #1
         A/s of #1 succeeds
         B/x of #1 fails with StartOutcomeUnknown
         then #1 is Failed
         then B/x of #1 is in attempt 1
         retry B of #1 with FAILED_ACTIONS
         then B/x of #1 is in attempt 2
         B/x of #1 fails
         then B/x of #1 is in attempt 3",
    );
}

//! Section 1: inbound executions and transitions.

use crate::play::play;

/// 1: "Disabled inbound transition: executions stop before the stage; in SUPERSEDED only the latest is let in when
/// re-enabled."
#[test]
fn a_disabled_transition_holds_executions_and_lets_the_latest_in() {
    play(
        "given A(s) -> B(x)
         disable into B
         start #1
         A/s of #1 succeeds
         then #1 is before B
         then #1 waits because the transition into it was disabled by arn:ann
         then #1 waits because (a freeze); enable it to go on
         start #2
         A/s of #2 succeeds
         then #1 is Superseded
         then #2 is before B
         forget events
         enable into B
         then #2 is in B
         then events: #2 B STARTED | #2 B/x STARTED",
    );
}

/// The same in QUEUED mode: everybody waits, and everybody gets in, one by one.
#[test]
fn a_disabled_transition_queues_executions() {
    play(
        "given A(s) -> B(x) in QUEUED mode
         disable into B
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         then #1 is before B
         then #2 is before B
         enable into B
         then #1 is in B
         then #2 is before B
         B/x of #1 succeeds
         then #2 is in B",
    );
}

/// 1: "Reason text, who and when are kept in transitionState. Disabling a transition does not stop what is already in the
/// stage."
#[test]
fn a_disabled_transition_leaves_who_is_inside_and_says_who_why_and_when() {
    let play = play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         wait 7 minutes
         disable into B
         then #1 is in B
         B/x of #1 succeeds
         then #1 is Succeeded",
    );
    let hold = &play.world.lane("B").holds[0];
    assert_eq!((hold.by.as_str(), hold.reason.as_str()), ("arn:ann", "a freeze"));
    assert_eq!(hold.from, play.world.now);
}

/// Out of a stage and into the next are two holds: both must go.
#[test]
fn two_holds_are_lifted_one_by_one() {
    play(
        "given A(s) -> B(x)
         disable into B
         disable out of A
         start #1
         A/s of #1 succeeds
         then #1 waits because the transition out of the stage before was disabled
         enable into B
         then #1 is before B
         enable into B -- ignored AlreadySo
         enable out of A
         then #1 is in B",
    );
}

/// A transition that is disabled again has the new reason only; enabling lets nobody into an occupied stage.
#[test]
fn enabling_does_not_open_an_occupied_stage() {
    let play = play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         disable into B
         disable into B
         start #2
         A/s of #2 succeeds
         enable into B
         then #1 is in B
         then #2 is before B
         B/x of #1 fails
         then #2 is in B",
    );
    assert!(play.world.lane("B").holds.is_empty());
}

/// 1: "[PARALLEL:] no transitions/inbound".
#[test]
fn what_has_no_transition_refuses_to_have_one_disabled() {
    play(
        "given A(s) -> B(x)
         disable into D -- refused StageNotFound
         disable out of B -- refused Invalid
         given A(s) -> B(x) in PARALLEL mode
         disable into B -- refused Invalid",
    );
}

/// 1: "Inbound executions can be stopped too; a stopped/failed *inbound* execution cannot be retried."
#[test]
fn an_inbound_execution_can_be_stopped_and_not_retried() {
    play(
        "given A(s) -> B(x)
         disable into B
         start #1
         A/s of #1 succeeds
         forget events
         stop #1
         then #1 is Stopped
         then #1 is nowhere
         then events: #1 STOPPING | #1 STOPPED
         retry B of #1 with FAILED_ACTIONS -- refused StageNotRetryable
         retry A of #1 with ALL_ACTIONS -- refused StageNotRetryable
         enable into B
         then #1 is Stopped",
    );
}

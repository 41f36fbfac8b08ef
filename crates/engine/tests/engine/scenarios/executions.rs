//! Section 1: executions and stage locks.

use crate::play::play;

/// 1: "A stage processes one execution at a time and is locked while it does."
#[test]
fn stages_run_in_order_and_an_execution_ends_when_the_last_has() {
    play(
        "given A(s) -> B(x,y; z) -> C(c)
         start #1
         then events: #1 STARTED | #1 A STARTED | #1 A/s STARTED
         A/s of #1 succeeds
         then events: #1 A/s SUCCEEDED | #1 A SUCCEEDED | #1 B STARTED | #1 B/x STARTED | #1 B/y STARTED
         then B/z of #1 did not run
         B/y of #1 succeeds
         then B/z of #1 did not run
         B/x of #1 succeeds
         then B/z of #1 is InProgress
         B/z of #1 succeeds
         then B of #1 is Succeeded
         then #1 is in C
         C/c of #1 succeeds
         then #1 is Succeeded
         then events: #1 B/y SUCCEEDED | #1 B/x SUCCEEDED | #1 B/z STARTED | #1 B/z SUCCEEDED | #1 B SUCCEEDED
         | #1 C STARTED | #1 C/c STARTED | #1 C/c SUCCEEDED | #1 C SUCCEEDED | #1 SUCCEEDED",
    );
}

/// 1: "All source actions run on every start, even if only one source changed."
#[test]
fn all_source_actions_run_on_every_start() {
    play(
        "given A(s,t) -> B(x)
         start #1 pushed a..b
         then A/s of #1 is InProgress
         then A/t of #1 is InProgress
         A/s of #1 succeeds
         then #1 is in A
         then #1 waits because A/t is in progress
         A/t of #1 succeeds
         then #1 is in B",
    );
}

/// 1: "A stage processes one execution at a time and is locked while it does."
#[test]
fn a_locked_stage_lets_nobody_in() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         start #2
         then #2 is in A
         A/s of #2 succeeds
         then #2 is before B
         then #2 waits because waits before B: execution #1 is in it
         then B of #2 is absent
         B/x of #1 succeeds
         then #2 is in B",
    );
}

/// 1: "A pending Manual approval keeps the stage locked."
#[test]
fn a_pending_approval_keeps_the_stage_locked() {
    play(
        "given A(s) -> B(ok?)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         then #1 waits because B/ok waits for somebody to approve or reject; it times out at
         then #2 is before B
         wait 1000 minutes
         then #2 is before B
         B/ok of #1 is approved
         then #2 is in B",
    );
}

/// 1: "Failure or stop releases the lock; the failed execution stays shown until another enters."
#[test]
fn failure_and_stop_release_the_lock() {
    let mut play = play(
        "given A(s) -> B(x) in QUEUED mode
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         A/s of #3 succeeds
         B/x of #1 fails
         then #1 is Failed
         then #1 waits for nothing
         then #2 is in B
         stop #2 and abandon
         then #2 is Stopped
         then #3 is in B
         B/x of #3 fails",
    );
    assert_eq!(play.world.lane("B").last, Some(play.id("#3")), "the last entrant stays shown");
    play.more(
        "start #4
         A/s of #4 succeeds",
    );
    assert_eq!(play.world.lane("B").last, Some(play.id("#4")));
}

/// DESIGN: "A stage that has a failed action shows Failed at once and starts no later run order; its lane and onFailure wait
/// until none of its actions is in progress (`explain` says which)".
#[test]
fn a_failed_stage_waits_for_its_actions_in_progress() {
    play(
        "given A(s) -> B(x,y; z) -> C(c)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         forget events
         B/x of #1 fails
         then B of #1 is Failed
         then #1 is InProgress
         then #2 is before B
         then #1 waits because B/y is in progress
         then #1 waits because the stage has failed and waits for it to end
         then events: #1 B/x FAILED | #1 B FAILED
         B/y of #1 succeeds
         then #1 is Failed
         then B/z of #1 did not run
         then #2 is in B
         then events: #1 B/y SUCCEEDED | #1 FAILED | #2 B STARTED | #2 B/x STARTED | #2 B/y STARTED",
    );
}

/// Two failures of one run order are told once for the stage and once for the execution.
#[test]
fn a_stage_fails_once() {
    play(
        "given A(s) -> B(x,y)
         start #1
         A/s of #1 succeeds
         hold rows
         forget events
         B/x of #1 fails
         B/y of #1 fails
         release
         wait 0 minutes
         then events: #1 B/x FAILED | #1 B/y FAILED | #1 B FAILED | #1 FAILED",
    );
}

/// 1: "Each successful UpdatePipeline increments `version`; executions keep the version they started with."
#[test]
fn what_nobody_knows_is_ignored_or_refused() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         A/s of #1 succeeds -- ignored ActionEnded
         A/s of #1 is due -- ignored ActionEnded
         A/s of #1 is advanced -- ignored StageMovedOn
         B/x of #1 is claimed -- ignored AlreadyClaimed
         B/x of #1 is due -- ignored NotDue
         B/x of #1 is advanced -- ignored StillRunning
         admit B -- ignored NobodyWaits
         B/x of #1 succeeds
         B/x of #1 is advanced -- ignored ExecutionEnded
         then #1 is Succeeded",
    );
}

//! Section 1: StopPipelineExecution.

use crate::play::play;

/// 1: "abandon=false → Stopping until in-progress actions end, then Stopped".
#[test]
fn stop_and_wait_lets_actions_in_progress_end() {
    play(
        "given A(s) -> B(x,y; z) -> C(c)
         start #1
         A/s of #1 succeeds
         forget events
         stop #1 because of a mistake
         then #1 is Stopping
         then B of #1 is Stopping
         then B/x of #1 is InProgress
         then #1 waits because is being stopped when its actions in progress have ended (of a mistake)
         then #1 waits because B/x is in progress
         then events: #1 STOPPING | #1 B STOPPING
         B/x of #1 succeeds
         then #1 is Stopping
         B/y of #1 succeeds
         then #1 is Stopped
         then B of #1 is Stopped
         then B/y of #1 is Succeeded
         then B/z of #1 did not run
         then events: #1 B/x SUCCEEDED | #1 B/y SUCCEEDED | #1 B STOPPED | #1 STOPPED",
    );
}

/// User Guide, pipelines-stop: "the pipeline execution changes to a Stopped state and the action changes to a Failed or
/// Succeeded state".
#[test]
fn stop_and_wait_ends_stopped_when_an_action_fails_meanwhile() {
    play(
        "given A(s) -> B(x) failure=RETRY_ALL
         start #1
         A/s of #1 succeeds
         stop #1
         B/x of #1 fails
         then #1 is Stopped
         then B of #1 is Stopped
         then B/x of #1 is Failed",
    );
}

/// 1: "abandon=true → actions Abandoned at once (the external work is NOT cancelled), allowed also on one already Stopping."
#[test]
fn stop_and_abandon_leaves_actions_at_once() {
    let play = play(
        "given A(s) -> B(x,y)
         start #1
         A/s of #1 succeeds
         B/y of #1 succeeds
         forget events
         stop #1 and abandon
         then #1 is Stopped
         then B of #1 is Stopped
         then B/x of #1 is Abandoned
         then B/y of #1 is Succeeded
         then events: #1 STOPPING | #1 B STOPPING | #1 B/x ABANDONED | #1 B STOPPED | #1 STOPPED
         B/x of #1 succeeds -- ignored ActionEnded
         then B/x of #1 is Abandoned",
    );
    assert_eq!(play.world.drivers_ended, vec![play.key("B/x", "#1").unwrap()]);
    assert!(play.world.rows.is_empty(), "the deadline is gone: {:?}", play.world.rows);
}

/// 1: "allowed also on one already Stopping. Repeating a wait-stop → DuplicatedStopRequestException; a terminal execution →
/// PipelineExecutionNotStoppableException."
#[test]
fn a_stop_can_be_sharpened_and_not_repeated() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         stop #1 because of a mistake
         forget events
         stop #1 -- refused DuplicatedStop
         stop #1 and abandon
         then #1 is Stopped
         then B/x of #1 is Abandoned
         then events: #1 B/x ABANDONED | #1 B STOPPED | #1 STOPPED
         stop #1 and abandon -- refused NotStoppable
         stop #1 -- refused NotStoppable",
    );
    play(
        "given A(s) -> B(x)
         start #1
         hold rows
         stop #1 and abandon
         stop #1 and abandon -- refused DuplicatedStop
         stop #1 -- refused DuplicatedStop",
    );
}

/// What was not claimed yet is never started.
#[test]
fn an_action_that_no_driver_claimed_is_not_started_after_a_stop() {
    play(
        "given A(s) -> B(x,y)
         start #1
         hold dispatch
         A/s of #1 succeeds
         B/y of #1 is claimed
         forget events
         stop #1
         then #1 is Stopping
         release
         wait 0 minutes
         then B/x of #1 is Cancelled
         then events: #1 STOPPING | #1 B STOPPING | #1 B/x CANCELED
         B/y of #1 succeeds
         then #1 is Stopped",
    );
}

/// A driver that was restarted goes on with what was in progress.
#[test]
fn a_restarted_driver_goes_on_under_a_stop() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         stop #1
         B/x of #1 is claimed 2
         B/x of #1 is claimed 2 -- ignored AlreadyClaimed
         B/x of #1 is claimed 1 -- ignored AlreadyClaimed
         then B/x of #1 is InProgress",
    );
}

/// A pending approval is in progress: stop-and-wait waits for it (User Guide: "waits to stop the execution until all
/// in-progress actions are completed"), and it can still be decided; abandoning ends it.
#[test]
fn stop_and_wait_waits_for_a_pending_approval() {
    play(
        "given A(s) -> B(ok?; x)
         start #1
         A/s of #1 succeeds
         stop #1
         then #1 is Stopping
         then #1 waits because is being stopped
         then #1 waits because B/ok waits for somebody to approve or reject
         B/ok of #1 is approved
         then #1 is Stopped
         then B/ok of #1 is Succeeded
         then B/x of #1 did not run",
    );
    play(
        "given A(s) -> B(ok?; x)
         start #1
         A/s of #1 succeeds
         stop #1 and abandon
         then #1 is Stopped
         B/ok of #1 is approved -- refused ApprovalAlreadyCompleted",
    );
}

/// User Guide, pipelines-stop: "For a pipeline execution in a Stopped state, the actions in the stage where the execution
/// stopped can be retried."
#[test]
fn a_stopped_stage_can_be_retried() {
    play(
        "given A(s) -> B(x,y; z) -> C(c)
         start #1
         A/s of #1 succeeds
         B/y of #1 succeeds
         stop #1 and abandon
         retry B of #1 with FAILED_ACTIONS
         then #1 is InProgress
         then B/x of #1 is in attempt 2
         then B/y of #1 is in attempt 1
         B/x of #1 succeeds
         B/z of #1 succeeds
         then #1 is in C",
    );
    play(
        "given A(s) -> B(x; z) -> C(c)
         start #1
         A/s of #1 succeeds
         stop #1
         B/x of #1 succeeds
         then #1 is Stopped
         retry B of #1 with FAILED_ACTIONS
         then B/x of #1 is in attempt 1
         then B/z of #1 is InProgress
         stop #1 and abandon
         then #1 is Stopped",
    );
}

/// Rules change nothing outside: a stop leaves them at once.
#[test]
fn a_stop_leaves_rules_at_once() {
    play(
        "given A(s) -> B(x) before=FAIL:r
         start #1
         A/s of #1 succeeds
         forget events
         stop #1
         then #1 is Stopped
         then B/before:r of #1 is Abandoned
         then BEFORE_ENTRY of B for #1 is Abandoned
         then events: #1 STOPPING | #1 B STOPPING | #1 B STOPPED | #1 STOPPED
         retry B of #1 with FAILED_ACTIONS
         then BEFORE_ENTRY of B for #1 is InProgress
         B/before:r of #1 succeeds
         then B/x of #1 is InProgress",
    );
}

/// A stage that had failed stays Failed when its execution is stopped while it waits for its last actions.
#[test]
fn a_failed_stage_stays_failed_under_a_stop() {
    play(
        "given A(s) -> B(x,y) failure=RETRY_ALL
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         stop #1
         then B of #1 is Failed
         B/y of #1 succeeds
         then #1 is Stopped
         then B of #1 is Failed
         then B/x of #1 is in attempt 1
         retry B of #1 with ALL_ACTIONS
         then B/y of #1 is in attempt 2",
    );
}

/// DESIGN: "Stop sets a flag and a `Settle` row that ends actions in pages."
#[test]
fn fifty_actions_are_abandoned_in_pages() {
    let names: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
    let mut play = play(&format!("given A(s) -> B({}) in QUEUED mode", names.join(",")));
    play.more(
        "start #1
         A/s of #1 succeeds
         stop #1 and abandon
         then #1 is Stopped
         then B/a49 of #1 is Abandoned",
    );
    assert_eq!(play.world.drivers_ended.len(), 50);
}

/// Nobody can stop what is not there.
#[test]
fn an_unknown_execution_is_not_stoppable() {
    let mut play = play("given A(s) -> B(x)\nstart #1\nA/s of #1 succeeds\nB/x of #1 succeeds");
    let stop = engine::Stop { execution: model::ExecutionId(uuid::Uuid::nil()), abandon: false, reason: None };
    let decision = play.command(engine::Command::Stop(stop)).unwrap();
    assert!(matches!(decision, engine::Decision::Refused(engine::Refusal::NotStoppable(_))), "{decision:?}");
}

/// What is being stopped starts nothing more, and says so to whoever asks why or retries.
#[test]
fn nothing_waits_for_a_place_or_a_retry_during_a_stop() {
    let stopped = play(
        "given A(s) -> B(a,b,c,d,e,f) in PARALLEL mode
         start #1
         A/s of #1 succeeds
         then #1 waits because B: f wait for a place
         B/a of #1 fails
         stop #1
         retry B of #1 with FAILED_ACTIONS -- refused StageNotRetryable
         then #1 waits because B/e is in progress",
    );
    let why = stopped.why("#1");
    assert!(why.iter().all(|why| !why.contains("for a place")), "{why:?}");
}

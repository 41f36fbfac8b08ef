//! Section 3: rollback by hand and automatic.

use model::{ExecutionType, TriggerType};

use crate::play::play;

/// 3: "A new execution (executionType ROLLBACK, rollbackMetadata.rollbackTargetPipelineExecutionId) that runs only that stage
/// with the target execution's artifacts and variables. Trigger type ManualRollback".
#[test]
fn a_rollback_runs_one_stage_as_the_target_did() {
    let mut play = play(
        "given A(s) -> B(x) -> C(c) variables N
         start #1 with N=1
         A/s of #1 succeeds
         B/x of #1 succeeds
         C/c of #1 succeeds
         start #2 with N=2
         A/s of #2 succeeds
         B/x of #2 succeeds
         forget events
         roll B back to #1
         then #3 is in B
         then events: #3 STARTED | #3 B STARTED | #3 B/x STARTED
         B/x of #3 succeeds
         then #3 is Succeeded
         then C of #3 is absent
         then events: #3 B/x SUCCEEDED | #3 B SUCCEEDED | #3 SUCCEEDED",
    );
    let rollback = play.world.execution(play.id("#3")).clone();
    assert_eq!(rollback.kind, ExecutionType::Rollback);
    assert_eq!(rollback.rollback_target, Some(play.id("#1")));
    assert_eq!(rollback.trigger.kind, TriggerType::ManualRollback);
    assert_eq!(rollback.variables["N"], "1");
    play.more("roll B back to #3 -- refused UnableToRollback");
}

/// 3: "Target must have succeeded in that stage, be of the current structure version, not itself be a rollback. Not for the
/// source stage; not in PARALLEL."
#[test]
fn a_rollback_needs_a_success_of_this_version() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         roll B back to #1 -- refused UnableToRollback
         B/x of #1 fails
         roll B back to #1 -- refused UnableToRollback
         roll A back to #1 -- refused UnableToRollback
         roll D back to #1 -- refused StageNotFound
         retry B of #1 with ALL_ACTIONS
         B/x of #1 succeeds
         roll B back to #1
         then #2 is in B
         roll B back to #1 -- refused UnableToRollback(\"An execution is in the stage",
    );
    play(
        "given A(s) -> B(x) in PARALLEL mode
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         roll B back to #1 -- refused UnableToRollback",
    );
}

/// RollbackStage has no error for the limit: ConflictException says that the pipeline is busy.
#[test]
fn a_rollback_by_hand_counts_towards_the_limit() {
    let mut play = play(
        "given A(s) -> B(x) in QUEUED mode
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds",
    );
    play.world.twice = false;
    for number in 2..=51 {
        play.more(&format!("start #{number}"));
    }
    play.more("roll B back to #1 -- refused Conflict");
}

/// 3: "Trigger type … AutomatedRollback. Automatic rollback needs a previous success." DESIGN: "a rollback takes its failed
/// execution's place in the same commit, so that nothing overtakes and no limit refuses it".
#[test]
fn a_failed_stage_rolls_back_before_anybody_else_enters() {
    let mut play = play(
        "given A(s) -> B(x) failure=ROLLBACK in QUEUED mode
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         A/s of #3 succeeds
         forget events
         B/x of #2 fails
         then #2 is Failed
         then #4 is in B
         then #3 is before B
         then #3 waits because execution #4 is in it
         then events: #2 B/x FAILED | #2 B FAILED | #2 FAILED | #4 STARTED | #4 B STARTED | #4 B/x STARTED
         retry B of #2 with FAILED_ACTIONS -- refused NotLatest",
    );
    let rollback = play.world.execution(play.id("#4")).clone();
    assert_eq!(rollback.trigger.kind, TriggerType::AutomatedRollback);
    assert_eq!(rollback.trigger.detail, play.id("#2").to_string());
    assert_eq!(rollback.rollback_target, Some(play.id("#1")));
    play.more(
        "B/x of #4 succeeds
         then #4 is Succeeded
         then #3 is in B
         B/x of #3 fails
         then #3 is Failed
         then #5 is in B",
    );
    assert_eq!(play.world.execution(play.id("#5")).rollback_target, Some(play.id("#1")), "a rollback is no target");
}

/// 3: "Automatic rollback needs a previous success."
#[test]
fn without_a_success_before_there_is_no_rollback() {
    play(
        "given A(s) -> B(x) failure=ROLLBACK
         start #1
         A/s of #1 succeeds
         B/x of #1 fails
         then #1 is Failed
         retry B of #1 with ALL_ACTIONS
         B/x of #1 succeeds
         update to A(s) -> B(x) failure=ROLLBACK
         start #2
         A/s of #2 succeeds
         forget events
         B/x of #2 fails
         then events: #2 B/x FAILED | #2 B FAILED | #2 FAILED",
    );
}

/// DESIGN: "A rollback that fails never rolls back."
#[test]
fn a_rollback_that_fails_stays_failed() {
    play(
        "given A(s) -> B(x) failure=ROLLBACK
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #2 fails
         forget events
         B/x of #3 fails
         then #3 is Failed
         then events: #3 B/x FAILED | #3 B FAILED | #3 FAILED
         roll B back to #1
         B/x of #4 fails
         then #4 is Failed
         retry B of #4 with FAILED_ACTIONS
         B/x of #4 succeeds
         then #4 is Succeeded",
    );
}

/// No limit refuses an automatic rollback.
#[test]
fn no_limit_refuses_an_automatic_rollback() {
    let mut play = play(
        "given A(s) -> B(x) failure=ROLLBACK in QUEUED mode
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds",
    );
    play.world.twice = false;
    for number in 3..=51 {
        play.more(&format!("start #{number}"));
    }
    play.more(
        "start #52 -- refused ConcurrentExecutionsLimit
         B/x of #2 fails
         then #52 is in B",
    );
}

/// 3: "Not … in PARALLEL." A declaration cannot ask for it; if one did, the stage would fail.
#[test]
fn parallel_executions_never_roll_back() {
    play(
        "given A(s) -> B(x) failure=ROLLBACK in PARALLEL mode
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         forget events
         B/x of #2 fails
         then events: #2 B/x FAILED | #2 B FAILED | #2 FAILED",
    );
}

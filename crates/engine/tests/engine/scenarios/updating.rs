//! Section 1: update, mode change and delete while executions run.

use engine::{Admission, Decision, Effect, Item, ItemKey, Live, Reason, What, Work};
use model::{ExecutionId, ExecutionMode};
use uuid::Uuid;

use crate::pipelines::pipeline;
use crate::play::play;
use crate::world::World;

/// 1: "UpdatePipeline while executions run: in-progress actions are let finish, then the execution is cancelled (Cancelled /
/// event CANCELED); pending ones too. Nothing is restarted on the new structure".
#[test]
fn an_update_cancels_what_runs_when_its_actions_have_ended() {
    play(
        "given A(s) -> B(x,y; z)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         then #2 is before B
         start #3
         forget events
         update to A(s) -> B(w)
         then #2 is Cancelled
         then #1 is InProgress
         then #1 waits because is being cancelled: its pipeline was updated or deleted
         then #1 waits because B/x is in progress
         then #3 is in A
         B/x of #1 succeeds
         B/y of #1 fails
         then #1 is Cancelled
         then B of #1 is Cancelled
         then B/z of #1 did not run
         A/s of #3 succeeds
         then #3 is Cancelled
         then A of #3 is Cancelled
         then events: #2 CANCELED | #1 B/x SUCCEEDED | #1 B/y FAILED | #1 B CANCELED | #1 CANCELED
         | #3 A/s SUCCEEDED | #3 A CANCELED | #3 CANCELED
         start #4
         then #4 is in A
         A/s of #4 succeeds
         then B/w of #4 is InProgress
         retry B of #1 with FAILED_ACTIONS -- refused NotLatest",
    );
}

/// 1: "Each successful UpdatePipeline increments `version`; executions keep the version they started with."
#[test]
fn executions_keep_the_version_they_started_with() {
    let mut play = play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         update to A(s) -> B(x)
         start #2
         then #2 is in A",
    );
    assert_eq!(play.world.execution(play.id("#1")).version, 1);
    assert_eq!(play.world.execution(play.id("#2")).version, 2);
    play.more(
        "A/s of #2 succeeds
         then #2 is before B
         then #2 waits because execution #1 is in it
         B/x of #1 succeeds
         then #1 is Cancelled
         then #2 is in B",
    );
}

/// What was not claimed yet is never started.
#[test]
fn an_action_that_no_driver_claimed_is_not_started_after_an_update() {
    play(
        "given A(s) -> B(x)
         start #1
         hold dispatch
         A/s of #1 succeeds
         update to A(s) -> B(x)
         then #1 is InProgress
         release
         wait 0 minutes
         then B/x of #1 is Cancelled
         then #1 is Cancelled",
    );
}

/// 2: "Not retryable when: the structure changed after the failure".
#[test]
fn an_update_ends_all_retries_and_rollbacks_to_before() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #2 fails
         update to A(s) -> B(x)
         retry B of #2 with FAILED_ACTIONS -- refused StageNotRetryable
         roll B back to #1 -- refused ExecutionOutdated",
    );
}

/// A condition being evaluated is no action in progress: it is left.
#[test]
fn an_update_leaves_rules_at_once() {
    play(
        "given A(s) -> B(x) before=FAIL:r
         start #1
         A/s of #1 succeeds
         update to A(s) -> B(x)
         then #1 is Cancelled
         then B/before:r of #1 is Abandoned
         then BEFORE_ENTRY of B for #1 is Cancelled",
    );
}

/// A stage that is gone is left by who was in it; its name may come back.
#[test]
fn a_lane_outlives_its_stage() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         update to A(s) -> C(c)
         then #1 is in B
         update to A(s) -> B(w)
         start #2
         A/s of #2 succeeds
         then #2 is before B
         B/x of #1 succeeds
         then #1 is Cancelled
         then B/w of #2 is InProgress",
    );
}

/// User Guide, execution-modes, "Mode change": SUPERSEDED or QUEUED to anything cancels.
#[test]
fn a_mode_change_cancels() {
    for (from, to) in [("SUPERSEDED", "QUEUED"), ("QUEUED", "SUPERSEDED"), ("QUEUED", "PARALLEL")] {
        play(&format!(
            "given A(s) -> B(x) in {from} mode
             start #1
             A/s of #1 succeeds
             start #2
             A/s of #2 succeeds
             update to A(s) -> B(x) in {to} mode
             then #2 is Cancelled
             start #3
             A/s of #3 succeeds
             B/x of #1 succeeds
             then #1 is Cancelled
             then #3 is in B"
        ));
    }
}

/// User Guide, execution-modes: "All executions are allowed to run independently of pipeline definition updates", and "the
/// execution started in PARALLEL mode will continue to run".
#[test]
fn parallel_executions_outlive_an_update() {
    for mode in ["PARALLEL", "QUEUED"] {
        play(&format!(
            "given A(s) -> B(x; z) in PARALLEL mode
             start #1
             A/s of #1 succeeds
             update to A(s) -> B(w) in {mode} mode
             start #2
             then #1 waits because B/x is in progress
             B/x of #1 succeeds
             B/z of #1 succeeds
             then #1 is Succeeded
             A/s of #2 succeeds
             then B/w of #2 is InProgress
             delete
             B/w of #2 succeeds
             then #2 is Cancelled"
        ));
    }
}

/// Delete is an update to nothing.
#[test]
fn delete_cancels_and_refuses_everything_after() {
    play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         A/s of #3 succeeds
         delete
         then #3 is Cancelled
         B/x of #2 succeeds
         then #2 is Cancelled
         start #4 -- refused PipelineNotFound
         stop #2 -- refused PipelineNotFound
         retry B of #2 with ALL_ACTIONS -- refused PipelineNotFound
         roll B back to #1 -- refused PipelineNotFound
         override BEFORE_ENTRY of B for #2 -- refused PipelineNotFound
         disable into B -- refused PipelineNotFound
         update to A(s) -> B(x) -- refused PipelineNotFound
         delete -- refused PipelineNotFound",
    );
}

/// Nobody can decide an approval of a pipeline that is gone: it is left, while what runs beside it ends by itself.
#[test]
fn delete_leaves_approvals_at_once() {
    play(
        "given A(s) -> B(ok?)
         start #1
         A/s of #1 succeeds
         then B/ok of #1 is InProgress
         delete
         then B/ok of #1 is Abandoned
         then #1 is Cancelled",
    );
    play(
        "given A(s) -> B(ok?,x)
         start #1
         A/s of #1 succeeds
         then B/x of #1 is InProgress
         delete
         then B/ok of #1 is Abandoned
         then #1 waits because B/x is in progress
         B/x of #1 succeeds
         then #1 is Cancelled",
    );
}

/// More executions than one commit can cancel are cancelled in pages, each once; a later update begins anew.
#[test]
fn an_update_cancels_in_pages() {
    let mut world = World::with(pipeline("A(s) -> B(x)", ExecutionMode::Superseded));
    let live = |ordinal: u64| Live { id: ExecutionId(Uuid::from_u128(ordinal.into())), version: 1, cancelled_by: None };
    let admission = Admission { next: 121, live: (1..=120).map(|ordinal| (ordinal, live(ordinal))).collect() };
    world.items.insert(ItemKey::Admission, Item::Admission(admission));
    for version in [2, 3] {
        let mut settled = Vec::new();
        for (page, more) in [(50, true), (50, true), (20, false)] {
            let Decision::Changed(changed) = world.happens(What::Work(Work::CancelOlderThan(version))) else {
                panic!()
            };
            assert_eq!(changed.effects.len(), page + usize::from(more));
            settled.extend(changed.effects.iter().filter_map(|effect| match effect {
                Effect::Work { work: Work::Settle(id), .. } => Some(*id),
                _ => None,
            }));
        }
        settled.sort();
        settled.dedup();
        assert_eq!(settled.len(), 120, "for version {version}");
    }
    assert_eq!(
        world.happens(What::Work(Work::CancelOlderThan(1))),
        Decision::Ignored(Reason::AlreadySo),
        "nobody is older than the first version"
    );
}

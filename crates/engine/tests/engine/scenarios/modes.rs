//! Section 1: SUPERSEDED, QUEUED and PARALLEL.

use engine::{MAX_CONCURRENT_EXECUTIONS, MAX_PARALLEL_ACTIONS};

use crate::play::{Play, play};

/// 1: "SUPERSEDED (default): an execution waiting *between* stages is replaced by a newer one that arrives at the same wait
/// point; only ONE waits (the inbound execution)."
#[test]
fn superseded_a_newer_execution_takes_the_waiting_ones_place() {
    let play = play(
        "given A(s) -> B(x)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         forget events
         then #2 is before B
         A/s of #3 succeeds
         then #2 is Superseded
         then #2 waits for nothing
         then #3 is before B
         then events: #3 A/s SUCCEEDED | #3 A SUCCEEDED | #2 SUPERSEDED
         B/x of #1 succeeds
         then #3 is in B
         B/x of #3 succeeds
         then #3 is Succeeded",
    );
    assert_eq!(play.world.execution(play.id("#2")).superseded_by, Some(play.id("#3")));
}

/// 1: "An execution that is inside a stage is never superseded. Superseded is terminal."
#[test]
fn superseded_nobody_inside_a_stage_is_replaced_and_nobody_replaced_comes_back() {
    play(
        "given A(s) -> B(x) -> C(c)
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         A/s of #3 succeeds
         then #1 is in B
         then #2 is Superseded
         stop #2 -- refused NotStoppable
         retry B of #2 with ALL_ACTIONS -- refused StageNotRetryable
         retry A of #2 with ALL_ACTIONS -- refused NotLatest
         then #2 is Superseded",
    );
}

/// The first stage has a wait point too.
#[test]
fn superseded_holds_before_the_first_stage() {
    play(
        "given A(s) -> B(x)
         start #1
         start #2
         then #2 is before A
         start #3
         then #2 is Superseded
         then #3 is before A
         A/s of #1 succeeds
         then #3 is in A",
    );
}

/// There is no limit on live executions in SUPERSEDED mode: there are never more than two a stage.
#[test]
fn superseded_has_no_limit() {
    let mut play = play("given A(s) -> B(x)");
    for number in 1..=60 {
        play.more(&format!("start #{number}"));
    }
    play.more("then #1 is in A\nthen #59 is Superseded\nthen #60 is before A");
}

/// 1: "QUEUED: order of arrival is kept; there may be several waiting executions at every stage; nothing is superseded."
#[test]
fn queued_keeps_the_order_of_arrival() {
    play(
        "given A(s) -> B(x) in QUEUED mode
         start #1
         A/s of #1 succeeds
         start #2
         start #3
         start #4
         then #2 is in A
         then #3 is before A
         then #4 waits because waits before A: 1 ahead of it
         A/s of #2 succeeds
         A/s of #3 succeeds
         A/s of #4 succeeds
         then #2 is before B
         then #3 is before B
         then #4 waits because waits before B: 2 ahead of it
         B/x of #1 succeeds
         then #2 is in B
         then #3 is before B
         B/x of #2 fails
         then #3 is in B
         B/x of #3 succeeds
         B/x of #4 succeeds
         then #4 is Succeeded",
    );
}

/// Who arrives while others wait, waits: also when the stage has just become free.
#[test]
fn queued_nobody_overtakes_between_a_stages_end_and_the_next_entry() {
    play(
        "given A(s) -> B(x) in QUEUED mode
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         start #3
         hold rows
         B/x of #1 succeeds
         B/x of #1 is advanced
         then #1 is Succeeded
         then #2 is before B
         A/s of #3 succeeds
         A/s of #3 is advanced
         then #3 is before B
         then #2 is before B
         then #2 waits because waits for nothing: its next step is being taken
         release
         wait 0 minutes
         then #2 is in B
         then #3 is before B",
    );
}

/// 1: "PARALLEL: each execution independent, no stage locks".
#[test]
fn parallel_executions_do_not_wait_for_one_another() {
    play(
        "given A(s) -> B(x) in PARALLEL mode
         start #1
         start #2
         then #1 is in A
         then #2 is in A
         A/s of #2 succeeds
         A/s of #1 succeeds
         then #1 is in B
         then #2 is in B
         B/x of #1 fails
         then #1 is Failed
         B/x of #2 succeeds
         then #2 is Succeeded
         retry B of #1 with FAILED_ACTIONS
         then #1 is in B
         B/x of #1 succeeds
         then #1 is Succeeded",
    );
}

/// 1: "QUEUED/PARALLEL: at most 50 concurrent executions; over-limit starts fail".
#[test]
fn at_most_fifty_executions_are_live() {
    for mode in ["QUEUED", "PARALLEL"] {
        let mut play = play(&format!("given A(s) -> B(x) in {mode} mode"));
        play.world.twice = false;
        for number in 1..=MAX_CONCURRENT_EXECUTIONS {
            play.more(&format!("start #{number}"));
        }
        play.more(
            "start #51 -- refused ConcurrentExecutionsLimit(50)
             A/s of #1 succeeds
             start #51 -- refused ConcurrentExecutionsLimit(50)
             B/x of #1 fails
             start #51
             retry B of #1 with ALL_ACTIONS -- refused ConcurrentExecutionsLimit(50)
             stop #51 and abandon
             retry B of #1 with ALL_ACTIONS
             then #1 is in B",
        );
    }
}

/// 1: "PARALLEL: 5 concurrent actions per execution (limits)."
#[test]
fn parallel_runs_five_actions_of_an_execution_at_a_time() {
    let mut play = play(
        "given A(s) -> B(a,b,c,d,e,f,g) -> C(c) in PARALLEL mode
         start #1
         A/s of #1 succeeds
         then B/e of #1 is InProgress
         then B/f of #1 did not run
         then #1 waits because B: f, g wait for a place
         B/c of #1 succeeds
         then B/f of #1 is InProgress
         then B/g of #1 did not run
         B/c of #1 is advanced -- ignored StillRunning
         start #2
         A/s of #2 succeeds
         then B/e of #2 is InProgress",
    );
    assert_eq!(running(&play, "#1"), MAX_PARALLEL_ACTIONS);
    play.more(
        "B/a of #1 succeeds
         B/b of #1 succeeds
         B/d of #1 succeeds
         B/e of #1 succeeds
         B/f of #1 succeeds
         then #1 is in B
         B/g of #1 succeeds
         then #1 is in C",
    );
}

/// A failure starts none of those that wait for a place; a retry runs them, and does not take an earlier run for theirs.
#[test]
fn parallel_actions_that_waited_for_a_place_run_when_the_stage_is_retried() {
    for (mode, rest) in
        [("FAILED_ACTIONS", "then B/b of #1 is in attempt 1"), ("ALL_ACTIONS", "then B/b of #1 is in attempt 2")]
    {
        play(&format!(
            "given A(s) -> B(a,b,c,d,e,f) in PARALLEL mode
             start #1
             A/s of #1 succeeds
             B/a of #1 fails
             then B/f of #1 did not run
             B/b of #1 succeeds
             B/c of #1 succeeds
             B/d of #1 succeeds
             B/e of #1 succeeds
             then #1 is Failed
             retry B of #1 with {mode}
             then B/a of #1 is in attempt 2
             {rest}"
        ));
    }
    play(
        "given A(s) -> B(a,b,c,d,e,f) in PARALLEL mode
         start #1
         A/s of #1 succeeds
         B/a of #1 succeeds
         B/b of #1 succeeds
         B/c of #1 succeeds
         B/d of #1 succeeds
         B/e of #1 succeeds
         B/f of #1 fails
         retry B of #1 with ALL_ACTIONS
         then B/f of #1 is in attempt 1
         B/a of #1 succeeds
         then B of #1 is InProgress
         then B/f of #1 is in attempt 2",
    );
}

fn running(play: &Play, number: &str) -> usize {
    let id = play.id(number);
    play.world.claimed().iter().filter(|key| key.execution == id).count()
}

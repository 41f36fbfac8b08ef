//! Sections 1, 6 and 11 as far as the engine decides them: the order of sources, overrides, revisions.

use engine::{Outcome, SourceRevision, State, Subject};

use crate::play::play;

/// DESIGN: "In SUPERSEDED mode a start older than its source head ends Superseded at once: deliveries are unordered, an old
/// push must not be deployed last."
#[test]
fn an_old_push_that_comes_late_is_superseded_at_once() {
    play(
        "given A(s) -> B(x)
         start #1 pushed b..c
         A/s of #1 succeeds
         forget events
         start #2 pushed a..b
         then #2 is Superseded
         then events: #2 STARTED | #2 SUPERSEDED
         start #3 pushed c..d
         then #3 is in A
         start #4 pushed x..y
         then #4 is before A",
    );
}

/// Pushes in between are known too, however late they come.
#[test]
fn several_old_pushes_come_late() {
    play(
        "given A(s) -> B(x)
         start #1 pushed d..e
         start #2 pushed c..d
         then #2 is Superseded
         start #3 pushed a..b
         then #3 is before A
         start #4 pushed b..c
         then #4 is Superseded",
    );
}

/// A branch that is set back leads to an old commit by a new push; in such a circle nothing is older.
#[test]
fn a_branch_set_back_is_no_old_push() {
    play(
        "given A(s) -> B(x)
         start #1 pushed a..b
         A/s of #1 succeeds
         start #2 pushed b..c
         A/s of #2 succeeds
         start #3 pushed c..a
         then #3 is in A
         start #4 pushed a..b
         then #4 is before A
         start #5 pushed b..e
         then #5 is before A",
    );
}

/// A push comes twice, and the second time late.
#[test]
fn a_push_that_comes_again_is_old_once_another_followed() {
    play(
        "given A(s) -> B(x)
         start #1 pushed a..b
         start #2 pushed b..c
         start #3 pushed a..b
         then #3 is Superseded
         then #2 is before A",
    );
}

/// DESIGN: "Older means: a smaller S3 sequencer".
#[test]
fn a_smaller_sequencer_is_older() {
    play(
        "given A(s) -> B(x)
         start #1 sequencer 0055AED6DCD90281E6
         start #2 sequencer 0055AED6DCD90281E5
         then #2 is Superseded
         start #3 sequencer 0055AED6DCD90281E7
         then #3 is before A
         start #4 sequencer 0055AED6DCD90281E700
         then #4 is before A
         start #5 sequencer 0055AED6DCD90281E6FF
         then #5 is Superseded",
    );
}

/// DESIGN: "`sourceRevisions` overrides are exempt".
#[test]
fn a_start_with_a_given_revision_is_never_old() {
    play(
        "given A(s) -> B(x)
         start #1 pushed b..c
         start #2 pushed a..b version b
         then #2 is before A
         start #3 artifact nowhere -- refused Invalid",
    );
}

/// A source revision that its action does not take is refused before anything starts.
#[test]
fn a_revision_of_a_type_that_the_source_does_not_take_is_refused() {
    play(
        "given A(s) -> B(x)
         start #1 commit c0ffee -- refused Invalid
         start #1 version v1
         then #1 is InProgress",
    );
}

/// Only SUPERSEDED executions replace one another.
#[test]
fn other_modes_run_every_push() {
    for mode in ["QUEUED", "PARALLEL"] {
        play(&format!(
            "given A(s) -> B(x) in {mode} mode
             start #1 pushed b..c
             start #2 pushed a..b
             then #2 is InProgress"
        ));
    }
}

fn brings(id: &str) -> Outcome {
    let revision = SourceRevision {
        action: "s".into(),
        artifact: None,
        revision_id: id.into(),
        summary: None,
        url: None,
        created: None,
    };
    Outcome { revision: Some(revision), ..Outcome::default() }
}

/// Also where the execution was stopped meanwhile: a retry goes on from there.
#[test]
fn revisions_are_collected_when_an_execution_is_stopped() {
    for (end, other) in [("stop #1", "A/t of #1 succeeds"), ("stop #1", "A/t of #1 fails"), ("", "stop #1 and abandon")]
    {
        let mut play = play(&format!("given A(s,t) -> B(x)\nstart #1\n{end}"));
        let key = play.key("A/s", "#1").unwrap();
        play.world.end(&key, brings("one"));
        play.more(&format!("{other}\nthen #1 is Stopped"));
        let revisions = &play.world.execution(play.id("#1")).revisions;
        assert_eq!(revisions.iter().map(|revision| revision.revision_id.as_str()).collect::<Vec<_>>(), ["one"]);
    }
}

/// What source actions bring becomes part of the execution, once, also when they run again.
#[test]
fn revisions_are_collected() {
    let mut play = play("given A(s,t) failure=RETRY_ALL -> B(x)\nstart #1");
    let key = play.key("A/s", "#1").unwrap();
    play.world.end(&key, brings("one"));
    play.more("A/t of #1 fails");
    let key = play.key("A/s", "#1").unwrap();
    assert_eq!(key.attempt, 2);
    play.world.end(&key, brings("two"));
    play.more("A/t of #1 succeeds");
    let revisions = &play.world.execution(play.id("#1")).revisions;
    assert_eq!(revisions.iter().map(|revision| revision.revision_id.as_str()).collect::<Vec<_>>(), ["two"]);
}

/// events_samples.json, notes: execution-trigger is "absent when a trigger pipeline fails in its source stage".
#[test]
fn a_failure_in_the_source_stage_does_not_say_what_started_it() {
    for (failure, says) in [("A/s of #1 fails", false), ("A/s of #1 succeeds\nB/x of #1 fails", true)] {
        let play = play(&format!("given A(s) -> B(x)\nstart #1\n{failure}\nthen #1 is Failed"));
        let triggers = play.world.published.iter().filter_map(|change| match &change.subject {
            Subject::Pipeline { trigger, .. } => Some((change.state, trigger.is_some())),
            Subject::Stage { .. } | Subject::Action(_) => None,
        });
        assert_eq!(triggers.collect::<Vec<_>>(), [(State::Started, true), (State::Failed, says)], "{failure}");
    }
}

//! Action and rule timeouts (sections 4, 8, 9 and 13), claims, and what an action's news write.

use engine::{ActionReport, Decision, Effect, ItemKey, Started, What};
use model::{ActionStatus, ExecutionMode};

use crate::pipelines::pipeline;
use crate::play::play;
use crate::world::{World, writes};

/// 13: an action that says no timeout has its type's; one that says one has that.
#[test]
fn an_action_times_out() {
    let mut play = play(
        "given A(s) -> B(x=30,y)
         start #1
         A/s of #1 succeeds
         wait 29 minutes
         then B/x of #1 is InProgress
         forget events
         wait 1 minutes
         then B/x of #1 is Failed
         then B of #1 is Failed
         then events: #1 B/x FAILED | #1 B FAILED
         B/x of #1 succeeds -- ignored ActionEnded
         wait 2130 minutes
         then B/y of #1 is Failed
         then #1 is Failed",
    );
    let error = play.world.action(&play.key("B/x", "#1").unwrap()).unwrap().error.clone().unwrap();
    assert_eq!(error.code, "Timeout");
    assert!(error.message.contains("30 minutes"), "{}", error.message);
    assert_eq!(play.world.drivers_ended.len(), 2);
    play.more("wait 100000 minutes");
    assert!(play.world.rows.is_empty());
}

/// DESIGN: "A timeout carries the stored deadline: a result after it counts as timed out even if nobody has looked yet."
#[test]
fn a_result_after_the_deadline_counts_as_timed_out() {
    let play = play(
        "given A(s) -> B(x=30)
         start #1
         A/s of #1 succeeds
         the clock jumps 30 minutes
         B/x of #1 succeeds
         then B/x of #1 is Failed
         release
         wait 0 minutes
         then #1 is Failed",
    );
    assert_eq!(play.world.action(&play.key("B/x", "#1").unwrap()).unwrap().error.as_ref().unwrap().code, "Timeout");
    assert!(play.world.rows.is_empty(), "the deadline's row is gone: {:?}", play.world.rows);
}

/// A result a moment before the deadline counts, and removes its row.
#[test]
fn a_result_before_the_deadline_counts() {
    let play = play(
        "given A(s) -> B(x=30)
         start #1
         A/s of #1 succeeds
         the clock jumps 29 minutes
         B/x of #1 succeeds
         then B/x of #1 is Succeeded
         release
         wait 0 minutes
         then #1 is Succeeded",
    );
    assert!(play.world.rows.is_empty());
}

/// A driver that is restarted after the deadline starts nothing.
#[test]
fn a_claim_after_the_deadline_ends_the_action() {
    play(
        "given A(s) -> B(x=30)
         start #1
         A/s of #1 succeeds
         the clock jumps 30 minutes
         B/x of #1 is claimed 2
         then B/x of #1 is Failed",
    );
}

/// The deadline runs from the first claim: what waits for a driver does not time out, and a restart gains no time.
#[test]
fn the_deadline_runs_from_the_first_claim() {
    play(
        "given A(s) -> B(x=30)
         start #1
         hold dispatch
         A/s of #1 succeeds
         wait 60 minutes
         then B/x of #1 is InProgress
         B/x of #1 is claimed 1
         wait 20 minutes
         B/x of #1 is claimed 2
         wait 10 minutes
         then B/x of #1 is Failed",
    );
}

/// A retried action has a deadline of its own; the one before cannot end it.
#[test]
fn deadlines_belong_to_attempts() {
    play(
        "given A(s) -> B(x=30)
         start #1
         A/s of #1 succeeds
         wait 20 minutes
         B/x of #1 fails
         retry B of #1 with FAILED_ACTIONS
         wait 15 minutes
         B/x@1 of #1 is due -- ignored ActionEnded
         then B/x of #1 is InProgress
         wait 15 minutes
         then B/x of #1 is Failed",
    );
}

/// DESIGN: "A completion writes only its own action execution and a work row of its own"; "`depends_on` never names an item
/// that parallel actions share".
#[test]
fn an_actions_news_write_its_own_item_only() {
    let mut world = World::with(pipeline("A(s,t) -> B(x)", ExecutionMode::Queued));
    let mut play = play("given A(s,t) -> B(x)\nhold dispatch\nstart #1");
    std::mem::swap(&mut world, &mut play.world);
    let key = world.actions().next().unwrap().key.clone();
    let started = Started { external_id: Some("job-1".into()), ..Started::default() };
    let reports: [(&str, What, usize); 3] = [
        ("claim", What::Action(key.clone(), ActionReport::Claim(claim())), 1),
        ("started", What::Action(key.clone(), ActionReport::Started(started)), 0),
        ("ended", What::Action(key.clone(), ActionReport::Ended(Box::default())), 1),
    ];
    for (name, what, rows) in reports {
        let Decision::Changed(changed) = world.happens(what) else { panic!("{name}") };
        let keys: Vec<_> = changed.changes.iter().map(engine::Change::key).collect();
        assert_eq!(keys, [&ItemKey::Action(key.clone())], "{name}");
        assert_eq!(changed.depends_on, [], "{name}");
        let made = changed.effects.iter().filter(|effect| matches!(effect, Effect::Work { .. })).count();
        assert_eq!(made, rows, "{name}");
    }
}

fn claim() -> engine::Claim {
    engine::Claim { drive: 1, inputs: Vec::new(), outputs: Vec::new(), log: None }
}

/// News that say nothing new are ignored.
#[test]
fn started_is_told_once() {
    let mut play = play("given A(s) -> B(x)\nstart #1");
    let key = play.key("A/s", "#1").unwrap();
    let started = || Started { external_id: Some("job-1".into()), ..Started::default() };
    let first = play.world.happens(What::Action(key.clone(), ActionReport::Started(started())));
    assert!(matches!(first, Decision::Changed(_)));
    let again = play.world.happens(What::Action(key.clone(), ActionReport::Started(started())));
    assert!(matches!(again, Decision::Ignored(engine::Reason::AlreadySo)));
    play.more("A/s of #1 succeeds");
    let action = play.world.action(&key).unwrap();
    assert_eq!((action.status, action.external_id.as_deref()), (ActionStatus::Succeeded, Some("job-1")));
}

/// DESIGN: "Budget of a commit, tested: the start of 50 parallel actions fits ≤60 writes".
#[test]
fn the_start_of_fifty_parallel_actions_fits_sixty_writes() {
    let names: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
    for before in ["A(s)", "A(s) -> B(x)"] {
        let text = format!("given {before} -> C({}) in QUEUED mode\nstart #1\nA/s of #1 succeeds", names.join(","));
        let mut play = play(&text);
        if before.contains('B') {
            // Somebody waits for the stage that is left, so that the commit also has it let in.
            play.more("start #2\nA/s of #2 succeeds\nhold rows\nB/x of #1 succeeds");
            let key = play.key("B/x", "#1").unwrap();
            let Decision::Changed(changed) = play.world.happens(What::Work(engine::Work::Advance(key))) else {
                panic!()
            };
            let consumed = 1;
            assert!((51..=60).contains(&(writes(&changed) + consumed)), "{} writes", writes(&changed) + consumed);
        }
    }
}

/// An action that fails before its driver claimed it is told as started and failed.
#[test]
fn what_fails_before_its_claim_has_started() {
    play(
        "given A(s) -> B(x)
         start #1
         hold dispatch
         A/s of #1 fails with ConfigurationError
         then events: #1 STARTED | #1 A STARTED | #1 A/s STARTED | #1 A/s FAILED | #1 A FAILED | #1 FAILED",
    );
}

/// 13: the limits of the action types.
#[test]
fn every_type_has_its_limit() {
    use model::{ActionTypeId, Category, Owner};
    let minutes = |category, owner, provider: &str| {
        let version = "1".into();
        engine::timeouts::default_minutes(&ActionTypeId { category, owner, provider: provider.into(), version })
    };
    let (hour, day) = (60, 24 * 60);
    for (category, provider, expected) in [
        (Category::Deploy, "CloudFormation", 3 * day),
        (Category::Deploy, "CodeDeploy", 5 * day),
        (Category::Deploy, "CodeDeployToECS", 5 * day),
        (Category::Deploy, "S3", 90),
        (Category::Deploy, "ECS", hour),
        (Category::Invoke, "Lambda", day),
        (Category::Invoke, "StepFunctions", 7 * day),
        (Category::Build, "CodeBuild", 36 * hour),
        (Category::Test, "CodeBuild", 8 * hour),
        (Category::Approval, "Manual", 7 * day),
        (Category::Compute, "Commands", 55),
        (Category::Source, "S3", hour),
    ] {
        assert_eq!(minutes(category, Owner::Aws, provider), expected, "{category} {provider}");
    }
    assert_eq!(minutes(Category::Deploy, Owner::Custom, "Mine"), day);
    assert_eq!(minutes(Category::Test, Owner::Custom, "Mine"), day);
}

//! Every state against every event: each decision in one line, in a snapshot to be reviewed.

use std::fmt::Write;

use engine::{
    ActionKey, ActionReport, ApprovalDecision, Change, Changed, Claim, Command, Decision, Effect, Item, ItemKey,
    Outcome, Override, Position, Refusal, Retry, Rollback, SetTransition, Slot, Started, Stop, TransitionSide, What,
    Work,
};
use model::{ConditionSlot, ExecutionId, ExecutionMode, RetryMode, Timestamp};
use uuid::Uuid;

use crate::chaos::start;
use crate::pipelines::pipeline;
use crate::play::{Play, play};

const BASE: &str = "given A(s) -> B(x,y; z) -> C(c)\nstart #1\nA/s of #1 succeeds";
const CONDITIONS: &str =
    "given A(s) -> B(x) before=FAIL:q success=FAIL:r failure=ROLLBACK:f -> C(c)\nstart #1\nA/s of #1 succeeds";

const UNCLAIMED: &str = "given A(s) -> B(x,y; z) -> C(c)\nstart #1\nhold dispatch\nA/s of #1 succeeds";

/// The states of `#1`, and of its action `B/x` or `B/SLOT:RULE`, each by how it came about.
#[expect(clippy::too_many_lines, reason = "a table")]
fn states() -> Vec<(&'static str, &'static str, String)> {
    let after = |text: &str| format!("{BASE}\n{text}");
    let in_condition = |text: &str| format!("{CONDITIONS}\n{text}");
    let waiting = "given A(s) -> B(x,y; z) -> C(c)\nstart #1\nA/s of #1 succeeds\nstart #2\nA/s of #2 succeeds";
    let rolled =
        "given A(s) -> B(x) failure=ROLLBACK\nstart #1\nA/s of #1 succeeds\nB/x of #1 succeeds\nroll B back to #1";
    let parallel = "given A(s) -> B(x,b,c,d,e,f) in PARALLEL mode\nstart #1\nA/s of #1 succeeds";
    vec![
        ("in the source stage", "B/x", "given A(s) -> B(x,y; z) -> C(c)\nstart #1".into()),
        ("action not claimed", "B/x", UNCLAIMED.into()),
        ("action not claimed, stopping", "B/x", UNCLAIMED.to_owned() + "\nstop #1"),
        ("action not claimed, updated", "B/x", UNCLAIMED.to_owned() + "\nupdate to A(s) -> B(x)"),
        (
            "waits before a free stage",
            "B/x",
            "given A(s) -> B(x) -> C(c)\ndisable into B\nstart #1\nA/s of #1 succeeds\nhold rows\nenable into B".into(),
        ),
        ("actions in progress", "B/x", BASE.into()),
        ("action overdue", "B/x", after("the clock jumps 5000 minutes")),
        ("one of two ended", "B/x", after("hold rows\nB/x of #1 succeeds")),
        ("both ended", "B/x", after("B/y of #1 succeeds\nhold rows\nB/x of #1 succeeds")),
        ("one failed, not judged", "B/x", after("B/y of #1 succeeds\nhold rows\nB/x of #1 fails")),
        ("failed, one in progress", "B/x", after("B/x of #1 fails")),
        ("retried beside one in progress", "B/x", after("B/x of #1 fails\nretry B of #1 with FAILED_ACTIONS")),
        ("earlier attempt of a retried action", "B/x@1", after("B/x of #1 fails\nretry B of #1 with FAILED_ACTIONS")),
        ("failed", "B/x", after("B/x of #1 fails\nB/y of #1 succeeds")),
        ("failed, another entered", "B/x", format!("{waiting}\nB/x of #1 fails\nB/y of #1 succeeds")),
        ("last run order ended", "B/z", after("B/x of #1 succeeds\nB/y of #1 succeeds\nhold rows\nB/z of #1 succeeds")),
        ("in the next stage", "B/x", after("B/x of #1 succeeds\nB/y of #1 succeeds\nB/z of #1 succeeds")),
        ("succeeded", "B/x", after("B/x of #1 succeeds\nB/y of #1 succeeds\nB/z of #1 succeeds\nC/c of #1 succeeds")),
        ("approval pending", "B/ok", "given A(s) -> B(ok?) -> C(c)\nstart #1\nA/s of #1 succeeds".into()),
        (
            "approval overdue",
            "B/ok",
            "given A(s) -> B(ok?=5) -> C(c)\nstart #1\nA/s of #1 succeeds\nthe clock jumps 5 minutes".into(),
        ),
        ("beforeEntry evaluated", "B/before:q", in_condition("")),
        ("beforeEntry failed", "B/before:q", in_condition("B/before:q of #1 fails")),
        ("onSuccess evaluated", "B/success:r", in_condition("B/before:q of #1 succeeds\nB/x of #1 succeeds")),
        (
            "onSuccess failed",
            "B/success:r",
            in_condition("B/before:q of #1 succeeds\nB/x of #1 succeeds\nB/success:r of #1 fails"),
        ),
        ("onFailure evaluated", "B/failure:f", in_condition("B/before:q of #1 succeeds\nB/x of #1 fails")),
        (
            "skipped",
            "B/before:v",
            "given A(s) -> B(x) before=SKIP:v -> C(c)\nstart #1\nA/s of #1 succeeds\nB/before:v of #1 fails".into(),
        ),
        (
            "waits before a held stage",
            "B/x",
            "given A(s) -> B(x) -> C(c)\ndisable into B\nstart #1\nA/s of #1 succeeds".into(),
        ),
        ("another waits behind it", "B/x", waiting.into()),
        (
            "superseded",
            "B/x",
            "given A(s) -> B(x) -> C(c)\ndisable into B\nstart #1\nA/s of #1 succeeds\nstart #2\nA/s of #2 succeeds"
                .into(),
        ),
        ("stopping", "B/x", after("stop #1")),
        ("stopping, all ended", "B/x", after("stop #1\nB/y of #1 succeeds\nhold rows\nB/x of #1 succeeds")),
        ("abandon asked", "B/x", after("hold rows\nstop #1 and abandon")),
        ("stopped", "B/x", after("stop #1 and abandon")),
        (
            "stopped before a stage",
            "B/x",
            "given A(s) -> B(x) -> C(c)\ndisable into B\nstart #1\nA/s of #1 succeeds\nstop #1".into(),
        ),
        ("updated, actions in progress", "B/x", after("update to A(s) -> B(x,y; z) -> C(c)")),
        (
            "updated, all ended",
            "B/x",
            after("update to A(s) -> B(x,y; z) -> C(c)\nB/y of #1 succeeds\nhold rows\nB/x of #1 succeeds"),
        ),
        ("cancelled", "B/x", after("update to A(s) -> B(x,y; z) -> C(c)\nB/y of #1 succeeds\nB/x of #1 succeeds")),
        ("deleted, actions in progress", "B/x", after("delete")),
        ("rolled back to", "B/x", rolled.into()),
        (
            "failed and rolled back",
            "B/x",
            format!("{rolled}\nB/x of #2 succeeds\nstart #3\nA/s of #3 succeeds\nB/x of #3 fails"),
        ),
        ("parallel, one waits for a place", "B/x", parallel.into()),
        ("parallel, a place is free", "B/x", format!("{parallel}\nhold rows\nB/x of #1 succeeds")),
        ("parallel, updated", "B/x", format!("{parallel}\nupdate to A(s) -> B(x)")),
    ]
}

/// Every kind of event, about `#1`, its stage `B` and its action.
#[expect(clippy::too_many_lines, reason = "a table")]
fn events(play: &Play, key: &ActionKey) -> Vec<(&'static str, What)> {
    let (execution, stage, by) = (key.execution, key.stage.clone(), "arn:ann".to_owned());
    let command = What::Command;
    let action = |report| What::Action(key.clone(), report);
    let transition = |disable: Option<&str>| {
        let (stage, by, disable) = ("B".into(), "arn:ann".into(), disable.map(Into::into));
        command(Command::SetTransition(SetTransition { stage, side: TransitionSide::Inbound, disable, by }))
    };
    let retry = |mode| command(Command::Retry(Retry { execution, stage: stage.clone(), mode }));
    let over = |condition| command(Command::Override(Override { execution, stage: stage.clone(), condition }));
    let stop = |abandon| command(Command::Stop(Stop { execution, abandon, reason: None }));
    let claim = |drive| action(ActionReport::Claim(Claim { drive, inputs: vec![], outputs: vec![], log: None }));
    let failure = Outcome::failed("JobFailed", "it broke");
    let approval = play.world.action(key).and_then(|action| action.approval.clone());
    let token = approval.map_or("wrong".into(), |approval| approval.token);
    let decision =
        ApprovalDecision { approved: true, summary: String::new(), by: by.clone(), via: None, at: play.world.now };
    let started = Started { external_id: Some("job-1".into()), ..Started::default() };
    let next = Box::new(pipeline("A(s) -> B(x,y; z) -> C(c)", ExecutionMode::Superseded));
    vec![
        ("start", command(Command::Start(start()))),
        ("stop", stop(false)),
        ("stop and abandon", stop(true)),
        ("retry failed actions", retry(RetryMode::FailedActions)),
        ("retry all actions", retry(RetryMode::AllActions)),
        ("roll back", command(Command::Rollback(Rollback { stage: stage.clone(), target: execution, by }))),
        ("override beforeEntry", over(ConditionSlot::BeforeEntry)),
        ("override onSuccess", over(ConditionSlot::OnSuccess)),
        ("disable", transition(Some("a freeze"))),
        ("enable", transition(None)),
        ("update", command(Command::Update(next))),
        ("delete", command(Command::Delete)),
        ("advance", What::Work(Work::Advance(key.clone()))),
        ("admit", What::Work(Work::Admit("B".into()))),
        ("settle", What::Work(Work::Settle(execution))),
        ("cancel older", What::Work(Work::CancelOlderThan(2))),
        ("due", What::Work(Work::Due(key.clone()))),
        ("claim", claim(1)),
        ("claim again", claim(2)),
        ("started", action(ActionReport::Started(started))),
        ("approved", action(ActionReport::Decided { token, decision })),
        ("succeeds", action(ActionReport::Ended(Box::default()))),
        ("fails", action(ActionReport::Ended(Box::new(failure)))),
    ]
}

#[test]
fn every_state_against_every_event() {
    let mut lines = String::new();
    for (name, path, script) in states() {
        let mut play = play(&script);
        let absent = ActionKey {
            execution: play.id("#1"),
            stage: "B".into(),
            slot: Slot::RunOrder(1),
            name: "x".into(),
            attempt: 1,
        };
        let key = play.key(path, "#1").unwrap_or(absent);
        writeln!(lines, "\n{name}: {}", state(&play, path)).expect("a string");
        for (event, what) in events(&play, &key) {
            let event_at = play.world.event(what);
            let decision = play.world.decide(&event_at);
            writeln!(lines, "  {event:<21} {}", told(&play, &decision)).expect("a string");
        }
    }
    insta::assert_snapshot!("matrix", lines);
}

/// What is known to nobody: no execution, then no pipeline.
#[test]
fn what_is_unknown_against_every_event() {
    let mut lines = String::new();
    for (name, script) in [("no such execution", "given A(s) -> B(x)"), ("no such pipeline", "wait 0 minutes")] {
        let mut play = play(script);
        let execution = ExecutionId(Uuid::nil());
        let slot = Slot::RunOrder(1);
        let key = ActionKey { execution, stage: "B".into(), slot, name: "x".into(), attempt: 1 };
        writeln!(lines, "\n{name}:").expect("a string");
        for (event, what) in events(&play, &key) {
            let event_at = play.world.event(what);
            let decision = play.world.decide(&event_at);
            writeln!(lines, "  {event:<21} {}", told(&play, &decision)).expect("a string");
        }
    }
    insta::assert_snapshot!("unknown", lines);
}

fn state(play: &Play, path: &str) -> String {
    let id = play.id("#1");
    let execution = play.world.execution(id);
    let stage = play.world.stage(id, "B").map(|stage| format!(", B {} {:?}", stage.status, stage.phase));
    let action = play.key(path, "#1").and_then(|key| play.world.action(&key).cloned());
    let action = action.map(|action| format!(", {path} {} drive {}", action.status, action.drive));
    format!("{}{}{}", execution.status, stage.unwrap_or_default(), action.unwrap_or_default())
}

/// A decision in one line.
fn told(play: &Play, decision: &Decision) -> String {
    match decision {
        Decision::Ignored(reason) => format!("- {reason:?}"),
        Decision::Refused(refusal) => format!("! {}", refused(refusal)),
        Decision::Changed(changed) => changes(play, changed),
    }
}

fn refused(refusal: &Refusal) -> String {
    format!("{refusal:?}").split('(').next().unwrap_or_default().to_owned()
}

fn changes(play: &Play, changed: &Changed) -> String {
    let play = play.numbered_with(changed.execution);
    let written = changed.changes.iter().filter_map(|change| match change {
        Change::Create(key, item) => Some(format!("+{}", written(&play, key, item)?)),
        Change::Replace(key, item) => Some(written(&play, key, item)?),
        Change::Delete(key) => Some(format!("-{key:?}")),
    });
    let mut words: Vec<String> = written.collect();
    let needs: Vec<_> = changed.depends_on.iter().map(|key| format!("needs {key:?}")).collect();
    words.extend(needs);
    let effects = changed.effects.iter().map(|effect| followed(&play, effect));
    words.extend(effects.collect::<Vec<_>>());
    words.join(" | ")
}

fn written(play: &Play, key: &ItemKey, item: &Item) -> Option<String> {
    Some(match item {
        Item::Pipeline(pipeline) if pipeline.deleted_at.is_some() => "pipeline deleted".into(),
        Item::Pipeline(pipeline) => format!("pipeline version {}", pipeline.version),
        // What a version says goes without saying.
        Item::Header(_) | Item::StagePart(_) => return None,
        Item::Admission(admission) => format!("admission {:?}", admission.live.keys().collect::<Vec<_>>()),
        Item::SourceHead(_) => "source head".into(),
        Item::Lane(lane) => {
            let waiting: Vec<_> = lane.waiting.values().map(|id| play.number(*id)).collect();
            let state = format!("{:?}", lane.state);
            let state = state.split('(').next().unwrap_or_default();
            let holder = lane.state.holder().map(|id| format!(" {}", play.number(id))).unwrap_or_default();
            let held = if lane.holds.is_empty() { "" } else { " held" };
            let ItemKey::Lane(stage) = key else { return None };
            format!("lane {stage} {state}{holder}{held} {waiting:?}").replace('"', "").replace(" []", "")
        }
        Item::Execution(execution) => {
            let at = execution.at.iter().map(|(stage, position)| match position {
                Position::Waiting => format!(" before {stage}"),
                Position::Inside => format!(" in {stage}"),
            });
            let attempt = if execution.attempt > 1 { format!(" attempt {}", execution.attempt) } else { String::new() };
            format!("{} {}{}{attempt}", play.number(execution.id), execution.status, at.collect::<String>())
        }
        Item::StageExecution(stage) => {
            let conditions = stage.conditions.iter().map(|(slot, state)| format!(" {slot} {}", state.status));
            let phase = format!("{:?}", stage.phase);
            format!(
                "{} {} {} {phase}{}",
                play.number(stage.execution),
                stage.stage,
                stage.status,
                conditions.collect::<String>()
            )
        }
        Item::Action(action) => format!("{} {}", named(&action.key), action.status),
        Item::Success(_) => {
            let ItemKey::Success(stage, _) = key else { return None };
            format!("success {stage}")
        }
    })
}

fn named(key: &ActionKey) -> String {
    let slot = match key.slot {
        Slot::RunOrder(_) => String::new(),
        Slot::Rule(slot) => format!("{slot}:"),
    };
    format!("{}/{slot}{}@{}", key.stage, key.name, key.attempt)
}

fn followed(play: &Play, effect: &Effect) -> String {
    match effect {
        Effect::Work { work, due } => {
            let work = match work {
                Work::Advance(key) => format!("Advance {}", named(key)),
                Work::Admit(stage) => format!("Admit {stage}"),
                Work::Settle(id) => format!("Settle {}", play.number(*id)),
                Work::CancelOlderThan(version) => format!("CancelOlderThan {version}"),
                Work::Due(key) => format!("Due {}", named(key)),
            };
            format!("> {work}{}", due.map(|due| format!(" in {} min", minutes(play, due))).unwrap_or_default())
        }
        Effect::Dispatch(keys) => format!("> dispatch {}", keys.iter().map(named).collect::<Vec<_>>().join(" ")),
        Effect::Publish(change) => format!("\"{}\"", play.named(change)),
        Effect::EndDriver(key) => format!("leave {}", named(key)),
        Effect::CancelDue(key, _) => format!("not due {}", named(key)),
    }
}

fn minutes(play: &Play, due: Timestamp) -> i64 {
    (due.0 - play.world.now.0) / 60_000
}

//! Providers of a run: they take any time, succeed, fail, hang, or work elsewhere and are asked for news.

use control::ports::{ActionReply, ActionRequest};
use engine::{ActionKey, Outcome, SourceRevision, Started};
use model::{Category, Timestamp};

use super::history::{Start, Step};
use super::outside::{Job, Outside};

/// The longest that work takes, in milliseconds.
const LONGEST: i64 = 15 * 60_000;

/// Starts an action and waits until its provider replies.
pub(super) async fn start(around: &Outside, request: &ActionRequest, now: Timestamp) -> ActionReply {
    let key = request.action.key.clone();
    let drive = request.action.drive;
    let inputs = request.action.inputs.iter().map(|input| (input.name.to_string(), input.key.clone()));
    around.recorder.note(Step::Started(Box::new(Start {
        key: key.clone(),
        pipeline: request.pipeline_id,
        drive,
        inputs: inputs.collect(),
        configuration: request.declaration.configuration.clone(),
    })));
    let category = request.action.action_type.category;
    let dice = &around.dice;
    if category == Category::Approval {
        return ActionReply::Pending { started: Started::default(), poll_at: None };
    }
    let provider = request.action.action_type.provider.as_str();
    let elsewhere = provider == "DeploymentWindow" || dice.chance(25);
    let length = length(around);
    if elsewhere && category != Category::Source {
        let interval = dice.range(30_000, 8 * 60_000);
        let outcome = outcome(around, request);
        let ends_at = around.time.elapsed().saturating_add(length);
        around.jobs.borrow_mut().insert((key.clone(), drive), Job { ends_at, outcome, interval });
        let started = Started { external_id: Some(format!("job-{}", around.next_result())), ..Started::default() };
        return ActionReply::Pending { started, poll_at: Some(now.plus_millis(interval)) };
    }
    around.time.sleep(length).await;
    let outcome = outcome(around, request);
    result(around, &key, drive, outcome)
}

/// Asks for news of work elsewhere.
pub(super) fn poll(around: &Outside, request: &ActionRequest, now: Timestamp) -> ActionReply {
    let key = (request.action.key.clone(), request.action.drive);
    let job = around.jobs.borrow().get(&key).cloned();
    match job {
        None => result(around, &key.0, key.1, Outcome::failed("JobLost", "The provider knows of no such job.")),
        Some(job) if job.ends_at <= around.time.elapsed() => result(around, &key.0, key.1, job.outcome),
        Some(job) => ActionReply::Pending { started: Started::default(), poll_at: Some(now.plus_millis(job.interval)) },
    }
}

/// How long work takes; sometimes it never ends.
fn length(around: &Outside) -> i64 {
    let dice = &around.dice;
    match dice.index(20) {
        0 => i64::MAX,
        1..=5 => 0,
        6..=14 => dice.range(1, around.pace),
        _ => dice.range(60_000, LONGEST),
    }
}

/// A result, with a number that tells it from every other.
fn result(around: &Outside, key: &ActionKey, drive: u32, outcome: Outcome) -> ActionReply {
    let number = around.next_result();
    around.recorder.note(Step::Result(number, key.clone(), drive));
    ActionReply::Ended(Box::new(Outcome { summary: Some(format!("result-{number}")), ..outcome }))
}

fn outcome(around: &Outside, request: &ActionRequest) -> Outcome {
    if around.dice.chance(15) {
        let code = around.dice.pick(&["JobFailed", "JobFailed", "ConfigurationError", "StartOutcomeUnknown"]);
        return Outcome::failed(*code.unwrap_or(&"JobFailed"), "The work failed.");
    }
    let action = &request.action;
    let made = around.next_result();
    let value = format!("{}-{}-{made}", action.key.stage, action.key.name);
    let revision = (action.action_type.category == Category::Source).then(|| SourceRevision {
        action: action.key.name.clone(),
        artifact: action.outputs.first().map(|output| output.name.clone()),
        revision_id: format!("revision-{made}"),
        summary: None,
        url: None,
        created: None,
    });
    let outputs = action.outputs.iter().cloned().map(|mut output| {
        output.digest = Some(format!("{made:064x}"));
        output
    });
    Outcome {
        revision,
        outputs: outputs.collect(),
        variables: [("out".to_owned(), value)].into_iter().collect(),
        ..Outcome::default()
    }
}

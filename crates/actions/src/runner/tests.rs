use std::collections::HashMap;
use std::sync::Mutex;

use control::ports::ActionRunner as _;
use serde_json::json;

use super::*;
use crate::roles::SameRole;
use crate::testing::{self, ACTION_ID, Asked, FakeAws, Fixed, Host};

const NIGHT: &str = "2026-11-24T00:00:30Z";

/// A second driver of the same attempt, whose first died between the provider's call and the commit.
fn restarted(request: &ActionRequest) -> ActionRequest {
    let mut again = request.clone();
    again.action.drive = 2;
    again
}

/// CodeBuild that knows tokens, lists builds newest first, and forgets tokens when told to.
#[derive(Default)]
struct Builds {
    by_token: HashMap<String, usize>,
    marks: Vec<String>,
}

fn codebuild(builds: Arc<Mutex<Builds>>) -> FakeAws {
    FakeAws::new(move |asked: &Asked| {
        let mut builds = builds.lock().unwrap();
        let body = asked.json();
        let build = |number: usize, mark: &str| {
            let variables = json!([{"name": "PENSTOCK_ACTION_EXECUTION_ID", "value": mark, "type": "PLAINTEXT"}]);
            json!({"id": format!("proj:{number}"), "buildStatus": "IN_PROGRESS", "startTime": 1_795_478_400.0 + number as f64,
                   "environment": {"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL",
                                   "environmentVariables": variables}})
        };
        let answer = match asked.operation() {
            "StartBuild" => {
                let token = body["idempotencyToken"].as_str().unwrap().to_owned();
                let mark = body["environmentVariablesOverride"][0]["value"].as_str().unwrap().to_owned();
                let number = match builds.by_token.get(&token) {
                    Some(number) => *number,
                    None => {
                        builds.marks.push(mark);
                        let number = builds.marks.len();
                        builds.by_token.insert(token, number);
                        number
                    }
                };
                json!({"build": build(number, &builds.marks[number - 1])})
            }
            "ListBuildsForProject" => {
                let ids: Vec<String> = (1..=builds.marks.len()).rev().map(|number| format!("proj:{number}")).collect();
                json!({"ids": ids})
            }
            "BatchGetBuilds" => {
                let number = |id: &serde_json::Value| -> usize { id.as_str().unwrap()[5..].parse().unwrap() };
                let ids = body["ids"].as_array().unwrap();
                let found = ids.iter().map(|id| build(number(id), &builds.marks[number(id) - 1]));
                json!({"builds": found.collect::<Vec<_>>()})
            }
            // The look at an input.
            _ => return (200, String::new()),
        };
        (200, answer.to_string())
    })
}

fn build_request() -> ActionRequest {
    let mut request = testing::request("Build", "CodeBuild", &[("ProjectName", "proj")]);
    request.action.inputs = vec![testing::artifact("In", "p/In/1")];
    request
}

#[tokio::test]
async fn a_build_is_not_started_twice_while_its_token_holds() {
    let builds = Arc::new(Mutex::new(Builds::default()));
    let fake = codebuild(builds.clone());
    let runner = fake.runner(Fixed::at(NIGHT));
    let request = build_request();
    let (first, _) = testing::pending(runner.start(request.clone()).await);
    let (second, _) = testing::pending(runner.start(restarted(&request)).await);
    assert_eq!(first.external_id, second.external_id);
    assert_eq!(builds.lock().unwrap().marks, [ACTION_ID]);
    assert_eq!(fake.count("StartBuild"), 2, "repeated with the same token");
}

#[tokio::test]
async fn a_build_is_found_again_once_its_token_is_forgotten() {
    let builds = Arc::new(Mutex::new(Builds::default()));
    let fake = codebuild(builds.clone());
    let clock = Fixed::at(NIGHT);
    let runner = fake.runner(clock.clone());
    let request = build_request();
    let (first, _) = testing::pending(runner.start(request.clone()).await);
    {
        let mut builds = builds.lock().unwrap();
        builds.by_token.clear();
        // Somebody else's, newer.
        builds.marks.push("another".into());
    }
    clock.set("2026-11-24T00:06:00Z");
    let (second, _) = testing::pending(runner.start(restarted(&request)).await);
    assert_eq!(first.external_id, second.external_id);
    assert_eq!(fake.count("StartBuild"), 1);
}

#[tokio::test]
async fn a_build_that_was_never_started_is_started_by_the_second_driver() {
    let builds = Arc::new(Mutex::new(Builds::default()));
    let fake = codebuild(builds.clone());
    let runner = fake.runner(Fixed::at("2026-11-24T00:06:00Z"));
    let (started, _) = testing::pending(runner.start(restarted(&build_request())).await);
    assert_eq!(started.external_id.as_deref(), Some("proj:1"));
}

#[tokio::test]
async fn a_function_is_not_invoked_twice() {
    let fake = FakeAws::new(|_| (202, String::new()));
    let runner = fake.runner(Fixed::at(NIGHT));
    let request = testing::request("Invoke", "Lambda", &[("FunctionName", "f")]);
    testing::pending(runner.start(request.clone()).await);
    let (code, message) = testing::error(runner.start(restarted(&request)).await);
    assert_eq!(code, "StartOutcomeUnknown");
    assert!(message.contains("retry the stage"), "{message}");
    assert_eq!(fake.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_connection_fails_what_may_be_started_once_only() {
    let fake = FakeAws::with(|_| None);
    let mut parts = fake.parts(Fixed::at(NIGHT), Arc::new(Host::default()));
    parts.roles = Arc::new(SameRole(fake.retrying_config()));
    let request = testing::request("Invoke", "Lambda", &[("FunctionName", "f")]);
    let (code, _) = testing::error(ProviderRunner::impatient(parts).start(request).await);
    assert_eq!(code, "StartOutcomeUnknown");
    assert_eq!(fake.requests().len(), 1, "the SDK repeats nothing either");
}

#[tokio::test]
async fn a_throttled_function_is_invoked_later() {
    let mut calls = 0;
    let fake = FakeAws::with(move |_| {
        calls += 1;
        let status = if calls == 1 { 429 } else { 202 };
        let kind = ("x-amzn-errortype".to_owned(), "TooManyRequestsException".to_owned());
        Some((status, if status == 429 { vec![kind] } else { Vec::new() }, b"{}".to_vec()))
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let request = testing::request("Invoke", "Lambda", &[("FunctionName", "f")]);
    let (started, _) = testing::pending(runner.start(request).await);
    assert_eq!(started.external_id.as_deref(), Some(ACTION_ID));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn a_start_whose_outcome_is_unknown_is_repeated_where_that_is_safe() {
    let builds = Arc::new(Mutex::new(Builds::default()));
    let mut broken = true;
    let counted = builds.clone();
    let fake = FakeAws::with(move |asked| {
        if asked.operation() != "StartBuild" {
            return Some((200, Vec::new(), Vec::new()));
        }
        let token = asked.json()["idempotencyToken"].as_str().unwrap().to_owned();
        let mut builds = counted.lock().unwrap();
        if !builds.by_token.contains_key(&token) {
            builds.marks.push(token.clone());
            let number = builds.marks.len();
            builds.by_token.insert(token, number);
        }
        // It was started, but the answer is lost.
        (!std::mem::take(&mut broken))
            .then(|| (200, Vec::new(), json!({"build": {"id": "proj:1"}}).to_string().into_bytes()))
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let (started, _) = testing::pending(runner.start(build_request()).await);
    assert_eq!(started.external_id.as_deref(), Some("proj:1"));
    assert_eq!(builds.lock().unwrap().marks.len(), 1);
}

#[tokio::test]
async fn what_could_not_be_started_yet_is_started_by_the_next_question() {
    let up = Arc::new(Mutex::new(false));
    let state = up.clone();
    let fake = FakeAws::with(move |asked| match (asked.operation(), *state.lock().unwrap()) {
        ("StartBuild", false) => Some((400, Vec::new(), json!({"__type": "ThrottlingException"}).to_string().into())),
        ("StartBuild", true) => Some((200, Vec::new(), json!({"build": {"id": "proj:1"}}).to_string().into())),
        _ => Some((200, Vec::new(), Vec::new())),
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let mut request = build_request();
    let (started, poll_at) = testing::pending(runner.start(request.clone()).await);
    assert_eq!(started.external_id.as_deref(), Some(ACTION_ID), "stands for the build's until there is one");
    assert!(started.summary.unwrap().starts_with("not started yet"));
    assert_eq!(poll_at, Some(testing::time("2026-11-24T00:01:00Z")));
    *up.lock().unwrap() = true;
    request.external_id = started.external_id;
    let (started, _) = testing::pending(runner.poll(request).await);
    assert_eq!(started.external_id.as_deref(), Some("proj:1"));
}

#[tokio::test]
async fn a_state_machine_is_not_started_twice() {
    let names = Arc::new(Mutex::new(Vec::new()));
    let known = names.clone();
    let fake = FakeAws::new(move |asked| {
        let mut known = known.lock().unwrap();
        match asked.operation() {
            "DescribeStateMachine" => (200, describe_machine("STANDARD")),
            "StartExecution" => {
                known.push(asked.json()["name"].as_str().unwrap().to_owned());
                (200, json!({"executionArn": "arn:aws:states:us-east-1:1:execution:m:n", "startDate": 1.0}).to_string())
            }
            "DescribeExecution" if known.is_empty() => (400, json!({"__type": "ExecutionDoesNotExist"}).to_string()),
            _ => (200, describe_execution("RUNNING")),
        }
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let machine = "arn:aws:states:us-east-1:1:stateMachine:m";
    let request = testing::request("Invoke", "StepFunctions", &[("StateMachineArn", machine)]);
    testing::pending(runner.start(restarted(&request)).await);
    testing::pending(runner.start(restarted(&request)).await);
    assert_eq!(*names.lock().unwrap(), [ACTION_ID]);
}

#[tokio::test]
async fn an_express_state_machine_is_never_started_by_a_second_driver() {
    let fake = FakeAws::new(|_| (200, describe_machine("EXPRESS")));
    let runner = fake.runner(Fixed::at(NIGHT));
    let machine = "arn:aws:states:us-east-1:1:stateMachine:m";
    let request = testing::request("Invoke", "StepFunctions", &[("StateMachineArn", machine)]);
    let (code, _) = testing::error(runner.start(restarted(&request)).await);
    assert_eq!(code, "StartOutcomeUnknown");
    assert_eq!(fake.count("StartExecution"), 0);
}

fn describe_machine(kind: &str) -> String {
    json!({"stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:m", "name": "m", "definition": "{}",
           "roleArn": "r", "type": kind, "creationDate": 1.0})
    .to_string()
}

fn describe_execution(status: &str) -> String {
    json!({"executionArn": "arn:aws:states:us-east-1:1:execution:m:n", "status": status, "startDate": 1.0,
           "stateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:m"})
    .to_string()
}

#[tokio::test]
async fn a_pipeline_is_not_started_twice() {
    let host = Arc::new(Host::default());
    let fake = FakeAws::with(|_| None);
    let runner = ProviderRunner::impatient(fake.parts(Fixed::at(NIGHT), host.clone()));
    let request = testing::request("Invoke", "CodePipeline", &[("PipelineName", "other")]);
    let (first, _) = testing::pending(runner.start(request.clone()).await);
    let (second, _) = testing::pending(runner.start(restarted(&request)).await);
    assert_eq!(first.external_id, second.external_id);
    assert_eq!(host.started.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_is_asked_for_again_by_the_same_message() {
    let fake = FakeAws::new(|_| {
        (200, "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>".into())
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let topic = ("NotificationArn", "arn:aws:sns:us-east-1:1:t.fifo");
    let request = testing::request("Approval", "Manual", &[topic]);
    testing::pending(runner.start(request.clone()).await);
    testing::pending(runner.start(restarted(&request)).await);
    let requests = fake.requests();
    assert_eq!(requests[0].form("Message"), requests[1].form("Message"));
    assert_eq!(requests[1].form("MessageDeduplicationId"), ACTION_ID);
}

#[tokio::test]
async fn questions_that_are_not_answered_are_asked_again() {
    let fake = FakeAws::with(|_| None);
    let runner = fake.runner(Fixed::at("2026-11-24T00:20:00Z"));
    let request = ActionRequest { external_id: Some("proj:1".into()), ..build_request() };
    let (started, poll_at) = testing::pending(runner.poll(request).await);
    assert_eq!(started, Started::default());
    assert_eq!(poll_at, Some(testing::time("2026-11-24T00:25:00Z")));
}

#[tokio::test]
async fn what_is_denied_fails_the_action_with_the_statement() {
    let fake = FakeAws::new(|asked| match asked.operation() {
        "StartBuild" => (400, json!({"__type": "AccessDeniedException", "message": "no"}).to_string()),
        _ => (200, String::new()),
    });
    let runner = fake.runner(Fixed::at(NIGHT));
    let (code, message) = testing::error(runner.start(build_request()).await);
    assert_eq!(code, "PermissionError");
    for part in [
        "the role arn:aws:iam::111122223333:role/act may not codebuild:StartBuild",
        "\"Resource\":\"arn:aws:codebuild:us-east-1:111122223333:project/proj\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_type_without_a_provider_is_a_configuration_error() {
    let fake = FakeAws::with(|_| None);
    let runner = fake.runner(Fixed::at(NIGHT));
    for (category, provider) in [("Deploy", "CodeDeploy"), ("Source", "ECR"), ("Compute", "Commands")] {
        let (code, message) = testing::error(runner.start(testing::request(category, provider, &[])).await);
        assert_eq!(code, "ConfigurationError", "{message}");
    }
    assert!(fake.requests().is_empty());
}

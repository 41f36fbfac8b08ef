use control::ports::ActionRunner as _;
use serde_json::{Value, json};

use super::*;
use crate::testing::{self, ACTION_ID, Asked, FakeAws, Fixed};

const MACHINE: &str = "arn:aws:states:eu-west-1:111122223333:stateMachine:m";
const NOW: &str = "2026-11-24T00:00:00Z";

fn request(settings: &[(&str, &str)]) -> ActionRequest {
    let mut all = vec![("StateMachineArn", MACHINE)];
    all.extend(settings);
    testing::request("Invoke", "StepFunctions", &all)
}

#[test]
fn executions_are_named_after_the_action_execution() {
    for (settings, name) in
        [(vec![], ACTION_ID.to_owned()), (vec![("ExecutionNamePrefix", "mine")], format!("mine-{ACTION_ID}"))]
    {
        let call = call(&request(&settings)).unwrap();
        assert_eq!(call.name, name);
        let arn = format!("arn:aws:states:eu-west-1:111122223333:execution:m:{name}");
        assert_eq!(execution_arn(&call), arn);
    }
    let long = "x".repeat(44);
    let Err(Fault::Ends { message, .. }) = call(&request(&[("ExecutionNamePrefix", &long)])) else { panic!() };
    assert_eq!(message, "action Act: configuration.ExecutionNamePrefix: has more than 43 characters");
    assert!(call(&request(&[("StateMachineArn", "m")])).is_err());
}

#[test]
fn an_alias_does_not_stand_in_an_executions_arn() {
    let machine = format!("{MACHINE}:live");
    let call = call(&request(&[("StateMachineArn", &machine)])).unwrap();
    assert!(execution_arn(&call).contains(":execution:m:"), "{}", execution_arn(&call));
}

#[test]
fn inputs_must_be_json() {
    let request = request(&[]);
    let checked = |input: &str| checked_input(Settings(&request), input.into());
    assert_eq!(checked("{\"a\":1}"), Ok("{\"a\":1}".into()));
    assert!(matches!(checked("{a"), Err(Fault::Ends { code: "ConfigurationError", .. })));
    assert!(checked(&format!("\"{}\"", "x".repeat(MAX_INPUT_BYTES))).is_err());
}

/// Step Functions with one machine; executions are in `status`.
fn states(kind: &'static str, status: &'static str) -> FakeAws {
    FakeAws::new(move |asked: &Asked| {
        let machine = json!({"stateMachineArn": MACHINE, "name": "m", "definition": "{}", "roleArn": "r",
                             "type": kind, "creationDate": 1.0});
        let execution = json!({"executionArn": "arn:e", "stateMachineArn": MACHINE, "status": status,
                               "startDate": 1.0, "output": "{\"done\":true}", "error": "Boom", "cause": "because"});
        let answer = match asked.operation() {
            "DescribeStateMachine" => machine,
            "StartExecution" => json!({"executionArn": "arn:e", "startDate": 1.0}),
            "DescribeExecution" => execution,
            _ => Value::Null,
        };
        (200, answer.to_string())
    })
}

#[tokio::test]
async fn a_standard_execution_is_started_where_its_machine_is_and_waited_for() {
    let fake = states("STANDARD", "RUNNING");
    let request = request(&[("Input", "{\"action\":\"test\"}")]);
    let (started, _) = testing::pending(fake.runner(Fixed::at(NOW)).start(request).await);
    assert_eq!(started.external_id.as_deref(), Some("arn:e"));
    let asked = fake.requests();
    assert!(asked.iter().all(|asked| asked.uri.contains("eu-west-1")), "{asked:?}");
    assert_eq!(
        asked[1].json(),
        json!({"stateMachineArn": MACHINE, "name": ACTION_ID, "input": "{\"action\":\"test\"}"})
    );
}

#[tokio::test]
async fn an_express_execution_is_started_and_left() {
    let fake = states("EXPRESS", "RUNNING");
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).start(request(&[])).await);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.variables["StateMachineArn"], MACHINE);
    let mut with_output = request(&[]);
    with_output.action.outputs = vec![testing::artifact("Out", "pipe/Out/1")];
    let (code, _) = testing::error(fake.runner(Fixed::at(NOW)).start(with_output).await);
    assert_eq!(code, "ConfigurationError");
    assert_eq!(fake.count("StartExecution"), 1);
}

#[tokio::test]
async fn an_executions_end_is_the_actions() {
    for (status, expected) in [
        ("RUNNING", None),
        ("PENDING_REDRIVE", None),
        ("SUCCEEDED", Some(String::new())),
        ("FAILED", Some("the execution arn:e ended FAILED: Boom: because".into())),
        ("TIMED_OUT", Some("the execution arn:e ended TIMED_OUT: Boom: because".into())),
        ("ABORTED", Some("the execution arn:e ended ABORTED: Boom: because".into())),
    ] {
        let fake = states("STANDARD", status);
        let request = ActionRequest { external_id: Some("arn:e".into()), ..request(&[]) };
        let ended = match fake.runner(Fixed::at(NOW)).poll(request).await {
            ActionReply::Pending { .. } => None,
            ActionReply::Ended(outcome) => Some(outcome.error.map(|error| error.message).unwrap_or_default()),
        };
        assert_eq!(ended, expected, "{status}");
    }
}

#[tokio::test]
async fn the_output_becomes_an_artifact_and_the_arns_variables() {
    let fake = states("STANDARD", "SUCCEEDED");
    let mut request = ActionRequest { external_id: Some("arn:e".into()), ..request(&[]) };
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/1")];
    let outcome = testing::outcome(fake.runner(Fixed::at(NOW)).poll(request).await);
    assert_eq!(outcome.variables["ExecutionArn"], "arn:e");
    assert_eq!(outcome.outputs[0].name, "Out");
    assert!(outcome.outputs[0].digest.is_some());
    let stored = fake.requests().into_iter().find(|asked| asked.method == "PUT").unwrap();
    assert!(stored.uri.contains("pipe/Out/1"), "{}", stored.uri);
}

#[tokio::test]
async fn an_execution_of_the_same_name_is_this_one() {
    let fake = FakeAws::new(|asked| match asked.operation() {
        "StartExecution" => (400, json!({"__type": "ExecutionAlreadyExists", "message": "it exists"}).to_string()),
        _ => (
            200,
            json!({"stateMachineArn": MACHINE, "name": "m", "definition": "{}", "roleArn": "r",
                          "type": "STANDARD", "creationDate": 1.0})
            .to_string(),
        ),
    });
    let (started, _) = testing::pending(fake.runner(Fixed::at(NOW)).start(request(&[])).await);
    let arn = format!("arn:aws:states:eu-west-1:111122223333:execution:m:{ACTION_ID}");
    assert_eq!(started.external_id, Some(arn));
}

#[tokio::test]
async fn an_execution_that_nobody_knows_fails_once_it_should_be_known() {
    let fake = FakeAws::new(|_| (400, json!({"__type": "ExecutionDoesNotExist", "message": "none"}).to_string()));
    let request = ActionRequest { external_id: Some("arn:e".into()), ..request(&[]) };
    testing::pending(fake.runner(Fixed::at("2026-11-24T00:04:59Z")).poll(request.clone()).await);
    let (code, _) = testing::error(fake.runner(Fixed::at("2026-11-24T00:05:00Z")).poll(request).await);
    assert_eq!(code, "JobFailed");
}

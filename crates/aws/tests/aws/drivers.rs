//! Drivers: started and woken in MiniStack, and every answer that is no error.

use std::time::{Duration, Instant};

use aws::StepFunctionsDrivers;
use aws_sdk_sfn::Client;
use control::handoff::Drivers;
use control::ports::PortError;
use serde_json::{Value, json};

use crate::bus::{queue, receive};
use crate::front::{Fate, Front};
use crate::support::{Emulator, config, unique};

/// Waits for a callback, whose token a queue gets.
fn machine(queue: &str) -> Value {
    json!({
        "StartAt": "Wait",
        "States": {
            "Wait": {
                "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true,
                "Parameters": { "QueueUrl": queue, "MessageBody": { "token.$": "$$.Task.Token", "input.$": "$" } },
            }
        }
    })
}

/// The status of an execution once it is no longer running, and its output.
async fn ended(client: &Client, arn: &str) -> (String, Option<String>) {
    let since = Instant::now();
    loop {
        let answer = client.describe_execution().execution_arn(arn).send().await.unwrap();
        if answer.status().as_str() != "RUNNING" {
            return (answer.status().as_str().to_owned(), answer.output);
        }
        assert!(since.elapsed() < Duration::from_secs(20), "{arn} does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn start_and_wake_on_ministack() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let client = Client::new(&config(&url).await);
    let (queue, _) = queue(&url).await;
    let made = client.create_state_machine().name(unique("machine")).definition(machine(&queue).to_string());
    let arn = made.role_arn("arn:aws:iam::000000000000:role/driver").send().await.unwrap().state_machine_arn;
    let drivers = StepFunctionsDrivers::new(client.clone(), &arn);
    let execution = |name: &str| format!("{}:{name}", arn.replace(":stateMachine:", ":execution:"));

    let input = json!({ "v": 1, "drive": 1 });
    drivers.start("a-1", &input).await.unwrap();
    drivers.start("a-1", &input).await.expect("what runs counts as started");
    let waiting = receive(&url, &queue, 1).await.pop().expect("it waits with a token");
    assert_eq!(waiting["input"], input);
    let token = waiting["token"].as_str().unwrap();
    drivers.wake(token, &json!({ "v": 1 })).await.unwrap();
    let (status, output) = ended(&client, &execution("a-1")).await;
    let output: Value = serde_json::from_str(&output.unwrap()).unwrap();
    assert_eq!((status.as_str(), output), ("SUCCEEDED", json!({ "v": 1 })));
    drivers.wake(token, &json!({ "v": 1 })).await.expect("a used token is no error");
    drivers.wake("no such token", &json!({})).await.expect("an unknown token is no error");
    drivers.start("a-1", &input).await.expect("what ran counts as started");

    drivers.start("a-2", &input).await.unwrap();
    let token = receive(&url, &queue, 1).await.pop().unwrap()["token"].as_str().unwrap().to_owned();
    client.stop_execution().execution_arn(execution("a-2")).send().await.unwrap();
    assert_eq!(ended(&client, &execution("a-2")).await.0, "ABORTED");
    drivers.wake(&token, &json!({})).await.expect("an expired token is no error");
}

#[tokio::test]
async fn answers_that_are_no_errors_and_those_that_are() {
    const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:stateMachine:x";
    let front = Front::instead(Fate::error(400, "AccessDeniedException")).await;
    let drivers = StepFunctionsDrivers::new(Client::new(&config(&front.url).await), MACHINE);
    let answer = |code: &str| front.next([Fate::error(400, code)]);
    answer("ExecutionAlreadyExists");
    drivers.start("a-1", &json!({})).await.unwrap();
    for code in ["TaskDoesNotExist", "TaskTimedOut", "InvalidToken"] {
        answer(code);
        drivers.wake("t", &json!({})).await.unwrap();
    }

    let denied = |answer: Result<(), PortError>| match answer {
        Err(PortError::Unavailable(text)) => assert!(text.contains("AccessDeniedException: because"), "{text}"),
        other => panic!("{other:?}"),
    };
    denied(drivers.start("a-1", &json!({})).await);
    denied(drivers.wake("t", &json!({})).await);
    answer("ExecutionLimitExceeded");
    assert!(matches!(drivers.start("a-1", &json!({})).await, Err(PortError::Throttled)));
    answer("InvalidName");
    assert!(matches!(drivers.start("a b", &json!({})).await, Err(PortError::Invalid(_))));
}

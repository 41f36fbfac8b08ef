//! Step Functions and Lambda.

use std::io::{Cursor, Read as _, Write as _};
use std::time::Duration;

use actions::completion::external_id_of;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use control::ports::{ActionReply, ActionRunner as _};
use serde_json::{Value, json};

use crate::setup::{artifact, config, request, run, runner, s3, unique};

const PASS: &str = r#"{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}"#;
const FAIL: &str = r#"{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Boom", "Cause": "because"}}}"#;

#[tokio::test]
async fn a_state_machine_reads_a_file_and_its_output_becomes_an_artifact() {
    let Some(config) = config() else { return };
    let (s3, states) = (s3(&config), aws_sdk_sfn::Client::new(&config));
    let machine = states.create_state_machine().name(unique("m")).definition(PASS).role_arn("arn:aws:iam::1:role/r");
    let machine = machine.send().await.unwrap().state_machine_arn().to_owned();
    let store = unique("b");
    s3.create_bucket().bucket(&store).send().await.unwrap();
    let mut packed = zip::ZipWriter::new(Cursor::new(Vec::new()));
    packed.start_file("assets/input.json", zip::write::SimpleFileOptions::default()).unwrap();
    packed.write_all(b"{\"a\":[1,2]}").unwrap();
    let settings = [("StateMachineArn", machine.as_str()), ("InputType", "FilePath"), ("Input", "assets/input.json")];
    let mut request = request("Invoke", "StepFunctions", &settings);
    request.action.inputs = vec![artifact(&store, "In")];
    request.action.outputs = vec![artifact(&store, "Out")];
    let body = packed.finish().unwrap().into_inner();
    s3.put_object().bucket(&store).key(&request.action.inputs[0].key).body(body.into()).send().await.unwrap();

    // A second driver, whose first died after the start, finds the same execution.
    let runner = runner(&config);
    let ActionReply::Pending { started: first, .. } = runner.start(request.clone()).await else { panic!() };
    request.action.drive = 2;
    let ActionReply::Pending { started: second, .. } = runner.start(request.clone()).await else { panic!() };
    assert_eq!(first.external_id, second.external_id);

    let outcome = run(&runner, request).await;
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.variables["StateMachineArn"], machine);
    let event = json!({"source": "aws.states", "detail-type": "Step Functions Execution Status Change",
                       "detail": {"status": "SUCCEEDED", "executionArn": outcome.variables["ExecutionArn"]}});
    assert_eq!(external_id_of(&event), first.external_id);
    let made = &outcome.outputs[0];
    let got = s3.get_object().bucket(&made.bucket).key(&made.key).send().await.unwrap();
    let bytes = got.body.collect().await.unwrap().to_vec();
    let mut text = String::new();
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    archive.by_name("output.json").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"a": [1, 2]}));
}

#[tokio::test]
async fn a_state_machine_that_fails_says_why() {
    let Some(config) = config() else { return };
    let states = aws_sdk_sfn::Client::new(&config);
    let machine = states.create_state_machine().name(unique("m")).definition(FAIL).role_arn("arn:aws:iam::1:role/r");
    let machine = machine.send().await.unwrap().state_machine_arn().to_owned();
    let error = run(&runner(&config), request("Invoke", "StepFunctions", &[("StateMachineArn", &machine)])).await.error;
    assert!(error.unwrap().message.ends_with("ended FAILED: Boom: because"));
    let missing = "arn:aws:states:us-east-1:000000000000:stateMachine:none";
    let error = run(&runner(&config), request("Invoke", "StepFunctions", &[("StateMachineArn", missing)])).await.error;
    assert_eq!(error.unwrap().code, "JobFailed");
}

/// A function that leaves its event in a bucket.
const FUNCTION: &str = r#"#!/usr/bin/env python3
import json, os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
def call(url, body=None, method=None):
    return urllib.request.urlopen(urllib.request.Request(url, data=body, method=method))
while True:
    answer = call(api + "next")
    event = answer.read()
    job = json.loads(event)["CodePipeline.job"]
    bucket = job["data"]["outputArtifacts"][0]["location"]["s3Location"]
    call(os.environ["AWS_ENDPOINT_URL"] + "/" + bucket["bucketName"] + "/" + bucket["objectKey"], event, "PUT")
    call(api + answer.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", b"{}")
"#;

#[tokio::test]
async fn a_function_gets_the_documented_event() {
    let Some(config) = config() else { return };
    let (s3, lambda) = (s3(&config), aws_sdk_lambda::Client::new(&config));
    let (name, store) = (unique("f"), unique("b"));
    s3.create_bucket().bucket(&store).send().await.unwrap();
    let mut packed = zip::ZipWriter::new(Cursor::new(Vec::new()));
    packed.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    packed.write_all(FUNCTION.as_bytes()).unwrap();
    let code = FunctionCode::builder().zip_file(Blob::new(packed.finish().unwrap().into_inner())).build();
    let role = "arn:aws:iam::000000000000:role/r";
    let function = lambda.create_function().function_name(&name).runtime(Runtime::from("provided.al2023"));
    function.handler("bootstrap").role(role).code(code).send().await.unwrap();
    let mut request = request("Invoke", "Lambda", &[("FunctionName", &name), ("UserParameters", "hello")]);
    request.action.outputs = vec![artifact(&store, "Out")];
    let (id, key) = (request.action.id.to_string(), request.action.outputs[0].key.clone());
    let ActionReply::Pending { started, .. } = runner(&config).start(request).await else { panic!() };
    assert_eq!(started.external_id.as_deref(), Some(id.as_str()));
    let event: Value = loop {
        if let Ok(got) = s3.get_object().bucket(&store).key(&key).send().await {
            break serde_json::from_slice(&got.body.collect().await.unwrap().to_vec()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let job = &event["CodePipeline.job"];
    assert_eq!(job["id"], id);
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["UserParameters"], "hello");
    // Minted for the job, not the role's own.
    let key = job["data"]["artifactCredentials"]["accessKeyId"].as_str().unwrap();
    assert!(!key.is_empty() && key != "test", "{key}");
}

//! Lambda functions: local commands and endpoints.

use std::io::{Read, Write};
use std::net::TcpListener;

use control::ports::ActionRequest;
use engine::Outcome;
use local::invoke::run_invoke;
use local::process::CancellationToken;
use model::Category;

use super::action::{Declare, Place, assert_succeeded, failure, request};

fn invoke(function: &str) -> ActionRequest {
    request(Category::Invoke, "Lambda").configure("FunctionName", function).configure("UserParameters", "{\"a\": 1}")
}

async fn run(place: &Place, request: &ActionRequest) -> Outcome {
    let outcome = run_invoke(&place.ctx, request, &CancellationToken::new()).await;
    place.assert_clean();
    outcome
}

#[tokio::test]
async fn a_command_reads_the_job_event() {
    let place = Place::with("[function.notify]\ncommand = [\"cat\"]\n");
    place.artifact("Source", &[("a", "")]).await;
    let mut request = invoke("arn:aws:lambda:eu-west-1:123456789012:function:notify:live").input("Source");
    request.encryption_key = Some("alias/key".into());
    assert_succeeded(&run(&place, &request).await);
    let event: serde_json::Value = serde_json::from_str(&place.log(&request)).unwrap();
    let expected = serde_json::json!({"CodePipeline.job": {
        "id": request.action.id.to_string(),
        "accountId": "123456789012",
        "data": {
            "actionConfiguration": {"configuration": {
                "FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:notify:live",
                "UserParameters": "{\"a\": 1}",
            }},
            "inputArtifacts": [{
                "location": {"s3Location": {"bucketName": "bucket", "objectKey": "in/Source"}, "type": "S3"},
                "revision": null,
                "name": "Source",
            }],
            "outputArtifacts": [],
            "artifactCredentials": {"accessKeyId": "", "secretAccessKey": "", "sessionToken": ""},
            "encryptionKey": {"id": "alias/key", "type": "KMS"},
        },
    }});
    assert_eq!(event, expected);
}

#[tokio::test]
async fn another_exit_status_is_failure_with_the_last_line() {
    let place = Place::with("[function.f]\ncommand = [\"sh\", \"-c\", \"echo one; echo the reason >&2; exit 4\"]\n");
    let outcome = run(&place, &invoke("f")).await;
    let (code, message) = failure(&outcome);
    assert_eq!(code, "JobFailed");
    assert!(message.starts_with("the function failed with exit status 4: the reason\n"), "{message}");
}

#[tokio::test]
async fn artifacts_go_in_and_out_by_directories() {
    let script = "cp $PENSTOCK_INPUT_DIR_My_Source/a $PENSTOCK_OUTPUT_DIR_Out/b; test $K = v";
    let place = Place::with(&format!(
        "[function.f]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nenvironment = {{ K = \"v\" }}\n"
    ));
    place.artifact("My-Source", &[("a", "content")]).await;
    let outcome = run(&place, &invoke("f").input("My-Source").output("Out", &[])).await;
    assert_succeeded(&outcome);
    assert_eq!(outcome.outputs.len(), 1);
    assert_eq!(place.output("Out")["b"], "content");

    let place = Place::with("[function.f]\ncommand = [\"true\"]\n");
    let outcome = run(&place, &invoke("f").output("Out", &[])).await;
    assert!(failure(&outcome).1.contains("PENSTOCK_OUTPUT_DIR_Out"), "{:?}", outcome.error);
}

#[tokio::test]
async fn a_relative_program_lies_beside_the_configuration() {
    let place = Place::with("[function.f]\ncommand = [\"./tool.sh\"]\n");
    let tool = place.path().join("tool.sh");
    std::fs::write(&tool, "#!/bin/sh\npwd\n").unwrap();
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let request = invoke("f");
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(place.log(&request).trim(), place.path().display().to_string());
}

#[tokio::test]
async fn what_cannot_be_invoked_is_said() {
    let place = Place::with(
        "[function.gone]\ncommand = [\"./no-such-tool\"]\n[function.far]\nendpoint_url = \"https://127.0.0.1:1\"\n",
    );
    for (function, code, expected) in [
        ("unknown", "ConfigurationError", "[function.\"unknown\"]\ncommand ="),
        ("gone", "JobFailed", "cannot start"),
        ("far", "ConfigurationError", "must begin with http://"),
    ] {
        let outcome = run(&place, &invoke(function)).await;
        let (found, message) = failure(&outcome);
        assert!(found == code && message.contains(expected), "{function}: {found} {message}");
    }
}

/// Answers one request; returns what it said.
fn answer_once(listener: TcpListener, answer: &'static str) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&String::from_utf8_lossy(&request)) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the request ends in its midst");
            request.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    })
}

/// Whether a request has come with all of its body.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    length == Some(body.len())
}

#[tokio::test]
async fn a_function_without_a_stand_in_is_called_at_the_providers_endpoint_by_a_signed_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let place = Place::with(&format!("[provider.Lambda]\nendpoint_url = \"http://{address}\"\n"));
    let server = answer_once(listener, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull");
    assert_succeeded(&run(&place, &invoke("notify:live")).await);
    let asked = server.join().unwrap();
    assert!(asked.starts_with("POST /2015-03-31/functions/notify%3Alive/invocations HTTP/1.1\r\n"), "{asked}");
    let scope = "/eu-west-1/lambda/aws4_request, SignedHeaders=content-type;host;x-amz-date;";
    assert!(asked.contains("authorization: AWS4-HMAC-SHA256 Credential=") && asked.contains(scope), "{asked}");

    for (endpoint, expected) in [
        ("aws", "no client for AWS itself"),
        ("http://192.0.2.1:4566", "must be http:// on this machine"),
        ("https://127.0.0.1:4566", "must be http:// on this machine"),
    ] {
        let place = Place::with(&format!("[provider.Lambda]\nendpoint_url = \"{endpoint}\"\n"));
        let outcome = run(&place, &invoke("notify")).await;
        let (code, message) = failure(&outcome);
        assert!(code == "ConfigurationError" && message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_function_at_an_endpoint_is_invoked_and_its_answer_counts() {
    for (answer, fails) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull", None),
        ("HTTP/1.1 200 OK\r\nx-amz-function-error: Unhandled\r\ncontent-length: 6\r\n\r\n\"oops\"", Some("oops")),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone", Some("404")),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let place = Place::with(&format!("[function.f]\nendpoint_url = \"http://{address}/\"\n"));
        let server = answer_once(listener, answer);
        let outcome = run(&place, &invoke("f")).await;
        let asked = server.join().unwrap();
        assert!(asked.starts_with("POST /2015-03-31/functions/f/invocations HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("CodePipeline.job"), "{asked}");
        match fails {
            None => assert_succeeded(&outcome),
            Some(expected) => assert!(failure(&outcome).1.contains(expected), "{:?}", outcome.error),
        }
    }
}

//! Penstock's own operations, and approval by a link that one of them gave.

use serde_json::{Value, json};

use super::server::{Answer, NOW, Server, USER, declaration, server};

async fn waiting() -> (Server, String) {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    let started = server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let id = started["pipelineExecutionId"].as_str().unwrap().to_owned();
    (server, id)
}

async fn link(server: &Server, more: Value) -> Result<Value, (String, String)> {
    let mut input = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide" });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.extension("GetApprovalLink", input).await
}

async fn open(server: &Server, method: &str, url: &Value, form: &str) -> Answer {
    let path = url.as_str().unwrap().strip_prefix("http://127.0.0.1:7707").unwrap();
    let headers = [
        ("host", "127.0.0.1:7707"),
        ("origin", "null"),
        ("user-agent", "Browser/1.0"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    server.send(method, path, &headers, form.as_bytes()).await
}

#[tokio::test]
async fn a_link_shows_what_it_approves_and_approves_it() {
    let (server, id) = waiting().await;
    let given = link(&server, json!({ "recipient": "ada@example.org" })).await.unwrap();
    assert_eq!(given["pipelineExecutionId"], id.as_str());
    let page = open(&server, "GET", &given["url"], "").await;
    assert_eq!(page.status, 200);
    for part in [
        "release",
        "Check",
        "Decide",
        &id,
        "8cf40f2",
        "Add &lt;licence&gt;",
        "Look at 8cf40f2",
        "https://example.org/x",
        USER,
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    let done = open(&server, "POST", &given["url"], "decision=approve&summary=fine").await;
    assert_eq!(done.status, 200, "{}", done.body);
    server.run().await;
    let execution = json!({ "pipelineName": "release", "pipelineExecutionId": id });
    let execution = server.call("GetPipelineExecution", execution).await.unwrap();
    assert_eq!(execution["pipelineExecution"]["status"], "Succeeded");
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(history["actionExecutionDetails"][1]["updatedBy"], "ada@example.org");
    let records = server.extension("ListAuditRecords", json!({ "eventName": "PutApprovalResult" })).await.unwrap();
    let record = &records["records"][0];
    assert_eq!(record["userIdentity"]["arn"], "ada@example.org");
    assert_eq!(record["requestParameters"]["result"], json!({ "status": "Approved", "summary": "fine" }));
    assert_eq!((&record["sourceIPAddress"], &record["userAgent"]), (&json!("127.0.0.1"), &json!("Browser/1.0")));
    for method in ["GET", "POST"] {
        let again = open(&server, method, &given["url"], "decision=reject").await;
        assert_eq!(again.status, 409);
        assert!(again.body.contains("Already decided"));
    }
}

#[tokio::test]
async fn links_of_stopped_and_retried_approvals_are_superseded() {
    let (server, id) = waiting().await;
    let old = link(&server, json!({})).await.unwrap();
    let other = link(&server, json!({})).await.unwrap();
    assert_eq!(open(&server, "POST", &other["url"], "decision=reject").await.status, 200);
    server.run().await;
    let used = open(&server, "GET", &old["url"], "").await;
    assert_eq!(used.status, 409, "decided by another link");
    let retry = json!({ "pipelineName": "release", "stageName": "Check", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS" });
    server.call("RetryStageExecution", retry).await.unwrap();
    server.run().await;
    let superseded = open(&server, "POST", &old["url"], "decision=approve").await;
    assert!(superseded.body.contains("This link was superseded"), "{}", superseded.body);
    let newer = link(&server, json!({ "pipelineExecutionId": id })).await.unwrap();
    let stop = json!({ "pipelineName": "release", "pipelineExecutionId": id, "abandon": true });
    server.call("StopPipelineExecution", stop).await.unwrap();
    server.run().await;
    let superseded = open(&server, "POST", &newer["url"], "decision=approve").await;
    assert!(superseded.body.contains("This link was superseded"), "{}", superseded.body);
    assert_eq!(link(&server, json!({})).await.unwrap_err().0, "ActionNotFoundException");
}

#[tokio::test]
async fn links_of_a_deleted_pipeline_never_touch_its_namesake() {
    let (server, _) = waiting().await;
    let given = link(&server, json!({})).await.unwrap();
    assert!(given["expires"].as_f64().unwrap() > NOW.as_epoch_seconds());
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    open(&server, "POST", &given["url"], "decision=approve").await;
    server.run().await;
    let state = server.call("GetPipelineState", json!({ "name": "release" })).await.unwrap();
    assert_eq!(state["stageStates"][1]["latestExecution"]["status"], "InProgress");
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    assert_eq!(history["actionExecutionDetails"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn links_are_for_recipients_that_can_be_written_down() {
    let (server, _) = waiting().await;
    for wrong in ["", "a\nb", &"x".repeat(257)] {
        assert_eq!(link(&server, json!({ "recipient": wrong })).await.unwrap_err().0, "ValidationException");
    }
    let given = link(&server, json!({ "recipient": "</dd><script>" })).await.unwrap();
    assert!(!open(&server, "GET", &given["url"], "").await.body.contains("<script"));
}

#[tokio::test]
async fn a_waiting_execution_says_why() {
    let (server, id) = waiting().await;
    let input = json!({ "pipelineName": "release", "pipelineExecutionId": id });
    let why = server.extension("ExplainPipelineExecution", input).await.unwrap();
    let text = why["reasons"][0]["text"].as_str().unwrap();
    assert!(text.contains("Check/Decide waits for somebody to approve or reject"), "{why}");
    let wrong = server.extension("ExplainPipelineExecution", json!({ "pipelineName": "release" })).await.unwrap_err();
    assert_eq!(wrong.0, "ValidationException");
    assert!(wrong.1.contains("pipelineExecutionId"), "{}", wrong.1);
    let unknown = json!({ "pipelineName": "release", "pipelineExecutionId": "00000000-0000-0000-0000-000000000000" });
    let unknown = server.extension("ExplainPipelineExecution", unknown).await.unwrap_err();
    assert_eq!(unknown.0, "PipelineExecutionNotFoundException");
    assert_eq!(server.extension("No", json!({})).await.unwrap_err().0, "UnknownOperationException");
}

#[tokio::test]
async fn logs_are_read_bit_by_bit_and_never_within_a_character() {
    let (server, id) = waiting().await;
    let place = |stage: &str, action: &str| format!("logs/release/{id}/{stage}.{action}.1.log");
    let write = |stage: &str, action: &str, bytes: &[u8]| {
        server.logs.0.lock().unwrap().insert(place(stage, action), bytes.to_vec());
    };
    let read = |stage: &'static str, action: &'static str, offset: u64| {
        let input = json!({ "pipelineName": "release", "pipelineExecutionId": id, "stageName": stage, "actionName": action,
                            "offset": offset });
        server.extension("GetActionLog", input)
    };
    let part = read("Check", "Decide", 0).await.unwrap();
    assert_eq!((&part["text"], &part["nextOffset"], &part["complete"]), (&json!(""), &json!(0), &json!(false)));
    write("Check", "Decide", b"caf\xc3");
    let part = read("Check", "Decide", 0).await.unwrap();
    assert_eq!((&part["text"], &part["nextOffset"]), (&json!("caf"), &json!(3)));
    write("Check", "Decide", "café\n".as_bytes());
    let part = read("Check", "Decide", 3).await.unwrap();
    assert_eq!((&part["text"], &part["nextOffset"]), (&json!("é\n"), &json!(6)));
    write("Source", "Fetch", b"a\xff\xc3");
    let part = read("Source", "Fetch", 0).await.unwrap();
    assert_eq!(
        (&part["text"], &part["nextOffset"], &part["complete"], &part["status"]),
        (&json!("a\u{fffd}\u{fffd}"), &json!(3), &json!(true), &json!("Succeeded"))
    );
    let long = "é".repeat(200_000);
    write("Source", "Fetch", long.as_bytes());
    let (mut text, mut offset) = (String::new(), 0);
    loop {
        let part = read("Source", "Fetch", offset).await.unwrap();
        text += part["text"].as_str().unwrap();
        offset = part["nextOffset"].as_u64().unwrap();
        if part["complete"] == json!(true) {
            break;
        }
    }
    assert!(text == long);
    assert_eq!(read("Ship", "Upload", 0).await.unwrap_err().0, "ActionExecutionNotFoundException");
}

//! Policies before operations: who is denied what, and how they are told.

use api::policies::Policies;
use serde_json::json;

use super::server::{OTHER, Server, USER, code, declaration, server};

async fn guarded(policies: &str) -> Server {
    let mut server = server();
    server.api.guard.policies = std::sync::Arc::new(Policies::parse(policies).unwrap());
    server
}

#[tokio::test]
async fn denied_calls_name_action_and_resource_and_are_recorded() {
    let server = guarded(&format!(
        r#"
        permit (principal == Principal::"{USER}", action, resource);
        permit (principal, action in [Action::"codepipeline:GetPipeline", Action::"codepipeline:ListPipelines"], resource);
        "#
    ))
    .await;
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server.as_other("GetPipeline", json!({ "name": "release" })).await.unwrap();
    server.as_other("ListPipelines", json!({})).await.unwrap();
    let denied = server.as_other("DeletePipeline", json!({ "name": "release" })).await.unwrap_err();
    assert_eq!(denied.0, "AccessDeniedException");
    assert_eq!(
        denied.1,
        format!(
            "User: {OTHER} is not authorized to perform: codepipeline:DeletePipeline on resource: \
             arn:aws:codepipeline:eu-west-1:123456789012:release"
        )
    );
    let records = server.extension("ListAuditRecords", json!({ "onlyRefused": true })).await.unwrap();
    let record = &records["records"][0];
    assert_eq!(
        (&record["errorCode"], &record["eventName"]),
        (&json!("AccessDeniedException"), &json!("DeletePipeline"))
    );
    assert_eq!(record["userIdentity"]["arn"], OTHER);
    server.call("DeletePipeline", json!({ "name": "release" })).await.unwrap();
}

#[tokio::test]
async fn the_starter_does_not_approve_and_links_are_not_given() {
    let server = guarded(
        r#"
        permit (principal, action, resource);
        forbid (principal, action == Action::"codepipeline:PutApprovalResult", resource in
            Stage::"arn:aws:codepipeline:eu-west-1:123456789012:release/Check")
        when { context has starter && context.starter == principal.arn };
        "#,
    )
    .await;
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let state = server.call("GetPipelineState", json!({ "name": "release" })).await.unwrap();
    let token = &state["stageStates"][1]["actionStates"][0]["latestExecution"]["token"];
    let input = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide", "token": token,
        "result": { "status": "Approved", "summary": "" } });
    assert_eq!(code(server.call("PutApprovalResult", input.clone()).await), "AccessDeniedException");
    let link = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide" });
    assert_eq!(code(server.extension("GetApprovalLink", link).await), "AccessDeniedException");
    server.as_other("PutApprovalResult", input).await.unwrap();
}

#[tokio::test]
async fn naming_a_role_needs_pass_role() {
    let server = guarded(
        r#"
        permit (principal, action, resource) unless { action == Action::"iam:PassRole" };
        permit (principal, action == Action::"iam:PassRole", resource == Role::"arn:aws:iam::123456789012:role/ship");
        "#,
    )
    .await;
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    let mut other = declaration("release");
    other["stages"][2]["actions"][0]["roleArn"] = json!("arn:aws:iam::123456789012:role/admin");
    let denied = server.call("UpdatePipeline", json!({ "pipeline": other })).await.unwrap_err();
    assert_eq!(denied.0, "AccessDeniedException");
    assert!(denied.1.ends_with("iam:PassRole on resource: arn:aws:iam::123456789012:role/admin"), "{}", denied.1);
}

#[tokio::test]
async fn links_made_before_a_restriction_decide_nothing() {
    let mut server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let input = json!({ "pipelineName": "release", "stageName": "Check", "actionName": "Decide" });
    let link = server.extension("GetApprovalLink", input).await.unwrap();
    let path = link["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:7707").unwrap();
    let headers =
        [("host", "127.0.0.1:7707"), ("origin", "null"), ("content-type", "application/x-www-form-urlencoded")];
    let policies = format!(r#"permit (principal == Principal::"{USER}", action, resource);"#);
    server.api.guard.policies = std::sync::Arc::new(Policies::parse(&policies).unwrap());
    let refused = server.send("POST", path, &headers, b"decision=approve").await;
    assert_eq!((refused.status, refused.body.contains("restricted")), (403, true), "{}", refused.body);
    assert_eq!(server.send("GET", path, &headers[..1], b"").await.status, 200);
    server.api.guard.policies = std::sync::Arc::default();
    assert_eq!(server.send("POST", path, &headers, b"decision=approve").await.status, 200);
}

#[tokio::test]
async fn a_webhook_needs_leave_for_the_pipeline_that_it_starts() {
    let server = guarded(&format!(
        r#"
        permit (principal, action, resource);
        forbid (principal == Principal::"{OTHER}", action, resource in
            Pipeline::"arn:aws:codepipeline:eu-west-1:123456789012:release");
        "#
    ))
    .await;
    for name in ["release", "other"] {
        server.call("CreatePipeline", json!({ "pipeline": declaration(name) })).await.unwrap();
    }
    let hook = |target: &str| {
        json!({ "webhook": { "name": "hook", "targetPipeline": target, "targetAction": "Fetch", "filters": [{ "jsonPath": "$.ref" }],
            "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {} } })
    };
    let denied = server.as_other("PutWebhook", hook("release")).await.unwrap_err();
    assert_eq!(denied.0, "AccessDeniedException");
    assert!(denied.1.ends_with("arn:aws:codepipeline:eu-west-1:123456789012:release"), "{}", denied.1);
    server.as_other("PutWebhook", hook("other")).await.unwrap();
    server.call("PutWebhook", hook("release")).await.unwrap();
}

#[tokio::test]
async fn an_id_alone_opens_no_pipeline() {
    let server = guarded(&format!(
        r#"
        permit (principal, action, resource);
        forbid (principal == Principal::"{OTHER}", action, resource in
            Pipeline::"arn:aws:codepipeline:eu-west-1:123456789012:release");
        "#
    ))
    .await;
    let mut pipeline = declaration("release");
    pipeline["stages"].as_array_mut().unwrap().remove(1);
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
    server.run().await;
    let history = server.call("ListActionExecutions", json!({ "pipelineName": "release" })).await.unwrap();
    let input = json!({ "actionExecutionId": history["actionExecutionDetails"][0]["actionExecutionId"] });
    server.call("ListDeployActionExecutionTargets", input.clone()).await.unwrap();
    assert_eq!(code(server.as_other("ListDeployActionExecutionTargets", input).await), "AccessDeniedException");
}

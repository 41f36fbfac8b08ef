//! Events in which providers tell that some work ended.

use serde_json::Value;

/// The external id of the work that an EventBridge event says has ended: the string that its provider's start stored.
///
/// Only AWS's own events count (`source` begins with `aws.`, which nobody else may use), and only ends: progress is of no
/// interest. The event is a hint; whoever gets the id asks the provider what came of the work.
pub fn external_id_of(event: &Value) -> Option<String> {
    let text = |at: &str| event.pointer(at).and_then(Value::as_str);
    let detail = |key: &str| text(&format!("/detail/{key}"));
    match (text("/source")?, text("/detail-type")?) {
        ("aws.codebuild", "CodeBuild Build State Change") => {
            ended(detail("build-status")?).then(|| last_part(detail("build-id")?)).flatten()
        }
        // Not in CodeBuild's event reference, but harmless: a batch is polled in any case.
        ("aws.codebuild", "CodeBuild Build Batch State Change") => {
            ended(detail("build-batch-status")?).then(|| last_part(detail("build-batch-id")?)).flatten()
        }
        ("aws.states", "Step Functions Execution Status Change") => {
            ended(detail("status")?).then(|| detail("executionArn").map(Into::into)).flatten()
        }
        ("aws.codedeploy", "CodeDeploy Deployment State-change Notification") => {
            ended(detail("state")?).then(|| detail("deploymentId").map(Into::into)).flatten()
        }
        ("aws.ecs", "ECS Deployment State Change") => {
            let named = matches!(detail("eventName")?, "SERVICE_DEPLOYMENT_COMPLETED" | "SERVICE_DEPLOYMENT_FAILED");
            named.then(|| detail("deploymentId").map(Into::into)).flatten()
        }
        ("aws.cloudformation", "CloudFormation Stack Status Change") => {
            let status = text("/detail/status-details/status")?;
            let over = ["_COMPLETE", "_FAILED"].iter().any(|end| status.ends_with(end));
            over.then(|| detail("stack-id").map(Into::into)).flatten()
        }
        _ => None,
    }
}

/// Whether a status is one that stays.
fn ended(status: &str) -> bool {
    !matches!(status, "IN_PROGRESS" | "RUNNING" | "PENDING_REDRIVE" | "START" | "READY" | "QUEUED" | "CREATED")
}

/// `project:uuid` of `arn:aws:codebuild:…:build/project:uuid`; an id that is no ARN is what it is.
fn last_part(arn: &str) -> Option<String> {
    let id = if arn.starts_with("arn:") { arn.split_once('/')?.1 } else { arn };
    Some(id.to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BUILD: &str =
        "arn:aws:codebuild:us-west-2:123456789012:build/my-project:8745a7a9-c340-456a-9166-edf953571bEX";
    const EXECUTION: &str = "arn:aws:states:us-east-1:123456789012:execution:machine:name";
    const STACK: &str = "arn:aws:cloudformation:us-west-1:111122223333:stack/teststack/1";

    fn told(source: &str, kind: &str, detail: serde_json::Value) -> Option<String> {
        external_id_of(&json!({"source": source, "detail-type": kind, "detail": detail}))
    }

    #[test]
    fn ends_of_builds_name_the_build() {
        let build =
            |kind: &str, status: &str| told("aws.codebuild", kind, json!({"build-status": status, "build-id": BUILD}));
        let id = Some("my-project:8745a7a9-c340-456a-9166-edf953571bEX".to_owned());
        assert_eq!(build("CodeBuild Build State Change", "SUCCEEDED"), id);
        assert_eq!(build("CodeBuild Build State Change", "STOPPED"), id);
        assert_eq!(build("CodeBuild Build State Change", "IN_PROGRESS"), None);
        // A phase of a build is no end of it.
        assert_eq!(build("CodeBuild Build Phase Change", "SUCCEEDED"), None);
        let batch = json!({"build-batch-status": "FAILED", "build-batch-id": "arn:aws:codebuild:r:1:build-batch/p:u"});
        let told = told("aws.codebuild", "CodeBuild Build Batch State Change", batch);
        assert_eq!(told.as_deref(), Some("p:u"));
    }

    #[test]
    fn ends_of_other_work_name_it() {
        for (source, kind, detail, expected) in [
            (
                "aws.states",
                "Step Functions Execution Status Change",
                json!({"status": "ABORTED", "executionArn": EXECUTION}),
                Some(EXECUTION),
            ),
            (
                "aws.states",
                "Step Functions Execution Status Change",
                json!({"status": "RUNNING", "executionArn": EXECUTION}),
                None,
            ),
            (
                "aws.codedeploy",
                "CodeDeploy Deployment State-change Notification",
                json!({"state": "SUCCESS", "deploymentId": "d-123456789"}),
                Some("d-123456789"),
            ),
            (
                "aws.ecs",
                "ECS Deployment State Change",
                json!({"eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": "ecs-svc/123"}),
                Some("ecs-svc/123"),
            ),
            (
                "aws.cloudformation",
                "CloudFormation Stack Status Change",
                json!({"stack-id": STACK, "status-details": {"status": "UPDATE_ROLLBACK_COMPLETE"}}),
                Some(STACK),
            ),
            (
                "aws.cloudformation",
                "CloudFormation Stack Status Change",
                json!({"stack-id": STACK, "status-details": {"status": "UPDATE_IN_PROGRESS"}}),
                None,
            ),
        ] {
            assert_eq!(told(source, kind, detail.clone()).as_deref(), expected, "{detail}");
        }
    }

    #[test]
    fn events_of_others_and_nonsense_name_nothing() {
        let detail = json!({"build-status": "SUCCEEDED", "build-id": BUILD});
        assert_eq!(told("penstock.codebuild", "CodeBuild Build State Change", detail), None);
        assert_eq!(told("aws.codebuild", "CodeBuild Build State Change", json!({"build-status": "SUCCEEDED"})), None);
        assert_eq!(external_id_of(&json!("nonsense")), None);
    }
}

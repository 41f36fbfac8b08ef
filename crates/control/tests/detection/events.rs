//! Events as EventBridge brings them.

use control::intake::{EnvelopeError, Incoming, Told, read};
use control::sources::Detection;
use model::{ExecutionStatus, SourceRevisionType, TriggerType};
use serde_json::{Value, json};

use super::world::{declared, pipeline, s3, world};

fn object(version: &str, sequencer: &str) -> Value {
    json!({ "version": "0", "id": format!("event-{version}"), "detail-type": "Object Created", "source": "aws.s3",
        "account": "123456789012", "region": "eu-west-1", "resources": ["arn:aws:s3:::in"],
        "detail": { "version": "0", "bucket": { "name": "in" }, "reason": "PutObject",
            "object": { "key": "app.zip", "size": 5, "etag": "e", "version-id": version, "sequencer": sequencer } } })
}

fn recorded(version: &str) -> Value {
    json!({ "id": "trail", "detail-type": "AWS API Call via CloudTrail", "source": "aws.s3",
        "detail": { "eventSource": "s3.amazonaws.com", "eventName": "PutObject",
            "requestParameters": { "bucketName": "in", "key": "app.zip" },
            "responseElements": { "x-amz-version-id": version } } })
}

#[tokio::test]
async fn an_object_starts_its_pipeline_with_its_version() {
    let world = world();
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    assert_eq!(world.event(object("v2", "0B")).await.started.len(), 1);
    // Told again, and by CloudTrail too.
    assert_eq!(world.event(object("v2", "0B")).await.repeated, 1);
    assert_eq!(world.event(recorded("v2")).await.repeated, 1);
    // An older write that comes late ends Superseded at once.
    assert_eq!(world.event(object("v1", "0A")).await.started.len(), 1);
    let expected = [("v2".to_owned(), ExecutionStatus::InProgress), ("v1".to_owned(), ExecutionStatus::Superseded)];
    assert_eq!(world.commits().await, expected);
    let execution = world.executions().await.remove(0);
    assert_eq!(execution.trigger.kind, TriggerType::CloudWatchEvent);
    assert_eq!(execution.trigger.detail, "arn:aws:events:eu-west-1:123456789012:rule/it");
    let mut other = object("v3", "0C");
    other["detail"]["object"]["key"] = json!("other.zip");
    assert_eq!(world.event(other).await, Default::default());
}

/// An event names its source, not the rule that brought it; whoever takes it in makes no rules, and knows the stack.
#[tokio::test]
async fn an_execution_names_the_rule_that_brought_its_change() {
    let mut world = world();
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    let detection = Detection { stack: Some("test".into()), ..Detection::default() };
    world.control = world.control.clone().with_detection(std::sync::Arc::new(detection));
    let Incoming::Change(change, told) = read(&object("v1", "0A"), None).unwrap() else { panic!() };
    assert_eq!(world.control.receive(&change, &told).await.unwrap().started.len(), 1);
    let rule = &world.rules.all()[0].name;
    let arn = format!("arn:aws:events:eu-west-1:123456789012:rule/{rule}");
    assert_eq!(world.executions().await[0].trigger.detail, arn);
}

fn reference(event: &str, branch: &str, old: Value, new: &str) -> Value {
    json!({ "id": format!("{old}{new}"), "detail-type": "CodeCommit Repository State Change", "source": "aws.codecommit",
        "detail": { "event": event, "repositoryName": "app", "referenceType": "branch", "referenceName": branch,
            "referenceFullName": format!("refs/heads/{branch}"), "commitId": new, "oldCommitId": old } })
}

#[tokio::test]
async fn a_moved_branch_starts_its_pipeline_with_its_commit() {
    let world = world();
    let configuration = json!({ "RepositoryName": "app", "BranchName": "main", "PollForSourceChanges": "false" });
    world.create(pipeline("p", "CodeCommit", configuration)).await;
    assert_eq!(world.event(reference("referenceCreated", "main", Value::Null, "a")).await.started.len(), 1);
    assert_eq!(world.event(reference("referenceUpdated", "main", json!("a"), "b")).await.started.len(), 1);
    assert_eq!(world.event(reference("referenceUpdated", "main", json!("a"), "b")).await.repeated, 1);
    assert_eq!(world.event(reference("referenceCreated", "main", Value::Null, "a")).await.repeated, 1);
    assert_eq!(world.event(reference("referenceUpdated", "topic", json!("a"), "c")).await.started.len(), 0);
    assert_eq!(world.event(reference("referenceDeleted", "main", Value::Null, "b")).await.started.len(), 0);
    let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(commits, ["a", "b"]);
}

/// What was noted of the repository or object before says nothing of the one that it was changed to.
#[tokio::test]
async fn a_source_that_was_changed_to_another_resource_begins_anew() {
    let world = world();
    let of = |repository: &str| {
        let branch = json!({ "RepositoryName": repository, "BranchName": "main", "PollForSourceChanges": "false" });
        pipeline("p", "CodeCommit", branch)
    };
    world.create(of("app")).await;
    assert_eq!(world.event(reference("referenceUpdated", "main", json!("a"), "b")).await.started.len(), 1);
    assert_eq!(world.event(reference("referenceUpdated", "main", json!("b"), "c")).await.started.len(), 1);
    world.control.update_pipeline(declared(of("copy"))).await.unwrap();
    let mut copied = reference("referenceUpdated", "main", json!("x"), "b");
    copied["detail"]["repositoryName"] = json!("copy");
    assert_eq!(world.event(copied).await.started.len(), 1);
    assert_eq!(world.commits().await.last(), Some(&("b".to_owned(), ExecutionStatus::InProgress)));
    world.control.update_pipeline(declared(pipeline("p", "S3", s3(json!({}))))).await.unwrap();
    assert_eq!(world.event(object("v9", "0F")).await.started.len(), 1);
    world
        .control
        .update_pipeline(declared(pipeline("p", "S3", s3(json!({ "S3ObjectKey": "other.zip" })))))
        .await
        .unwrap();
    let mut other = object("v1", "0A");
    other["detail"]["object"]["key"] = json!("other.zip");
    assert_eq!(world.event(other).await.started.len(), 1);
    assert_eq!(world.commits().await.last(), Some(&("v1".to_owned(), ExecutionStatus::InProgress)));
}

/// In no mode is it taken for the push that was seen before it was deleted, nor for an older one.
#[tokio::test]
async fn a_branch_that_was_deleted_and_pushed_again_starts_again() {
    for mode in ["SUPERSEDED", "QUEUED", "PARALLEL"] {
        let world = world();
        let configuration = json!({ "RepositoryName": "app", "BranchName": "main", "PollForSourceChanges": "false" });
        let mut declared = pipeline("p", "CodeCommit", configuration);
        declared["executionMode"] = json!(mode);
        world.create(declared).await;
        let event = async |id: &str, kind: &str, old: Value, new: &str| {
            let mut event = reference(kind, "main", old, new);
            event["id"] = json!(id);
            world.event(event).await
        };
        assert_eq!(event("1", "referenceCreated", Value::Null, "a").await.started.len(), 1);
        assert_eq!(event("2", "referenceUpdated", json!("a"), "b").await.started.len(), 1);
        for told in 0..2 {
            assert_eq!(event("3", "referenceDeleted", json!("b"), "b").await.passed.len(), 1, "{told}");
        }
        assert_eq!(event("4", "referenceCreated", Value::Null, "a").await.started.len(), 1);
        let last = ("a".to_owned(), ExecutionStatus::InProgress);
        assert_eq!(world.commits().await.last(), Some(&last), "{mode}");
        // The deletion is told again: the branch stands where it is.
        event("3", "referenceDeleted", json!("b"), "b").await;
        assert_eq!(event("5", "referenceCreated", Value::Null, "a").await.repeated, 1);
        assert_eq!(event("6", "referenceUpdated", json!("a"), "b").await.started.len(), 1);
        let commits: Vec<_> = world.commits().await.into_iter().map(|(commit, _)| commit).collect();
        assert_eq!(commits, ["a", "b", "a", "b"]);
    }
}

#[tokio::test]
async fn an_image_starts_its_pipeline_with_its_digest() {
    let world = world();
    world.create(pipeline("p", "ECR", json!({ "RepositoryName": "app" }))).await;
    let pushed = |tag: &str, id: &str| {
        json!({ "id": id, "detail-type": "ECR Image Action", "source": "aws.ecr",
            "detail": { "action-type": "PUSH", "result": "SUCCESS", "repository-name": "app", "image-tag": tag,
                "image-digest": "sha256:1" } })
    };
    assert_eq!(world.event(pushed("latest", "1")).await.started.len(), 1);
    assert_eq!(world.event(pushed("latest", "1")).await.repeated, 1);
    assert_eq!(world.event(pushed("next", "2")).await.started.len(), 0);
    assert_eq!(world.commits().await[0].0, "sha256:1");
}

#[tokio::test]
async fn a_repository_event_may_come_by_bus() {
    let world = world();
    let arn = world.github().await;
    world.create(super::world::git_pipeline("p", &arn, None)).await;
    let detail = json!({ "provider": "GitHub", "connection": arn, "repository": "owner/repo", "delivery": null,
        "change": { "Push": super::world::push("refs/heads/main", "a..b") } });
    let event = json!({ "id": "e", "source": "mine", "detail-type": "Penstock Repository Event", "detail": detail });
    assert_eq!(world.event(event.clone()).await.started.len(), 1);
    assert_eq!(world.event(event).await.repeated, 1);
}

#[tokio::test]
async fn a_users_own_rule_or_schedule_starts_a_pipeline() {
    let world = world();
    let mut declared = pipeline("p", "S3", s3(json!({ "AllowOverrideForS3ObjectKey": "true" })));
    declared["variables"] = json!([{ "name": "Size", "defaultValue": "small" }]);
    world.create(declared).await;
    let revision = json!({ "actionName": "Src", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v9" });
    for (revisions, id) in [(revision.clone(), "one"), (json!([revision]), "many")] {
        let event = json!({ "pipelineName": "p", "sourceRevisions": revisions, "id": id,
            "variables": [{ "name": "Size", "value": "large" }] });
        let Incoming::Start(request, told) = read(&event, Some("arn:rule")).unwrap() else { panic!() };
        assert_eq!(request.source_revisions[0].kind, SourceRevisionType::S3ObjectVersionId);
        let first = world.control.receive_start(request.clone(), &told).await.unwrap();
        assert_eq!(world.control.receive_start(request, &told).await.unwrap(), first, "told twice");
    }
    let executions = world.executions().await;
    assert_eq!(executions.len(), 2);
    assert_eq!(
        (executions[0].trigger.kind, executions[0].trigger.detail.as_str()),
        (TriggerType::CloudWatchEvent, "arn:rule")
    );
    assert_eq!((executions[0].overrides.len(), executions[0].variables["Size"].as_str()), (1, "large"));
    let Incoming::Start(request, _) = read(&json!({ "pipelineName": "none" }), None).unwrap() else { panic!() };
    assert!(world.control.receive_start(request, &Told::default()).await.is_err());
}

#[test]
fn what_is_no_change_is_nothing_and_what_lacks_its_fields_is_told() {
    for nothing in [json!({}), json!({ "source": "aws.ec2", "detail-type": "x", "detail": {} })] {
        assert_eq!(read(&nothing, None), Ok(Incoming::Nothing));
    }
    let mut failed = recorded("v1");
    failed["detail"]["errorCode"] = json!("AccessDenied");
    assert_eq!(read(&failed, None), Ok(Incoming::Nothing));
    let mut lacking = object("v1", "0A");
    lacking["detail"]["object"].as_object_mut().unwrap().remove("key");
    assert_eq!(read(&lacking, None), Err(EnvelopeError("its detail has no text at /object/key".into())));
    assert!(read(&json!({ "pipelineName": "p", "sourceRevisions": [{}] }), None).is_err());
}

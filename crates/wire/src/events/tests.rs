//! Each kind of event, compared as a whole with what CodePipeline sends (the user guide's samples, values of our own).

use std::collections::BTreeMap;

use engine::{ErrorDetail, Origin, TriggerDetail};
use model::{ActionTypeId, Category, Owner, TriggerType};

use super::*;

const EXECUTION: &str = "0f9a1c4e-7a07-4f4b-9b5e-3a0d5f1c2b11";
const ACTION: &str = "6d3f0c52-1b1f-4d9d-8a53-64f7b7f9e001";

fn place() -> Place {
    Place::new("210987654321", "eu-west-1")
}

fn change(state: State, subject: Subject) -> StateChange {
    StateChange {
        at: Timestamp(1_700_000_003_900),
        pipeline: "release".into(),
        version: 3,
        execution: EXECUTION.parse().unwrap(),
        attempt: 1,
        started_at: Timestamp(1_700_000_000_250),
        state,
        subject,
    }
}

fn action(name: &str) -> ActionSubject {
    ActionSubject {
        stage: "Ship".into(),
        action: name.into(),
        id: ACTION.parse().unwrap(),
        action_type: ActionTypeId {
            category: Category::Deploy,
            owner: Owner::Aws,
            provider: "S3".into(),
            version: "1".into(),
        },
        region: None,
        inputs: vec![artifact("Built")],
        outputs: vec![artifact("Shipped")],
        external_id: None,
        external_url: None,
        summary: None,
        error: None,
        retried_at: None,
    }
}

fn artifact(name: &str) -> ArtifactLocation {
    ArtifactLocation {
        name: name.into(),
        bucket: "store".into(),
        key: format!("release/{name}/a1b2c3d"),
        digest: None,
        size: None,
        revision: None,
    }
}

fn detail_of(state: State, subject: Subject) -> Value {
    envelope(&change(state, subject), &place(), "event-1")["detail"].take()
}

fn pipeline(trigger: Option<TriggerSubject>, comments: Option<&str>) -> Subject {
    Subject::Pipeline { trigger: trigger.map(Box::new), stop_comments: comments.map(Into::into) }
}

fn by_hand() -> TriggerSubject {
    let detail = "arn:aws:sts::210987654321:assumed-role/Admin/ada".into();
    TriggerSubject { trigger: TriggerDetail { kind: TriggerType::StartPipelineExecution, detail }, origin: None }
}

#[test]
fn a_pipeline_start_has_the_whole_envelope() {
    let event = envelope(&change(State::Started, pipeline(Some(by_hand()), None)), &place(), "event-1");
    assert_eq!(
        event,
        json!({
            "version": "0",
            "id": "event-1",
            "detail-type": "CodePipeline Pipeline Execution State Change",
            "source": "penstock.codepipeline",
            "account": "210987654321",
            "time": "2023-11-14T22:13:23Z",
            "region": "eu-west-1",
            "resources": ["arn:aws:codepipeline:eu-west-1:210987654321:release"],
            "detail": {
                "pipeline": "release",
                "execution-id": EXECUTION,
                "start-time": "2023-11-14T22:13:20.250Z",
                "execution-trigger": {
                    "trigger-type": "StartPipelineExecution",
                    "trigger-detail": "arn:aws:sts::210987654321:assumed-role/Admin/ada"
                },
                "state": "STARTED",
                "version": 3.0,
                "pipeline-execution-attempt": 1.0
            }
        })
    );
}

#[test]
fn counters_are_written_with_a_fraction() {
    let text = envelope(&change(State::Started, pipeline(None, None)), &place(), "e").to_string();
    assert!(text.contains(r#""version":3.0"#), "{text}");
    assert!(text.contains(r#""pipeline-execution-attempt":1.0"#), "{text}");
}

#[test]
fn the_source_is_a_parameter() {
    let place = Place { source: "acme.cd".into(), ..place() };
    assert_eq!(envelope(&change(State::Failed, pipeline(None, None)), &place, "e")["source"], "acme.cd");
}

#[test]
fn a_stop_carries_its_comments() {
    assert_eq!(
        detail_of(State::Stopping, pipeline(None, Some("for an update"))),
        json!({
            "pipeline": "release",
            "execution-id": EXECUTION,
            "start-time": "2023-11-14T22:13:20.250Z",
            "state": "STOPPING",
            "version": 3.0,
            "pipeline-execution-attempt": 1.0,
            "stop-execution-comments": "for an update"
        })
    );
}

#[test]
fn an_end_without_trigger_says_nothing_of_one() {
    for state in [State::Succeeded, State::Failed, State::Stopped, State::Superseded, State::Canceled] {
        assert_eq!(
            detail_of(state, pipeline(None, None)),
            json!({
                "pipeline": "release",
                "execution-id": EXECUTION,
                "start-time": "2023-11-14T22:13:20.250Z",
                "state": state.as_str(),
                "version": 3.0,
                "pipeline-execution-attempt": 1.0,
            })
        );
    }
}

#[test]
fn git_fields_stand_instead_of_trigger_type_and_detail() {
    let fields: BTreeMap<String, String> =
        [("tag-name", "v4.2.1"), ("provider-type", "GitHub"), ("commit-id", "8cf40f2"), ("author-id", "ada")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    let origin = Origin { trigger: fields.clone(), ..Origin::default() };
    let subject = TriggerSubject { origin: Some(Box::new(origin)), ..by_hand() };
    assert_eq!(detail_of(State::Succeeded, pipeline(Some(subject), None))["execution-trigger"], json!(fields));
}

#[test]
fn an_origin_without_git_fields_leaves_type_and_detail() {
    let subject = TriggerSubject { origin: Some(Box::default()), ..by_hand() };
    let detail = detail_of(State::Succeeded, pipeline(Some(subject), None));
    assert_eq!(detail["execution-trigger"]["trigger-type"], "StartPipelineExecution");
}

#[test]
fn stage_events() {
    for state in [State::Started, State::Stopping, State::Stopped, State::Succeeded, State::Failed, State::Canceled] {
        assert_eq!(
            detail_of(state, Subject::Stage { stage: "Ship".into(), retried_at: None }),
            json!({
                "pipeline": "release",
                "version": 3.0,
                "execution-id": EXECUTION,
                "start-time": "2023-11-14T22:13:20.250Z",
                "stage": "Ship",
                "state": state.as_str(),
                "pipeline-execution-attempt": 1.0
            })
        );
    }
}

#[test]
fn a_resumed_stage_says_when_instead_of_since_when() {
    let retried_at = Some(Timestamp(1_700_000_003_305));
    assert_eq!(
        detail_of(State::Resumed, Subject::Stage { stage: "Ship".into(), retried_at }),
        json!({
            "pipeline": "release",
            "version": 3.0,
            "execution-id": EXECUTION,
            "stage-last-retry-attempt-time": "2023-11-14T22:13:23.305Z",
            "stage": "Ship",
            "state": "RESUMED",
            "pipeline-execution-attempt": 1.0
        })
    );
    let later = detail_of(State::Failed, Subject::Stage { stage: "Ship".into(), retried_at });
    assert_eq!(later["stage-last-retry-attempt-time"], "2023-11-14T22:13:23.305Z");
    assert_eq!(later["start-time"], "2023-11-14T22:13:20.250Z");
}

#[test]
fn an_action_start_lists_what_it_reads() {
    assert_eq!(
        detail_of(State::Started, Subject::Action(Box::new(action("Upload")))),
        json!({
            "pipeline": "release",
            "execution-id": EXECUTION,
            "start-time": "2023-11-14T22:13:20.250Z",
            "stage": "Ship",
            "action-execution-id": ACTION,
            "action": "Upload",
            "state": "STARTED",
            "type": { "owner": "AWS", "category": "Deploy", "provider": "S3", "version": "1" },
            "version": 3.0,
            "pipeline-execution-attempt": 1.0,
            "input-artifacts": [
                { "name": "Built", "s3location": { "bucket": "store", "key": "release/Built/a1b2c3d" } }
            ]
        })
    );
}

#[test]
fn an_action_success_lists_what_it_made_and_its_result() {
    let subject = ActionSubject {
        external_id: Some("8cf40f2".into()),
        external_url: Some("https://git.example/8cf40f2".into()),
        summary: Some("Add a licence".into()),
        ..action("Upload")
    };
    assert_eq!(
        detail_of(State::Succeeded, Subject::Action(Box::new(subject))),
        json!({
            "pipeline": "release",
            "execution-id": EXECUTION,
            "start-time": "2023-11-14T22:13:20.250Z",
            "stage": "Ship",
            "execution-result": {
                "external-execution-url": "https://git.example/8cf40f2",
                "external-execution-summary": "Add a licence",
                "external-execution-id": "8cf40f2"
            },
            "output-artifacts": [
                { "name": "Shipped", "s3location": { "bucket": "store", "key": "release/Shipped/a1b2c3d" } }
            ],
            "action-execution-id": ACTION,
            "action": "Upload",
            "state": "SUCCEEDED",
            "region": "eu-west-1",
            "type": { "owner": "AWS", "provider": "S3", "category": "Deploy", "version": "1" },
            "version": 3.0,
            "pipeline-execution-attempt": 1.0
        })
    );
}

#[test]
fn an_action_failure_names_its_error() {
    let subject = ActionSubject {
        external_id: Some("d-1".into()),
        error: Some(ErrorDetail { code: "JobFailed".into(), message: "Deployment d-1 failed".into() }),
        region: Some("us-east-2".into()),
        retried_at: Some(Timestamp(1_700_000_001_000)),
        ..action("Upload")
    };
    assert_eq!(
        detail_of(State::Failed, Subject::Action(Box::new(subject))),
        json!({
            "pipeline": "release",
            "execution-id": EXECUTION,
            "start-time": "2023-11-14T22:13:20.250Z",
            "stage": "Ship",
            "execution-result": {
                "external-execution-summary": "Deployment d-1 failed",
                "external-execution-id": "d-1",
                "error-code": "JobFailed"
            },
            "stage-last-retry-attempt-time": "2023-11-14T22:13:21.000Z",
            "action-execution-id": ACTION,
            "action": "Upload",
            "state": "FAILED",
            "region": "us-east-2",
            "type": { "owner": "AWS", "category": "Deploy", "provider": "S3", "version": "1" },
            "version": 3.0,
            "pipeline-execution-attempt": 1.0
        })
    );
}

#[test]
fn an_abandoned_action_has_neither_start_nor_result() {
    assert_eq!(
        detail_of(State::Abandoned, Subject::Action(Box::new(action("Upload")))),
        json!({
            "pipeline": "release",
            "execution-id": EXECUTION,
            "stage": "Ship",
            "action-execution-id": ACTION,
            "action": "Upload",
            "state": "ABANDONED",
            "region": "eu-west-1",
            "type": { "owner": "AWS", "category": "Deploy", "provider": "S3", "version": "1" },
            "version": 3.0,
            "pipeline-execution-attempt": 1.0
        })
    );
}

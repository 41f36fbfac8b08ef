use std::sync::Arc;

use control::ports::ActionRunner as _;

use super::*;
use crate::runner::ProviderRunner;
use crate::testing::{self, ACTION_ID, FakeAws, Fixed, Host};

fn request() -> ActionRequest {
    let settings = [
        ("PipelineName", "other"),
        ("Variables", r#"[{"name": "stage", "value": "prod"}]"#),
        ("SourceRevisions", r#"[{"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": "abc"}]"#),
    ];
    testing::request("Invoke", "CodePipeline", &settings)
}

#[test]
fn variables_and_revisions_are_passed_on() {
    let start = pipeline_start(&request()).unwrap();
    assert_eq!(start.pipeline, "other");
    assert_eq!(start.variables, StringMap::from([("stage".into(), "prod".into())]));
    assert_eq!(start.source_revisions, [("Source".into(), SourceRevisionType::CommitId, "abc".into())]);
    assert_eq!(start.token, ACTION_ID);
}

#[test]
fn what_cannot_be_read_says_what_would_be_right() {
    for (key, value, part) in [
        ("Variables", "{}", "write [{\"name\": \"N\", \"value\": \"V\"}]"),
        ("Variables", r#"[{"name": "N", "wert": "V"}]"#, "unknown field `wert`"),
        (
            "SourceRevisions",
            r#"[{"actionName": "S", "revisionType": "TAG", "revisionValue": "v1"}]"#,
            "revisionType is one of COMMIT_ID, IMAGE_DIGEST",
        ),
    ] {
        let mut request = request();
        request.declaration.configuration.insert(key.into(), value.into());
        let Err(Fault::Ends { code, message }) = pipeline_start(&request) else { panic!("{value}") };
        assert_eq!(code, "ConfigurationError");
        assert!(message.contains(&format!("configuration.{key}: ")) && message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn the_other_pipelines_end_is_the_actions() {
    for (status, expected) in [
        (Some(ExecutionStatus::InProgress), None),
        (Some(ExecutionStatus::Stopping), None),
        (Some(ExecutionStatus::Succeeded), Some("")),
        (Some(ExecutionStatus::Failed), Some("JobFailed")),
        (Some(ExecutionStatus::Superseded), Some("JobFailed")),
        (None, Some("JobFailed")),
    ] {
        let host = Arc::new(Host::default());
        let parts = FakeAws::with(|_| None).parts(Fixed::at("2026-11-24T00:00:00Z"), host.clone());
        let runner = ProviderRunner::impatient(parts);
        let (started, _) = testing::pending(runner.start(request()).await);
        *host.status.lock().unwrap() = status;
        let reply = runner.poll(ActionRequest { external_id: started.external_id, ..request() }).await;
        let ended = match reply {
            ActionReply::Pending { .. } => None,
            ActionReply::Ended(outcome) => Some(outcome.error.map(|error| error.code).unwrap_or_default()),
        };
        assert_eq!(ended.as_deref(), expected, "{status:?}");
    }
}

#[tokio::test]
async fn a_refused_start_fails_with_the_apis_error() {
    let host = Arc::new(Host::default());
    let (code, message) = ("PipelineNotFoundException".to_owned(), "no pipeline other".to_owned());
    *host.refusal.lock().unwrap() = Some(StartError::Refused { code, message });
    let parts = FakeAws::with(|_| None).parts(Fixed::at("2026-11-24T00:00:00Z"), host);
    let error = testing::error(ProviderRunner::impatient(parts).start(request()).await);
    assert_eq!(error, ("ConfigurationError".into(), "PipelineNotFoundException: no pipeline other".into()));
}

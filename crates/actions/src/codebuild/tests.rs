use std::collections::BTreeMap;

use control::ports::ActionRunner as _;
use serde_json::{Value, json};

use super::call::{Source, VariableKind, exported};
use super::*;
use crate::clone_ref::CloneRef;
use crate::testing::{self, ACTION_ID, Asked, FakeAws, Fixed};

const NOW: &str = "2026-11-24T00:00:00Z";

fn request(settings: &[(&str, &str)], inputs: &[&str], outputs: &[&str]) -> ActionRequest {
    let mut all = vec![("ProjectName", "proj")];
    all.extend(settings);
    let mut request = testing::request("Build", "CodeBuild", &all);
    let artifact = |name: &&str| testing::artifact(name, &format!("pipe/{name}/key"));
    request.action.inputs = inputs.iter().map(artifact).collect();
    request.action.outputs = outputs.iter().map(artifact).collect();
    request
}

fn message<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    match result {
        Err(Fault::Ends { code: "ConfigurationError", message }) => message,
        other => panic!("{other:?}"),
    }
}

/// CodeBuild that answers with this build, and S3 whose objects are plain.
fn codebuild(build: Value) -> FakeAws {
    FakeAws::new(move |asked: &Asked| match asked.operation() {
        "StartBuild" => (200, json!({"build": build}).to_string()),
        "StartBuildBatch" => (200, json!({"buildBatch": build}).to_string()),
        "BatchGetBuilds" => (200, json!({"builds": [build]}).to_string()),
        "BatchGetBuildBatches" => (200, json!({"buildBatches": [build]}).to_string()),
        _ => (200, String::new()),
    })
}

async fn started(request: ActionRequest) -> Value {
    let fake = codebuild(json!({"id": "proj:u"}));
    testing::pending(fake.runner(Fixed::at(NOW)).start(request).await);
    let asked = fake.requests();
    asked.into_iter().find(|asked| asked.operation().starts_with("StartBuild")).unwrap().json()
}

#[tokio::test]
async fn one_input_and_one_output_are_the_builds_own() {
    let environment = r#"[{"name":"A","value":"1"},{"name":"P","value":"/p","type":"PARAMETER_STORE"},
                          {"name":"S","value":"s:key","type":"SECRETS_MANAGER"}]"#;
    let settings = [
        ("EnvironmentVariables", environment),
        ("BuildspecOverride", "ci.yml"),
        ("ServiceRoleArnOverride", "arn:aws:iam::1:role/build"),
    ];
    let mut request = request(&settings, &["In"], &["Out"]);
    request.encryption_key = Some("key-1".into());
    let expected = json!({
        "projectName": "proj",
        "idempotencyToken": ACTION_ID,
        "sourceTypeOverride": "S3",
        "sourceLocationOverride": "store/pipe/In/key",
        "artifactsOverride": {"type": "S3", "location": "store", "path": "pipe/Out", "name": "key",
            "namespaceType": "NONE", "packaging": "ZIP", "overrideArtifactName": false},
        "environmentVariablesOverride": [
            {"name": "A", "value": "1", "type": "PLAINTEXT"},
            {"name": "P", "value": "/p", "type": "PARAMETER_STORE"},
            {"name": "S", "value": "s:key", "type": "SECRETS_MANAGER"},
            {"name": MARK, "value": ACTION_ID, "type": "PLAINTEXT"},
        ],
        "buildspecOverride": "ci.yml",
        "serviceRoleOverride": "arn:aws:iam::1:role/build",
        "encryptionKeyOverride": "arn:aws:kms:us-east-1:111122223333:key/key-1",
    });
    assert_eq!(started(request).await, expected);
}

#[tokio::test]
async fn several_inputs_and_outputs_are_secondary_ones() {
    let settings = [("PrimarySource", "App")];
    let call = started(request(&settings, &["lib-1", "App"], &["Site", "Report"])).await;
    assert_eq!(call["sourceLocationOverride"], "store/pipe/App/key");
    let secondary = json!([{"type": "S3", "location": "store/pipe/lib-1/key", "sourceIdentifier": "lib_1"}]);
    assert_eq!(call["secondarySourcesOverride"], secondary);
    assert_eq!(call["artifactsOverride"], json!({"type": "NO_ARTIFACTS"}));
    let artifacts = call["secondaryArtifactsOverride"].as_array().unwrap();
    let names: Vec<_> = artifacts.iter().map(|artifact| artifact["artifactIdentifier"].as_str().unwrap()).collect();
    assert_eq!(names, ["Site", "Report"]);
    assert_eq!(artifacts[1]["path"], "pipe/Report");
}

#[tokio::test]
async fn a_batch_combines_its_artifacts_where_asked() {
    let settings = [("BatchEnabled", "true"), ("CombineArtifacts", "true")];
    let call = started(request(&settings, &["In"], &["Out"])).await;
    assert_eq!(call["buildBatchConfigOverride"], json!({"combineArtifacts": true}));
    assert_eq!(call["idempotencyToken"], ACTION_ID);
}

#[test]
fn settings_that_make_no_sense_name_the_key() {
    for (settings, inputs, part) in [
        (vec![], vec!["A", "B"], "configuration.PrimarySource: is missing; name one of A, B"),
        (vec![("PrimarySource", "C")], vec!["A"], "configuration.PrimarySource: C is none of the action's inputs (A)"),
        (vec![], vec![], "inputArtifacts: is empty"),
        (vec![("CombineArtifacts", "true")], vec!["A"], "configuration.CombineArtifacts: "),
        (vec![("BatchEnabled", "maybe")], vec!["A"], "configuration.BatchEnabled: is true or false"),
        (vec![("EnvironmentVariables", "{}")], vec!["A"], "write [{\"name\": \"N\""),
        (
            vec![("EnvironmentVariables", r#"[{"name":"A","value":"v","type":"SECRET"}]"#)],
            vec!["A"],
            "unknown variant `SECRET`",
        ),
        (
            vec![("EnvironmentVariables", r#"[{"name":"PENSTOCK_ACTION_EXECUTION_ID","value":"v"}]"#)],
            vec!["A"],
            "Penstock's own",
        ),
    ] {
        let said = message(BuildCall::of(&request(&settings, &inputs, &[]), &BTreeMap::new()));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_clone_is_a_git_source_at_its_commit() {
    let clone = CloneRef {
        v: 1,
        provider: "GitHub".into(),
        clone_url: "https://github.com/o/r.git".into(),
        connection_arn: "arn:aws:codeconnections:us-east-1:1:connection/c".into(),
        full_repository_id: "o/r".into(),
        branch_name: "main".into(),
        commit_id: "c".repeat(40),
    };
    let clones = BTreeMap::from([("In".to_owned(), clone.clone())]);
    let call = BuildCall::of(&request(&[], &["In"], &[]), &clones).unwrap();
    assert_eq!(call.primary, Source::Clone(clone));
}

#[tokio::test]
async fn a_reference_among_the_inputs_is_cloned_by_codebuild() {
    let arn = "arn:aws:codeconnections:us-east-1:1:connection/c";
    let auth = json!({"type": "CODECONNECTIONS", "resource": arn});
    for (provider, url, connection, kind, auth) in [
        ("GitLab", "https://gitlab.com/o/r.git", arn, "GITLAB", auth),
        // CodeBuild's own role opens it.
        ("CodeCommit", "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/r", "", "CODECOMMIT", Value::Null),
    ] {
        let reference = json!({"v": 1, "provider": provider, "cloneUrl": url, "connectionArn": connection,
            "fullRepositoryId": "o/r", "branchName": "main", "commitId": "c".repeat(40)});
        let fake = FakeAws::with(move |asked: &Asked| match (asked.method.as_str(), asked.operation()) {
            ("HEAD", _) => {
                let format = ("x-amz-meta-penstock-artifact-format".to_owned(), "CODEBUILD_CLONE_REF".to_owned());
                Some((200, vec![format], Vec::new()))
            }
            ("GET", _) => Some((200, Vec::new(), reference.to_string().into_bytes())),
            _ => Some((200, Vec::new(), json!({"build": {"id": "proj:u"}}).to_string().into_bytes())),
        });
        testing::pending(fake.runner(Fixed::at(NOW)).start(request(&[], &["In"], &[])).await);
        let call = fake.requests().pop().unwrap().json();
        assert_eq!(call["sourceTypeOverride"], kind);
        assert_eq!(call["sourceLocationOverride"], url);
        assert_eq!(call["sourceVersion"], "c".repeat(40));
        assert_eq!(call["gitCloneDepthOverride"], 0);
        assert_eq!(call["sourceAuthOverride"], auth);
    }
}

#[test]
fn exported_secrets_are_no_output_variables() {
    let environment = r#"[{"name":"S","value":"s","type":"SECRETS_MANAGER"}]"#;
    let request = request(&[("EnvironmentVariables", environment)], &["In"], &[]);
    let told = [("S".to_owned(), "secret".to_owned()), ("V".to_owned(), "1".to_owned())];
    assert_eq!(exported(&request, &told), [("V".to_owned(), "1".to_owned())].into());
    assert_eq!(VariableKind::default(), VariableKind::Plaintext);
}

async fn polled(build: Value) -> ActionReply {
    let request = ActionRequest { external_id: Some("proj:u".into()), ..request(&[], &["In"], &["Out"]) };
    codebuild(build).runner(Fixed::at("2026-11-24T00:20:00Z")).poll(request).await
}

#[tokio::test]
async fn a_running_build_shows_its_log() {
    let build = json!({"id": "proj:u", "buildStatus": "IN_PROGRESS", "currentPhase": "INSTALL",
                       "logs": {"deepLink": "https://logs.example/1"}});
    let (started, poll_at) = testing::pending(polled(build).await);
    assert_eq!(started.external_url.as_deref(), Some("https://logs.example/1"));
    assert_eq!(started.summary.as_deref(), Some("build proj:u: INSTALL"));
    assert_eq!(poll_at, Some(testing::time("2026-11-24T00:25:00Z")));
}

#[tokio::test]
async fn a_build_that_succeeded_brings_variables_and_digests() {
    let build = json!({"id": "proj:u", "buildStatus": "SUCCEEDED",
        "exportedEnvironmentVariables": [{"name": "VERSION", "value": "7"}],
        "artifacts": {"location": "arn:aws:s3:::store/pipe/Out/key", "sha256sum": "abc"}});
    let outcome = testing::outcome(polled(build).await);
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.variables, [("VERSION".to_owned(), "7".to_owned())].into());
    assert_eq!(outcome.outputs[0].digest.as_deref(), Some("abc"));
    assert_eq!(outcome.outputs[0].key, "pipe/Out/key");
}

#[tokio::test]
async fn a_build_that_did_not_succeed_says_in_which_phase() {
    for (status, part) in [
        ("FAILED", "the build proj:u failed"),
        ("FAULT", "by a fault of CodeBuild"),
        ("TIMED_OUT", "took longer than its project allows"),
        ("STOPPED", "was stopped"),
    ] {
        let build = json!({"id": "proj:u", "buildStatus": status, "phases": [
            {"phaseType": "INSTALL", "phaseStatus": "SUCCEEDED", "contexts": [{"message": ""}]},
            {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "make: exit status 2"}]}]});
        let (code, message) = testing::error(polled(build).await);
        assert_eq!(code, "JobFailed");
        assert!(message.contains(part) && message.ends_with(": BUILD: make: exit status 2"), "{message}");
    }
}

#[tokio::test]
async fn a_batchs_end_is_the_actions() {
    let settings = [("BatchEnabled", "true")];
    let request = ActionRequest { external_id: Some("proj:u".into()), ..request(&settings, &["In"], &[]) };
    let fake = codebuild(json!({"id": "proj:u", "buildBatchStatus": "FAILED", "phases": [
        {"phaseType": "IN_PROGRESS", "phaseStatus": "FAILED", "contexts": [{"message": "build2 failed"}]}]}));
    let (_, message) = testing::error(fake.runner(Fixed::at(NOW)).poll(request).await);
    assert_eq!(message, "the batch proj:u failed: IN_PROGRESS: build2 failed");
    assert_eq!(fake.count("BatchGetBuildBatches"), 1);
}

#[tokio::test]
async fn a_build_that_nobody_knows_fails_once_it_should_be_known() {
    let fake = FakeAws::new(|_| (200, json!({"builds": [], "buildsNotFound": ["proj:u"]}).to_string()));
    let request = ActionRequest { external_id: Some("proj:u".into()), ..request(&[], &["In"], &[]) };
    testing::pending(fake.runner(Fixed::at("2026-11-24T00:04:59Z")).poll(request.clone()).await);
    let (code, _) = testing::error(fake.runner(Fixed::at("2026-11-24T00:05:00Z")).poll(request).await);
    assert_eq!(code, "JobFailed");
}

#![expect(clippy::too_many_lines, reason = "tables of cases")]

use serde_json::{Value, json};

use super::*;
use crate::finding::Severity;

/// A pipeline with something of everything, in which nothing is found.
fn base() -> Value {
    json!({
        "name": "shop",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts", "encryptionKey": {"id": "alias/key", "type": "KMS"}},
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "variables": [{"name": "Level", "defaultValue": "beta", "description": "where to"}],
        "triggers": [{
            "providerType": "CodeStarSourceConnection",
            "gitConfiguration": {
                "sourceActionName": "Repo",
                "push": [
                    {"branches": {"includes": ["main"]}, "filePaths": {"excludes": ["docs/**"]}},
                    {"tags": {"includes": ["v*"]}}
                ],
                "pullRequest": [{"events": ["OPEN"], "branches": {"includes": ["main"]}}]
            }
        }],
        "stages": [source_stage(), build_stage(), deploy_stage()]
    })
}

fn source_stage() -> Value {
    json!({"name": "Source", "actions": [
        {
            "name": "Repo",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
            "configuration": {"ConnectionArn": "arn:aws:codestar-connections:x", "FullRepositoryId": "o/r", "BranchName": "main"},
            "outputArtifacts": [{"name": "Code"}],
            "namespace": "Repo"
        },
        {
            "name": "Bucket",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
            "configuration": {"S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "false"},
            "outputArtifacts": [{"name": "Data"}]
        }
    ]})
}

fn build_stage() -> Value {
    json!({"name": "Build", "actions": [
        {
            "name": "Compile",
            "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
            "runOrder": 1,
            "configuration": {
                "ProjectName": "p",
                "PrimarySource": "Code",
                "EnvironmentVariables": "[{\"name\":\"COMMIT\",\"value\":\"#{Repo.CommitId}\",\"type\":\"PLAINTEXT\"}]"
            },
            "inputArtifacts": [{"name": "Code"}, {"name": "Data"}],
            "outputArtifacts": [{"name": "Built"}],
            "namespace": "Compiled"
        },
        {
            "name": "Test",
            "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
            "runOrder": 2,
            "commands": ["make test ID=#{codepipeline.PipelineExecutionId}", "echo #{variables.Level}"],
            "inputArtifacts": [{"name": "Built"}],
            "outputArtifacts": [{"name": "Tested", "files": ["out/**"]}],
            "outputVariables": ["COVERAGE"],
            "environmentVariables": [{"name": "TITLE", "value": "#{Repo.CommitMessage}"}],
            "namespace": "Tests"
        }
    ]})
}

fn deploy_stage() -> Value {
    let rule = |provider: &str, configuration: Value| {
        json!({
            "name": provider,
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
            "configuration": configuration
        })
    };
    let check = rule("VariableCheck", json!({"Variable": "#{Tests.COVERAGE}", "Operator": "EQ", "Value": "100"}));
    let alarm = rule("CloudWatchAlarm", json!({"AlarmName": "a", "WaitTime": "1"}));
    json!({
        "name": "Deploy",
        "beforeEntry": {"conditions": [{"result": "SKIP", "rules": [check]}]},
        "onSuccess": {"conditions": [{"result": "ROLLBACK", "rules": [alarm]}]},
        "onFailure": {"result": "ROLLBACK"},
        "actions": [
            {
                "name": "Approve",
                "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
                "configuration": {"CustomData": "commit #{Repo.CommitMessage}, coverage #{Tests.COVERAGE}"},
                "timeoutInMinutes": 60
            },
            {
                "name": "Stack",
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "CloudFormation", "version": "1"},
                "runOrder": 2,
                "configuration": {
                    "ActionMode": "CREATE_UPDATE", "StackName": "s", "TemplatePath": "Tested::t.yaml",
                    "RoleArn": "arn:aws:iam::123456789012:role/cfn", "Capabilities": "CAPABILITY_IAM, CAPABILITY_NAMED_IAM"
                },
                "inputArtifacts": [{"name": "Tested"}]
            },
            {
                "name": "Site",
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
                "runOrder": 2,
                "configuration": {"BucketName": "b", "Extract": "true"},
                "inputArtifacts": [{"name": "Built"}]
            }
        ]
    })
}

/// Puts `content` where `pointer` says (JSON pointer; the last step may be new; `-` appends), or removes it.
fn put(value: &mut Value, pointer: &str, content: Option<Value>) {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
    match (value.pointer_mut(parent).expect("the parent exists"), content) {
        (Value::Object(fields), Some(content)) => {
            fields.insert(last.to_owned(), content);
        }
        (Value::Object(fields), None) => {
            fields.remove(last).expect("the field exists");
        }
        (Value::Array(items), Some(content)) if last == "-" => items.push(content),
        (Value::Array(items), Some(content)) => items[last.parse::<usize>().expect("an index")] = content,
        (Value::Array(items), None) => {
            items.remove(last.parse().expect("an index"));
        }
        (other, _) => panic!("{other} holds nothing"),
    }
}

const FETCH: &str = "/stages/0/actions/0";
const BUCKET: &str = "/stages/0/actions/1";
const COMPILE: &str = "/stages/1/actions/0";
const TEST: &str = "/stages/1/actions/1";
const APPROVE: &str = "/stages/2/actions/0";
const STACK: &str = "/stages/2/actions/1";
const SITE: &str = "/stages/2/actions/2";
const PUSH: &str = "/triggers/0/gitConfiguration/push";

/// One change of [`base`]: pointer below a prefix and what to put there, then what must be found.
type Row = (&'static str, &'static str, Option<Value>, Code, &'static str);

fn check_rows(severity: Severity, rows: Vec<Row>) {
    for (prefix, pointer, content, code, path) in rows {
        let mut value = base();
        let at = format!("{prefix}{pointer}");
        put(&mut value, &at, content.clone());
        let (pipeline, findings) = validate(&value);
        let found = findings.iter().any(|f| (f.code, f.path.as_str(), f.severity) == (code, path, severity));
        let all: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
        assert!(found, "{at} := {content:?} should give {code} at {path}:{all}");
        assert_eq!(pipeline.is_some(), findings.iter().all(|f| f.severity == Severity::Warning), "{at}{all}");
    }
}

fn action(category: &str, owner: &str, provider: &str) -> Option<Value> {
    Some(json!({"category": category, "owner": owner, "provider": provider, "version": "1"}))
}

#[test]
fn nothing_is_found_in_the_base() {
    let (pipeline, findings) = validate(&base());
    assert_eq!(findings, []);
    let pipeline = pipeline.expect("accepted");
    assert_eq!(pipeline.stages[1].actions[1].commands.len(), 2);
    assert_eq!(pipeline.stages[2].actions[0].run_order, None);
    assert_eq!(pipeline.with_defaults().stages[2].actions[0].run_order, Some(1));
}

#[test]
fn structure() {
    let many = |count: usize, of: &dyn Fn(usize) -> Value| Some(Value::Array((0..count).map(of).collect()));
    let approval =
        |index: usize| json!({"name": format!("a{index}"), "actionTypeId": action("Approval", "AWS", "Manual")});
    let stage = |index: usize| match index {
        0 => source_stage(),
        _ => json!({"name": format!("s{index}"), "actions": [approval(0)]}),
    };
    check_rows(
        Severity::Error,
        vec![
            ("", "/stages", Some(json!([source_stage()])), Code::TooFewStages, "$.stages"),
            ("", "/stages", Some(json!([])), Code::TooFewStages, "$.stages"),
            (
                "",
                "/stages/1/blockers",
                Some(json!([{ "name": "Nightly", "type": "Schedule" }])),
                Code::ReservedBlocker,
                "$.stages[1].blockers",
            ),
            ("", "/stages", many(51, &stage), Code::TooManyStages, "$.stages"),
            ("", "/stages/1/actions", Some(json!([])), Code::EmptyStage, "$.stages[1].actions"),
            ("", "/stages/1/actions", many(51, &approval), Code::TooManyActions, "$.stages[1].actions"),
            ("", "/stages/2/name", Some(json!("Build")), Code::DuplicateName, "$.stages[2].name"),
            (TEST, "/name", Some(json!("Compile")), Code::DuplicateName, "$.stages[1].actions[1].name"),
            ("", "/variables/-", Some(json!({"name": "Level"})), Code::DuplicateName, "$.variables[1].name"),
            (
                APPROVE,
                "/actionTypeId",
                action("Source", "AWS", "S3"),
                Code::SourcePlacement,
                "$.stages[2].actions[0].actionTypeId.category",
            ),
            (
                BUCKET,
                "/actionTypeId",
                action("Approval", "AWS", "Manual"),
                Code::SourcePlacement,
                "$.stages[0].actions[1].actionTypeId.category",
            ),
            ("", "/nmae", Some(json!("x")), Code::UnknownField, "$.nmae"),
            ("", "/roleArn", None, Code::MissingField, "$.roleArn"),
            ("", "/stages", None, Code::MissingField, "$.stages"),
            ("", "/stages", Some(json!({})), Code::WrongType, "$.stages"),
            (TEST, "/runOrder", Some(json!(0)), Code::InvalidRange, "$.stages[1].actions[1].runOrder"),
            (TEST, "/runOrder", Some(json!(1000)), Code::InvalidRange, "$.stages[1].actions[1].runOrder"),
            ("", "/version", Some(json!(0)), Code::InvalidRange, "$.version"),
            (
                STACK,
                "/configuration/StackName",
                Some(json!(true)),
                Code::WrongType,
                "$.stages[2].actions[1].configuration.StackName",
            ),
        ],
    );
}

#[test]
fn more_than_a_thousand_actions_are_too_many() {
    let mut value = base();
    let approvals = |stage: usize| {
        let actions: Vec<_> = (0..50)
            .map(|i| json!({"name": format!("a{i}"), "actionTypeId": action("Approval", "AWS", "Manual")}))
            .collect();
        json!({"name": format!("more{stage}"), "actions": actions})
    };
    value["stages"].as_array_mut().expect("stages").extend((0..20).map(approvals));
    let found: Vec<_> = validate(&value).1.into_iter().map(|f| (f.code, f.path)).collect();
    assert_eq!(found, [(Code::TooManyActions, "$.stages".to_owned())]);
}

#[test]
fn what_only_v2_pipelines_have() {
    let v1 = |change: &dyn Fn(&mut Value)| {
        let mut value = base();
        value["pipelineType"] = json!("V1");
        change(&mut value);
        validate(&value)
            .1
            .into_iter()
            .filter(|f| f.code == Code::RequiresV2)
            .map(|f| (f.severity, f.path))
            .collect::<Vec<_>>()
    };
    let error = |path: &str| (Severity::Error, path.to_owned());
    let expected = [
        error("$.executionMode"),
        error("$.variables"),
        error("$.triggers"),
        error("$.stages[1].actions[1].actionTypeId.provider"),
        error("$.stages[2].beforeEntry"),
        error("$.stages[2].onSuccess"),
        (Severity::Warning, "$.stages[2].onFailure".to_owned()),
    ];
    assert_eq!(v1(&|_| {}), expected);
    assert_eq!(v1(&|value| put(value, "/pipelineType", None)), expected, "V1 when absent");
    let found = v1(&|value| value["stages"][2]["onFailure"] = json!({"conditions": [{"result": "FAIL"}]}));
    assert!(found.contains(&error("$.stages[2].onFailure")));
}

#[test]
fn artifact_stores_and_regions() {
    let store = json!({"type": "S3", "location": "artifacts"});
    check_rows(
        Severity::Error,
        vec![
            ("", "/artifactStore", None, Code::ArtifactStoreChoice, "$.artifactStore"),
            ("", "/artifactStores", Some(json!({"us-east-1": store})), Code::ArtifactStoreChoice, "$.artifactStores"),
            ("", "/artifactStore/type", Some(json!("s3")), Code::InvalidEnum, "$.artifactStore.type"),
            ("", "/artifactStore/encryptionKey/type", None, Code::MissingField, "$.artifactStore.encryptionKey.type"),
        ],
    );
    let in_regions = |stores: Value, own: Option<&str>| {
        let mut value = base();
        put(&mut value, "/artifactStore", None);
        value["artifactStores"] = stores;
        value["stages"][2]["actions"][1]["region"] = json!("eu-west-1");
        validate_in(&value, own).1.into_iter().map(|f| (f.code, f.path)).collect::<Vec<_>>()
    };
    let missing = [(Code::MissingRegionStore, "$.artifactStores".to_owned())];
    assert_eq!(in_regions(json!({"eu-west-1": store, "us-east-1": store}), Some("us-east-1")), []);
    assert_eq!(in_regions(json!({"us-east-1": store}), Some("us-east-1")), missing);
    assert_eq!(in_regions(json!({"eu-west-1": store}), Some("us-east-1")), missing);
    assert_eq!(in_regions(json!({"eu-west-1": store}), None), []);

    // Two that run in the pipeline's region only: no region is right for both.
    let mut value = base();
    put(&mut value, "/artifactStore", None);
    value["artifactStores"] = json!({"eu-west-1": store, "us-east-1": store});
    value["stages"][0]["actions"][0]["region"] = json!("us-east-1");
    value["stages"][0]["actions"][1]["region"] = json!("eu-west-1");
    let found: Vec<_> = validate(&value).1.into_iter().map(|f| (f.code, f.path)).collect();
    assert_eq!(found, [(Code::CrossRegion, "$.stages[0].actions[1].region".to_owned())]);

    let mut value = base();
    value["stages"][2]["actions"][1]["region"] = json!("eu-west-1");
    assert_eq!(validate(&value).1, [], "one region, whichever it is");
    assert_eq!(validate_in(&value, Some("us-east-1")).1[0].code, Code::MissingRegionStore);
    value["stages"][2]["actions"][2]["region"] = json!("eu-west-2");
    assert_eq!(validate(&value).1[0].code, Code::MissingRegionStore);

    value = base();
    value["stages"][0]["actions"][1]["region"] = json!("eu-west-1");
    let found: Vec<_> = validate_in(&value, Some("us-east-1")).1.into_iter().map(|f| (f.code, f.path)).collect();
    assert!(found.contains(&(Code::CrossRegion, "$.stages[0].actions[1].region".to_owned())), "{found:?}");
}

#[test]
fn artifacts() {
    let name = |name: &str| Some(json!({"name": name}));
    check_rows(
        Severity::Error,
        vec![
            (
                SITE,
                "/inputArtifacts/0",
                name("Bulit"),
                Code::UnknownArtifact,
                "$.stages[2].actions[2].inputArtifacts[0].name",
            ),
            (
                COMPILE,
                "/inputArtifacts/1",
                name("Tested"),
                Code::ArtifactOrder,
                "$.stages[1].actions[0].inputArtifacts[1].name",
            ),
            (
                COMPILE,
                "/inputArtifacts/1",
                name("Built"),
                Code::ArtifactOrder,
                "$.stages[1].actions[0].inputArtifacts[1].name",
            ),
            (TEST, "/runOrder", Some(json!(1)), Code::ArtifactOrder, "$.stages[1].actions[1].inputArtifacts[0].name"),
            (
                COMPILE,
                "/inputArtifacts/1",
                name("Code"),
                Code::DuplicateArtifact,
                "$.stages[1].actions[0].inputArtifacts[1].name",
            ),
            (
                BUCKET,
                "/outputArtifacts/0",
                name("Code"),
                Code::DuplicateArtifact,
                "$.stages[0].actions[1].outputArtifacts[0].name",
            ),
            (BUCKET, "/outputArtifacts/-", name("More"), Code::ArtifactCount, "$.stages[0].actions[1].outputArtifacts"),
            (COMPILE, "/inputArtifacts", Some(json!([])), Code::ArtifactCount, "$.stages[1].actions[0].inputArtifacts"),
            (
                APPROVE,
                "/inputArtifacts",
                Some(json!([{"name": "Code"}])),
                Code::ArtifactCount,
                "$.stages[2].actions[0].inputArtifacts",
            ),
            (
                SITE,
                "/outputArtifacts",
                Some(json!([{"name": "Out"}])),
                Code::ArtifactCount,
                "$.stages[2].actions[2].outputArtifacts",
            ),
            (
                "/stages/1",
                "/beforeEntry",
                Some(json!({"conditions": [{"result": "FAIL", "rules": [{
                    "name": "r", "ruleTypeId": {"category": "Rule", "provider": "Commands"}, "commands": ["ls"],
                    "inputArtifacts": [{"name": "Built"}]
                }]}]})),
                Code::ArtifactOrder,
                "$.stages[1].beforeEntry.conditions[0].rules[0].inputArtifacts[0].name",
            ),
        ],
    );
}

#[test]
fn action_types_and_configuration() {
    let text = |text: &str| Some(json!(text));
    check_rows(
        Severity::Error,
        vec![
            (
                SITE,
                "/actionTypeId",
                action("Deploy", "AWS", "S33"),
                Code::UnknownActionType,
                "$.stages[2].actions[2].actionTypeId.provider",
            ),
            (
                SITE,
                "/actionTypeId",
                action("Build", "AWS", "S3"),
                Code::UnknownActionType,
                "$.stages[2].actions[2].actionTypeId.provider",
            ),
            (
                SITE,
                "/actionTypeId/category",
                text("Depoly"),
                Code::InvalidEnum,
                "$.stages[2].actions[2].actionTypeId.category",
            ),
            (
                SITE,
                "/configuration",
                None,
                Code::MissingConfiguration,
                "$.stages[2].actions[2].configuration.BucketName",
            ),
            (
                SITE,
                "/configuration/Extract",
                text("True"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[2].configuration.Extract",
            ),
            (
                SITE,
                "/configuration/Extract",
                text("false"),
                Code::MissingConfiguration,
                "$.stages[2].actions[2].configuration.ObjectKey",
            ),
            (
                SITE,
                "/configuration/Exctract",
                text("x"),
                Code::UnknownConfiguration,
                "$.stages[2].actions[2].configuration.Exctract",
            ),
            (
                STACK,
                "/configuration/ActionMode",
                text("CREATE"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.ActionMode",
            ),
            (
                STACK,
                "/configuration/ActionMode",
                text("CHANGE_SET_EXECUTE"),
                Code::MissingConfiguration,
                "$.stages[2].actions[1].configuration.ChangeSetName",
            ),
            (
                STACK,
                "/configuration/TemplatePath",
                None,
                Code::MissingConfiguration,
                "$.stages[2].actions[1].configuration.TemplatePath",
            ),
            (
                STACK,
                "/configuration/TemplatePath",
                text("t.yaml"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.TemplatePath",
            ),
            (
                STACK,
                "/configuration/TemplatePath",
                text("Built::t.yaml"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.TemplatePath",
            ),
            (
                STACK,
                "/configuration/Capabilities",
                text("CAPABILITY_IAM,CAPABILITY_X"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.Capabilities",
            ),
            (
                STACK,
                "/configuration/ParameterOverrides",
                text("[]"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.ParameterOverrides",
            ),
            (
                COMPILE,
                "/configuration/PrimarySource",
                None,
                Code::MissingConfiguration,
                "$.stages[1].actions[0].configuration.PrimarySource",
            ),
            (
                COMPILE,
                "/configuration/PrimarySource",
                text("Built"),
                Code::InvalidConfiguration,
                "$.stages[1].actions[0].configuration.PrimarySource",
            ),
            (
                COMPILE,
                "/configuration/CombineArtifacts",
                text("true"),
                Code::MissingConfiguration,
                "$.stages[1].actions[0].configuration.BatchEnabled",
            ),
            (
                COMPILE,
                "/configuration/EnvironmentVariables",
                text("A=b"),
                Code::InvalidConfiguration,
                "$.stages[1].actions[0].configuration.EnvironmentVariables",
            ),
            (
                COMPILE,
                "/configuration/EnvironmentVariables",
                text("{}"),
                Code::InvalidConfiguration,
                "$.stages[1].actions[0].configuration.EnvironmentVariables",
            ),
            (
                COMPILE,
                "/configuration/EnvironmentVariables",
                text(r#"[{"name":"A","value":1}]"#),
                Code::InvalidConfiguration,
                "$.stages[1].actions[0].configuration.EnvironmentVariables",
            ),
            (
                COMPILE,
                "/configuration/EnvironmentVariables",
                text(r#"[{"name":"A","value":"b","type":"PLAIN"}]"#),
                Code::InvalidConfiguration,
                "$.stages[1].actions[0].configuration.EnvironmentVariables",
            ),
            (
                COMPILE,
                "/configuration/ProjectName",
                Some(json!({"Ref": "P"})),
                Code::WrongType,
                "$.stages[1].actions[0].configuration.ProjectName",
            ),
            (
                FETCH,
                "/configuration/OutputArtifactFormat",
                text("ZIP"),
                Code::InvalidConfiguration,
                "$.stages[0].actions[0].configuration.OutputArtifactFormat",
            ),
            (
                BUCKET,
                "/configuration/PollForSourceChanges",
                Some(json!(false)),
                Code::WrongType,
                "$.stages[0].actions[1].configuration.PollForSourceChanges",
            ),
        ],
    );
    check_rows(
        Severity::Warning,
        vec![
            (
                BUCKET,
                "/configuration/PollForSourceChanges",
                None,
                Code::PollingDefault,
                "$.stages[0].actions[1].configuration.PollForSourceChanges",
            ),
            (
                SITE,
                "/actionTypeId",
                action("Deploy", "Custom", "Ours"),
                Code::UnverifiedActionType,
                "$.stages[2].actions[2].actionTypeId.provider",
            ),
            (
                SITE,
                "/actionTypeId/version",
                text("2"),
                Code::UnverifiedActionType,
                "$.stages[2].actions[2].actionTypeId.version",
            ),
            (
                STACK,
                "/configuration/RoleArn",
                None,
                Code::MissingConfiguration,
                "$.stages[2].actions[1].configuration.RoleArn",
            ),
            (
                STACK,
                "/configuration/OutputFileName",
                text("o.json"),
                Code::InvalidConfiguration,
                "$.stages[2].actions[1].configuration.OutputFileName",
            ),
        ],
    );
}

#[test]
fn providers_with_settings_that_belong_together() {
    for (category, provider, configuration, expected) in [
        (
            "Deploy",
            "EC2",
            json!({"InstanceTagKey": "k", "InstanceType": "EC2"}),
            Some((Code::MissingConfiguration, "TargetDirectory")),
        ),
        ("Deploy", "EC2", json!({"InstanceTagKey": "k", "InstanceType": "EC2", "DeploySpec": "d"}), None),
        ("Deploy", "EKS", json!({"ClusterName": "c"}), Some((Code::MissingConfiguration, "ManifestFiles"))),
        (
            "Deploy",
            "EKS",
            json!({"ClusterName": "c", "HelmReleaseName": "r"}),
            Some((Code::MissingConfiguration, "HelmChartLocation")),
        ),
        ("Deploy", "EKS", json!({"ClusterName": "c", "ManifestFiles": "m"}), None),
        ("Deploy", "ServiceCatalog", json!({"ProductId": "p"}), Some((Code::MissingConfiguration, "TemplateFilePath"))),
        ("Deploy", "ServiceCatalog", json!({"ProductId": "p", "ConfigurationFilePath": "f"}), None),
        (
            "Deploy",
            "ECS",
            json!({"ClusterName": "c", "ServiceName": "s", "DeploymentTimeout": "61"}),
            Some((Code::InvalidConfiguration, "DeploymentTimeout")),
        ),
        ("Deploy", "ECS", json!({"ClusterName": "c", "ServiceName": "s", "DeploymentTimeout": "60"}), None),
        (
            "Deploy",
            "Lambda",
            json!({"FunctionName": "f", "DeployStrategy": "AllAtOnce"}),
            Some((Code::MissingConfiguration, "FunctionAlias")),
        ),
        (
            "Deploy",
            "CloudFormationStackSet",
            json!({"StackSetName": "s", "TemplatePath": "Built::t", "Regions": "r"}),
            Some((Code::MissingConfiguration, "DeploymentTargets")),
        ),
        (
            "Invoke",
            "StepFunctions",
            json!({"StateMachineArn": "a", "InputType": "FilePath"}),
            Some((Code::MissingConfiguration, "Input")),
        ),
        (
            "Invoke",
            "StepFunctions",
            json!({"StateMachineArn": "a", "Input": "{"}),
            Some((Code::InvalidConfiguration, "Input")),
        ),
        ("Invoke", "StepFunctions", json!({"StateMachineArn": "a", "Input": "{\"a\": #{Repo.CommitId}}"}), None),
        ("Invoke", "Lambda", json!({"FunctionName": "f", "UserParameters": "{"}), None),
        (
            "Deploy",
            "CloudFormation",
            json!({"ActionMode": "DELETE_ONLY", "StackName": "s", "RoleArn": "r", "ParameterOverrides": format!("{{\"a\":\"{}\"}}", "x".repeat(1024))}),
            Some((Code::InvalidConfiguration, "ParameterOverrides")),
        ),
        (
            "Build",
            "CodeBuild",
            json!({"ProjectName": "p", "CombineArtifacts": "true", "BatchEnabled": "false"}),
            Some((Code::InvalidConfiguration, "BatchEnabled")),
        ),
        (
            "Build",
            "CodeBuild",
            json!({"ProjectName": "p", "CombineArtifacts": "true", "BatchEnabled": "#{variables.Level}"}),
            None,
        ),
        ("Build", "CodeBuild", json!({"ProjectName": "p", "EnvironmentVariables": "#{variables.Level}"}), None),
    ] {
        let mut value = base();
        value["stages"][2]["actions"][2]["actionTypeId"] = json!(action(category, "AWS", provider));
        value["stages"][2]["actions"][2]["configuration"] = configuration;
        let found: Vec<_> = validate(&value).1.into_iter().map(|f| (f.code, f.path)).collect();
        match expected {
            None => assert_eq!(found, [], "{provider}"),
            Some((code, key)) => {
                assert_eq!(
                    found.first(),
                    Some(&(code, format!("$.stages[2].actions[2].configuration.{key}"))),
                    "{provider}"
                );
            }
        }
    }
}

#[test]
fn fields_that_only_some_types_have() {
    check_rows(
        Severity::Error,
        vec![
            (TEST, "/commands", None, Code::MissingField, "$.stages[1].actions[1].commands"),
            (TEST, "/commands", Some(json!([])), Code::InvalidCount, "$.stages[1].actions[1].commands"),
            (SITE, "/commands", Some(json!(["ls"])), Code::MisplacedField, "$.stages[2].actions[2].commands"),
            (
                SITE,
                "/outputVariables",
                Some(json!(["A"])),
                Code::MisplacedField,
                "$.stages[2].actions[2].outputVariables",
            ),
            (
                COMPILE,
                "/outputArtifacts/0/files",
                Some(json!(["**"])),
                Code::MisplacedField,
                "$.stages[1].actions[0].outputArtifacts[0].files",
            ),
            (
                SITE,
                "/environmentVariables",
                Some(json!([{"name": "A", "value": "b"}])),
                Code::MisplacedField,
                "$.stages[2].actions[2].environmentVariables",
            ),
            (
                TEST,
                "/timeoutInMinutes",
                Some(json!(56)),
                Code::InvalidTimeout,
                "$.stages[1].actions[1].timeoutInMinutes",
            ),
            (
                APPROVE,
                "/timeoutInMinutes",
                Some(json!(4)),
                Code::InvalidRange,
                "$.stages[2].actions[0].timeoutInMinutes",
            ),
            (
                APPROVE,
                "/timeoutInMinutes",
                Some(json!(86401)),
                Code::InvalidRange,
                "$.stages[2].actions[0].timeoutInMinutes",
            ),
        ],
    );
    check_rows(
        Severity::Warning,
        vec![
            (
                TEST,
                "/timeoutInMinutes",
                Some(json!(30)),
                Code::InvalidTimeout,
                "$.stages[1].actions[1].timeoutInMinutes",
            ),
            (TEST, "/commands/0", Some(json!("a\nb")), Code::InvalidPattern, "$.stages[1].actions[1].commands[0]"),
        ],
    );
}

#[test]
fn variables() {
    let data = |text: &str| Some(json!(text));
    const DATA: &str = "$.stages[2].actions[0].configuration.CustomData";
    check_rows(
        Severity::Error,
        vec![
            (TEST, "/namespace", data("Compiled"), Code::NamespaceConflict, "$.stages[1].actions[1].namespace"),
            (TEST, "/namespace", data("Tested"), Code::NamespaceConflict, "$.stages[1].actions[1].namespace"),
            (TEST, "/namespace", data("variables"), Code::NamespaceConflict, "$.stages[1].actions[1].namespace"),
            (TEST, "/namespace", data("codepipeline"), Code::NamespaceConflict, "$.stages[1].actions[1].namespace"),
            (TEST, "/namespace", data("a.b"), Code::InvalidPattern, "$.stages[1].actions[1].namespace"),
            (APPROVE, "/configuration/CustomData", data("#{Repp.CommitId}"), Code::UnresolvedVariable, DATA),
            (APPROVE, "/configuration/CustomData", data("#{variables.Levle}"), Code::UnresolvedVariable, DATA),
            (APPROVE, "/configuration/CustomData", data("#{codepipeline.Name}"), Code::UnresolvedVariable, DATA),
            (APPROVE, "/configuration/CustomData", data("#{CommitId}"), Code::MalformedReference, DATA),
            (
                TEST,
                "/commands/0",
                data("echo #{Tests.COVERAGE}"),
                Code::VariableOrder,
                "$.stages[1].actions[1].commands[0]",
            ),
            (
                COMPILE,
                "/configuration/ProjectName",
                data("#{Tests.COVERAGE}"),
                Code::VariableOrder,
                "$.stages[1].actions[0].configuration.ProjectName",
            ),
            (
                BUCKET,
                "/configuration/S3ObjectKey",
                data("#{variables.Level}"),
                Code::VariableInSource,
                "$.stages[0].actions[1].configuration.S3ObjectKey",
            ),
            (
                BUCKET,
                "/configuration/S3ObjectKey",
                data("#{Repo.CommitId}"),
                Code::VariableInSource,
                "$.stages[0].actions[1].configuration.S3ObjectKey",
            ),
            (
                TEST,
                "/environmentVariables/0/value",
                data("#{no.such}"),
                Code::UnresolvedVariable,
                "$.stages[1].actions[1].environmentVariables[0].value",
            ),
            (
                "/stages/2/beforeEntry/conditions/0/rules/0/configuration",
                "/Variable",
                data("#{no.such}"),
                Code::UnresolvedVariable,
                "$.stages[2].beforeEntry.conditions[0].rules[0].configuration.Variable",
            ),
        ],
    );
    check_rows(
        Severity::Warning,
        vec![
            (APPROVE, "/configuration/CustomData", data("#{Repo.CommitID}"), Code::UnknownVariable, DATA),
            (APPROVE, "/configuration/CustomData", data("#{Tests.OTHER}"), Code::UnknownVariable, DATA),
            (
                TEST,
                "/commands/0",
                data("ruby -e 'puts \"#{1}\"'"),
                Code::MalformedReference,
                "$.stages[1].actions[1].commands[0]",
            ),
            (
                TEST,
                "/commands/0",
                data("echo #{Repo.CommitMessage}"),
                Code::UntrustedVariable,
                "$.stages[1].actions[1].commands[0]",
            ),
            (
                TEST,
                "/commands/0",
                data("echo #{Repo.BranchName}"),
                Code::UntrustedVariable,
                "$.stages[1].actions[1].commands[0]",
            ),
            (
                COMPILE,
                "/configuration/BuildspecOverride",
                data("phases: {build: {commands: [\"echo #{Repo.CommitMessage}\"]}}"),
                Code::UntrustedVariable,
                "$.stages[1].actions[0].configuration.BuildspecOverride",
            ),
        ],
    );
}

#[test]
fn conditions() {
    let lambda = json!({"name": "l", "ruleTypeId": {"category": "Rule", "provider": "LambdaInvoke"}, "configuration": {"FunctionName": "f"}});
    let window = json!({"name": "w", "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow"}, "configuration": {"Cron": "0 0 9-17 ? * MON-FRI *"}});
    let conditions = |result: &str, rules: Value| Some(json!({"conditions": [{"result": result, "rules": rules}]}));
    let deploy = "/stages/2";
    check_rows(
        Severity::Error,
        vec![
            (
                deploy,
                "/beforeEntry",
                conditions("ROLLBACK", json!([lambda])),
                Code::InvalidResult,
                "$.stages[2].beforeEntry.conditions[0].result",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions("SKIP", json!([window])),
                Code::RuleNotAllowed,
                "$.stages[2].beforeEntry.conditions[0].rules[0].ruleTypeId.provider",
            ),
            (
                deploy,
                "/beforeEntry",
                Some(json!({"conditions": [{"result": "FAIL"}]})),
                Code::MissingField,
                "$.stages[2].beforeEntry.conditions[0].rules",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions("FAIL", json!([])),
                Code::InvalidCount,
                "$.stages[2].beforeEntry.conditions[0].rules",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions("FAIL", json!([lambda, lambda])),
                Code::DuplicateName,
                "$.stages[2].beforeEntry.conditions[0].rules[1].name",
            ),
            (
                deploy,
                "/beforeEntry",
                Some(json!({"conditions": []})),
                Code::InvalidCount,
                "$.stages[2].beforeEntry.conditions",
            ),
            (
                deploy,
                "/beforeEntry/conditions/-",
                Some(json!({"result": "FAIL", "rules": [lambda]})),
                Code::InvalidCount,
                "$.stages[2].beforeEntry.conditions",
            ),
            (deploy, "/beforeEntry", Some(json!({})), Code::MissingField, "$.stages[2].beforeEntry.conditions"),
            (
                deploy,
                "/onSuccess",
                conditions("SKIP", json!([lambda])),
                Code::InvalidResult,
                "$.stages[2].onSuccess.conditions[0].result",
            ),
            (
                deploy,
                "/onSuccess",
                conditions("FAIL", json!([lambda, window, lambda, window, lambda, window])),
                Code::InvalidCount,
                "$.stages[2].onSuccess.conditions[0].rules",
            ),
            (
                deploy,
                "/onFailure",
                Some(json!({"result": "SKIP"})),
                Code::InvalidResult,
                "$.stages[2].onFailure.result",
            ),
            (
                deploy,
                "/onFailure",
                conditions("RETRY", json!([lambda])),
                Code::FailureConflict,
                "$.stages[2].onFailure.conditions[0].result",
            ),
            (
                deploy,
                "/onFailure/conditions",
                Some(json!([{"result": "ROLLBACK", "rules": [lambda]}])),
                Code::FailureConflict,
                "$.stages[2].onFailure.result",
            ),
            (
                "",
                "/executionMode",
                Some(json!("PARALLEL")),
                Code::ExecutionModeConflict,
                "$.stages[2].onFailure.result",
            ),
            (
                "/stages/0",
                "/onFailure",
                Some(json!({"result": "ROLLBACK"})),
                Code::InvalidResult,
                "$.stages[0].onFailure.result",
            ),
            (
                "/stages/2/onSuccess/conditions/0/rules/0",
                "/ruleTypeId/provider",
                Some(json!("CloudwatchAlarm")),
                Code::UnknownRuleType,
                "$.stages[2].onSuccess.conditions[0].rules[0].ruleTypeId.provider",
            ),
            (
                "/stages/2/onSuccess/conditions/0/rules/0",
                "/configuration/AlarmName",
                None,
                Code::MissingConfiguration,
                "$.stages[2].onSuccess.conditions[0].rules[0].configuration.AlarmName",
            ),
            (
                "/stages/2/onSuccess/conditions/0/rules/0",
                "/configuration/WaitTime",
                Some(json!("soon")),
                Code::InvalidConfiguration,
                "$.stages[2].onSuccess.conditions[0].rules[0].configuration.WaitTime",
            ),
            (
                "/stages/2/onSuccess/conditions/0/rules/0",
                "/timeoutInMinutes",
                Some(json!(1)),
                Code::InvalidRange,
                "$.stages[2].onSuccess.conditions[0].rules[0].timeoutInMinutes",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions(
                    "FAIL",
                    json!([{"name": "w", "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow"}, "configuration": {"Cron": "9 * * *"}}]),
                ),
                Code::InvalidConfiguration,
                "$.stages[2].beforeEntry.conditions[0].rules[0].configuration.Cron",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions(
                    "FAIL",
                    json!([{"name": "w", "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow"}, "configuration": {"Cron": "0 0 99 ? * MON *"}}]),
                ),
                Code::InvalidConfiguration,
                "$.stages[2].beforeEntry.conditions[0].rules[0].configuration.Cron",
            ),
            (
                deploy,
                "/beforeEntry",
                conditions(
                    "FAIL",
                    json!([{"name": "w", "ruleTypeId": {"category": "Rule", "provider": "DeploymentWindow"}, "configuration": {"Cron": "0 0 9 ? * MON *", "TimeZone": "Mars/Base"}}]),
                ),
                Code::InvalidConfiguration,
                "$.stages[2].beforeEntry.conditions[0].rules[0].configuration.TimeZone",
            ),
        ],
    );
    check_rows(
        Severity::Warning,
        vec![
            (
                "/stages/2/onSuccess/conditions/0/rules/0",
                "/configuration/Alarm",
                Some(json!("x")),
                Code::UnknownConfiguration,
                "$.stages[2].onSuccess.conditions[0].rules[0].configuration.Alarm",
            ),
            (
                deploy,
                "/onFailure/retryConfiguration",
                Some(json!({"retryMode": "ALL_ACTIONS"})),
                Code::FailureConflict,
                "$.stages[2].onFailure.retryConfiguration",
            ),
            (
                deploy,
                "/beforeEntry",
                Some(json!({"conditions": [{"rules": [lambda]}]})),
                Code::MissingField,
                "$.stages[2].beforeEntry.conditions[0].result",
            ),
        ],
    );
    let mut value = base();
    value["stages"][0]["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}});
    value["stages"][2]["onFailure"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [lambda]}]});
    assert_eq!(validate(&value).1, []);
}

#[test]
fn triggers() {
    const GIT: &str = "/triggers/0/gitConfiguration";
    let some = json!({"includes": ["x"]});
    check_rows(
        Severity::Error,
        vec![
            (
                GIT,
                "/sourceActionName",
                Some(json!("Rep")),
                Code::TriggerSource,
                "$.triggers[0].gitConfiguration.sourceActionName",
            ),
            (
                GIT,
                "/sourceActionName",
                Some(json!("Bucket")),
                Code::TriggerSource,
                "$.triggers[0].gitConfiguration.sourceActionName",
            ),
            (
                "",
                "/triggers/-",
                Some(base()["triggers"][0].clone()),
                Code::DuplicateTrigger,
                "$.triggers[1].gitConfiguration.sourceActionName",
            ),
            (PUSH, "/0/tags", Some(some.clone()), Code::InvalidTrigger, "$.triggers[0].gitConfiguration.push[0]"),
            (PUSH, "/0/branches", None, Code::InvalidTrigger, "$.triggers[0].gitConfiguration.push[0]"),
            (PUSH, "/0", Some(json!({})), Code::InvalidTrigger, "$.triggers[0].gitConfiguration.push[0]"),
            (
                PUSH,
                "/0/branches",
                Some(json!({})),
                Code::InvalidTrigger,
                "$.triggers[0].gitConfiguration.push[0].branches",
            ),
            (
                PUSH,
                "/0/branches/includes/0",
                Some(json!("a[")),
                Code::InvalidTrigger,
                "$.triggers[0].gitConfiguration.push[0].branches.includes[0]",
            ),
            (
                PUSH,
                "/0/branches/includes",
                Some(json!(vec!["x"; 9])),
                Code::InvalidCount,
                "$.triggers[0].gitConfiguration.push[0].branches.includes",
            ),
            (
                GIT,
                "/push",
                Some(json!([{"tags": some}, {"tags": some}, {"tags": some}, {"tags": some}])),
                Code::InvalidCount,
                "$.triggers[0].gitConfiguration.push",
            ),
            (
                "",
                GIT,
                Some(json!({"sourceActionName": "Repo"})),
                Code::InvalidTrigger,
                "$.triggers[0].gitConfiguration",
            ),
            (
                GIT,
                "/pullRequest/0",
                Some(json!({"filePaths": some})),
                Code::InvalidTrigger,
                "$.triggers[0].gitConfiguration.pullRequest[0]",
            ),
            (
                GIT,
                "/pullRequest/0",
                Some(json!({"events": ["OPEN"]})),
                Code::InvalidTrigger,
                "$.triggers[0].gitConfiguration.pullRequest[0]",
            ),
            (
                GIT,
                "/pullRequest/0/events/0",
                Some(json!("OPENED")),
                Code::InvalidEnum,
                "$.triggers[0].gitConfiguration.pullRequest[0].events[0]",
            ),
            ("", "/triggers/0/providerType", Some(json!("GitHub")), Code::InvalidEnum, "$.triggers[0].providerType"),
        ],
    );
}

#[test]
fn secrets_in_plain_text_are_found_and_not_repeated() {
    let key = format!("AKIA{}", "ABCDEFGHIJKLMNOP");
    let environment = format!(r#"[{{"name":"K","value":"{key}"}}]"#);
    let rows: Vec<Row> = vec![
        (
            SITE,
            "/configuration/ObjectKey",
            Some(json!(key)),
            Code::PossibleSecret,
            "$.stages[2].actions[2].configuration.ObjectKey",
        ),
        (
            TEST,
            "/commands/0",
            Some(json!(format!("export K={key}"))),
            Code::PossibleSecret,
            "$.stages[1].actions[1].commands[0]",
        ),
        (
            TEST,
            "/environmentVariables/0",
            Some(json!({"name": "DB_PASSWORD", "value": key})),
            Code::PossibleSecret,
            "$.stages[1].actions[1].environmentVariables[0].value",
        ),
        (
            COMPILE,
            "/configuration/EnvironmentVariables",
            Some(json!(environment)),
            Code::PossibleSecret,
            "$.stages[1].actions[0].configuration.EnvironmentVariables",
        ),
        (
            SITE,
            "/configuration/ObjectKey",
            Some(json!(format!(r#"{{"db":[{{"password":"{key}"}}]}}"#))),
            Code::PossibleSecret,
            "$.stages[2].actions[2].configuration.ObjectKey",
        ),
        (
            SITE,
            "/configuration/ObjectKey",
            Some(json!(r#"{"password":"hunter2"}"#)),
            Code::PossibleSecret,
            "$.stages[2].actions[2].configuration.ObjectKey",
        ),
        (
            "",
            "/variables/0",
            Some(json!({"name": "ApiToken", "defaultValue": key})),
            Code::PossibleSecret,
            "$.variables[0].defaultValue",
        ),
    ];
    for row in &rows {
        let mut value = base();
        put(&mut value, &format!("{}{}", row.0, row.1), row.2.clone());
        assert!(validate(&value).1.iter().all(|f| !f.message.contains(&key) && !f.path.contains(&key)));
    }
    check_rows(Severity::Warning, rows.into_iter().filter(|row| !row.1.starts_with("/variables")).collect());
    let mut value = base();
    value["stages"][1]["actions"][1]["environmentVariables"] =
        json!([{"name": "DB_PASSWORD", "value": "prod/db", "type": "SECRETS_MANAGER"}]);
    assert_eq!(validate(&value).1, []);
}

#[test]
fn the_message_for_too_few_stages_is_the_services() {
    let mut value = base();
    value["stages"] = json!([source_stage()]);
    assert!(
        validate(&value).1.iter().any(|f| {
            f.message == "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"
        })
    );
}

#[test]
fn a_null_field_counts_as_absent() {
    let mut value = base();
    value["version"] = Value::Null;
    value["stages"][1]["actions"][0]["commands"] = Value::Null;
    value["stages"][1]["actions"][0]["region"] = Value::Null;
    let (pipeline, findings) = validate(&value);
    assert_eq!(findings, []);
    assert_eq!(pipeline, validate(&base()).0);
}

#[test]
fn warnings_alone_never_refuse() {
    let action = |index: usize| {
        json!({
            "name": format!("a{index}"),
            "actionTypeId": action("Deploy", "Custom", "Ours"),
            "configuration": {"Password": "hunter2"}
        })
    };
    let stage = |stage: usize| json!({"name": format!("s{stage}"), "actions": (0..50).map(action).collect::<Vec<_>>()});
    let mut value = base();
    value["stages"].as_array_mut().expect("stages").extend((0..19).map(stage));
    let (pipeline, findings) = validate(&value);
    assert_eq!(findings.len(), 2 * 19 * 50);
    assert!(pipeline.is_some());
}

#[test]
fn a_reference_is_judged_once_in_a_text() {
    let mut value = base();
    value["stages"][1]["actions"][1]["commands"] = json!(["echo #{no.such} #{no.such}"]);
    assert_eq!(validate(&value).1.len(), 1);
}

/// The messages about a declaration that this change was made to.
fn messages(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut value = base();
    change(&mut value);
    validate(&value).1.into_iter().map(|finding| finding.message).collect()
}

#[test]
fn what_a_commands_action_hands_on() {
    let path = |field: &str| format!("$.stages[1].actions[1].{field}");
    for (field, content, code, at) in [
        ("outputArtifacts", json!([{"name": "Out"}]), Code::MissingField, path("outputArtifacts[0].files")),
        (
            "outputArtifacts",
            json!([{"name": "Out", "files": ["a["]}]),
            Code::InvalidPattern,
            path("outputArtifacts[0].files[0]"),
        ),
        (
            "outputArtifacts",
            json!([{"name": "Out", "files": ["b", "../a"]}]),
            Code::InvalidPattern,
            path("outputArtifacts[0].files[1]"),
        ),
        ("outputVariables", json!(["A", "1-B"]), Code::InvalidPattern, path("outputVariables[1]")),
        ("outputVariables", json!(["A", "A"]), Code::DuplicateName, path("outputVariables[1]")),
        (
            "environmentVariables",
            json!([{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]),
            Code::DuplicateName,
            path("environmentVariables[1].name"),
        ),
    ] {
        let mut value = base();
        put(&mut value, &format!("{TEST}/{field}"), Some(content));
        let found: Vec<_> = validate(&value).1.into_iter().map(|finding| (finding.code, finding.path)).collect();
        assert!(found.contains(&(code, at)), "{field}: {found:?}");
    }
}

/// The API model requires only the name of an output artifact; CDK writes no files unless they are to be filtered.
#[test]
fn an_output_of_commands_without_files_is_accepted_with_a_warning() {
    let mut value = base();
    put(&mut value, &format!("{TEST}/outputArtifacts"), Some(json!([{"name": "Tested"}])));
    let (pipeline, findings) = validate(&value);
    assert!(pipeline.is_some(), "{findings:?}");
}

#[test]
fn an_unknown_field_of_an_environment_variable_is_found_beside_its_type() {
    for text in [r#"[{"name":"A","value":"1","x":1}]"#, r#"[{"name":"A","value":"1","type":"PLAINTEXT","x":1}]"#] {
        let found =
            messages(|value| put(value, &format!("{COMPILE}/configuration/EnvironmentVariables"), Some(json!(text))));
        assert!(found.iter().any(|message| message.contains("has an unknown field \"x\"")), "{text}: {found:?}");
    }
}

#[test]
fn triggers_have_a_size_together() {
    let mut value = base();
    let long: Vec<String> = (0..8).map(|number| format!("{number}{}", "x".repeat(250))).collect();
    let push =
        json!({"branches": {"includes": long, "excludes": long}, "filePaths": {"includes": long, "excludes": long}});
    for (count, expected) in [(20, 0), (30, 1)] {
        value["triggers"][0]["gitConfiguration"]["push"] = json!(vec![push.clone(); count]);
        let found = validate(&value).1;
        assert_eq!(
            found.iter().filter(|found| found.code == Code::TooLarge && found.path == "$.triggers").count(),
            expected
        );
    }
}

#[test]
fn a_check_of_a_text_instead_of_a_variable_is_warned_of() {
    for (variable, expected) in [("#{variables.Level}", 0), ("variables.Level", 1)] {
        let rule = json!({
            "name": "Check",
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": variable, "Operator": "EQ", "Value": "beta"}
        });
        let mut value = base();
        value["stages"][2]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
        let found = validate(&value).1;
        assert_eq!(found.len(), expected, "{found:?}");
        assert!(
            found.iter().all(|found| found.severity == Severity::Warning && found.message.contains("is no reference"))
        );
    }
}

#[test]
fn a_custom_type_is_known_by_its_version() {
    let mut value = base();
    value["stages"][2]["actions"][2]["actionTypeId"] =
        json!({"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "9"});
    value["stages"][2]["actions"][2]["configuration"] = json!({"ServerURL": "b"});
    let found = validate(&value).1;
    assert!(found.iter().all(|found| found.severity == Severity::Warning), "{found:?}");
}

#[test]
fn an_expression_that_is_none_is_found() {
    let check = |expression: &str| {
        let rule = json!({
            "name": "Check",
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": "#{variables.Level}", "Operator": "MATCHES", "Value": expression}
        });
        messages(|value| {
            value["stages"][2]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [rule]}]});
        })
    };
    assert_eq!(check("v[0-9]+"), Vec::<String>::new());
    assert_eq!(check("(#{variables.Level}"), Vec::<String>::new());
    let said = "Value is no regular expression that can be used with MATCHES: unclosed group";
    assert_eq!(check("(v"), [said]);
}

#[test]
fn findings_say_what_would_be_right() {
    let rule = json!([{
        "name": "Check",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
        "configuration": {"FunctionName": "f"}
    }]);
    let first = |field: &str, content: Value| messages(|value| value["stages"][0][field] = content);
    let conditions = json!({"conditions": [{"result": "ROLLBACK", "rules": rule}]});
    let said = |words: &str| words.to_owned();
    assert!(first("onSuccess", conditions)[0].ends_with("onSuccess of the first stage can be FAIL"));
    assert!(first("onFailure", json!({"result": "ROLLBACK"}))[0].ends_with("first stage can be RETRY or FAIL"));
    let changed = |at: &str, content: Value| messages(|value| put(value, at, Some(content)));
    for (at, content, needed) in [
        ("/triggers/0/gitConfiguration/sourceActionName", json!("Zzz"), said("; there are Bucket, Repo")),
        (
            "/stages/1/actions/1/commands/0",
            json!("multi\n"),
            said("this command ends with a line break: leave that out"),
        ),
        ("/stages/1/actions/1/commands/0", json!("a\nb\n"), said("this command has 2: ")),
        (
            "/stages/1/actions/1/commands/0",
            json!({"echo a": "b"}),
            said("in YAML put a text with \": \" in it in quotes"),
        ),
        ("/stages/1/actions/1/commands/0", json!("#{Zzzzzzz.A}"), said("; there are ")),
        ("/stages/1/actions/1/inputArtifacts/0/name", json!("Zzzzzzz"), said("; there are ")),
        (
            "/stages/2/actions/1/configuration/TemplatePath",
            json!("Z::t.yml"),
            said("is \"Z::t.yml\", whose artifact is \"Z\"; it must be one of"),
        ),
    ] {
        let messages = changed(at, content);
        assert!(messages.iter().any(|message| message.contains(&needed)), "{at}: {messages:?}");
    }
}

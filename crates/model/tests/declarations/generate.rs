//! Realistic declarations, made up: sources of several kinds, builds in run orders, approvals and deployments, with
//! and without what only V2 pipelines have.

use proptest::prelude::*;
use serde_json::{Value, json};

/// What a made-up declaration looks like.
#[derive(Clone, Debug)]
struct Plan {
    v2: bool,
    sources: Vec<u8>,
    /// For each build stage the actions, each with its kind.
    builds: Vec<Vec<u8>>,
    /// For each deployment stage the actions, each with its kind.
    deploys: Vec<Vec<u8>>,
    regional: bool,
    conditions: bool,
    mode: u8,
}

/// A declaration that is accepted.
pub fn declarations() -> impl Strategy<Value = Value> {
    let kinds = |most: usize| prop::collection::vec(any::<u8>(), 1..=most);
    let stages = |most: usize| prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=4), 1..=most);
    (any::<bool>(), kinds(3), stages(3), stages(3), any::<bool>(), any::<bool>(), any::<u8>()).prop_map(
        |(v2, sources, builds, deploys, regional, conditions, mode)| {
            render(&Plan { v2, sources, builds, deploys, regional, conditions, mode })
        },
    )
}

fn action_type(category: &str, owner: &str, provider: &str) -> Value {
    json!({"category": category, "owner": owner, "provider": provider, "version": "1"})
}

fn render(plan: &Plan) -> Value {
    let mut stages = vec![json!({"name": "Source", "actions": sources(plan)})];
    let mut produced = vec!["Source0".to_owned()];
    for (index, kinds) in plan.builds.iter().enumerate() {
        stages.push(build_stage(plan, index, kinds, &mut produced));
    }
    for (index, kinds) in plan.deploys.iter().enumerate() {
        stages.push(deploy_stage(plan, index, kinds, &produced));
    }
    let mut pipeline = json!({
        "name": "made-up_pipeline.1",
        "roleArn": "arn:aws:iam::123456789012:role/service-role/made-up",
        "stages": stages,
        "version": 3
    });
    let store = json!({"type": "S3", "location": "artifacts-bucket"});
    if plan.regional {
        pipeline["artifactStores"] = json!({"us-east-1": store, "eu-west-1": store});
    } else {
        pipeline["artifactStore"] = store;
    }
    if plan.v2 {
        pipeline["pipelineType"] = json!("V2");
        pipeline["executionMode"] = json!(["SUPERSEDED", "QUEUED", "PARALLEL"][usize::from(plan.mode % 3)]);
        pipeline["variables"] = json!([{"name": "Target", "defaultValue": "beta"}]);
        if plan.sources[0] % 3 == 2 {
            pipeline["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
                "sourceActionName": "Fetch0", "push": [{"branches": {"includes": ["main", "release/**"]}}]
            }}]);
        }
    }
    pipeline
}

fn sources(plan: &Plan) -> Vec<Value> {
    let source = |(index, kind): (usize, &u8)| {
        let (provider, configuration) = match kind % 3 {
            0 => ("S3", json!({"S3Bucket": "b", "S3ObjectKey": "k.zip", "PollForSourceChanges": "false"})),
            1 => ("CodeCommit", json!({"RepositoryName": "r", "BranchName": "main", "PollForSourceChanges": "true"})),
            _ => (
                "CodeStarSourceConnection",
                json!({"ConnectionArn": "arn:aws:codestar-connections:c", "FullRepositoryId": "o/r", "BranchName": "main"}),
            ),
        };
        json!({
            "name": format!("Fetch{index}"),
            "actionTypeId": action_type("Source", "AWS", provider),
            "configuration": configuration,
            "outputArtifacts": [{"name": format!("Source{index}")}],
            "inputArtifacts": [],
            "namespace": format!("Fetched{index}")
        })
    };
    plan.sources.iter().enumerate().map(source).collect()
}

fn build_stage(plan: &Plan, stage: usize, kinds: &[u8], produced: &mut Vec<String>) -> Value {
    let mut actions = Vec::new();
    for (index, kind) in kinds.iter().enumerate() {
        let output = format!("Built-{stage}-{index}");
        let input = produced[usize::from(*kind) % produced.len()].clone();
        let mut action = json!({
            "name": format!("Build{index}"),
            "runOrder": index + 1,
            "inputArtifacts": [{"name": input}],
            "outputArtifacts": [{"name": output}],
            "namespace": format!("Build_{stage}_{index}")
        });
        if plan.v2 && kind % 2 == 0 {
            action["actionTypeId"] = action_type("Compute", "AWS", "Commands");
            action["commands"] = json!(["make", "make test TARGET=#{variables.Target}"]);
            action["outputVariables"] = json!(["Version"]);
            action["outputArtifacts"][0]["files"] = json!(["out/**/*"]);
        } else {
            action["actionTypeId"] = action_type("Build", "AWS", "CodeBuild");
            action["configuration"] = json!({
                "ProjectName": "project",
                "EnvironmentVariables": r##"[{"name":"ID","value":"#{codepipeline.PipelineExecutionId}","type":"PLAINTEXT"}]"##
            });
        }
        actions.push(action);
        produced.push(output);
    }
    json!({"name": format!("Build-{stage}"), "actions": actions})
}

fn deploy_stage(plan: &Plan, stage: usize, kinds: &[u8], produced: &[String]) -> Value {
    let deploy = |(index, kind): (usize, &u8)| {
        let input = json!([{"name": produced[usize::from(*kind) % produced.len()]}]);
        let (action_type, configuration, inputs) = match kind % 4 {
            0 => (
                action_type("Approval", "AWS", "Manual"),
                json!({"CustomData": "commit #{Build_0_0.Version}"}),
                json!([]),
            ),
            1 => (action_type("Deploy", "AWS", "S3"), json!({"BucketName": "b", "Extract": "true"}), input),
            2 => (action_type("Invoke", "AWS", "Lambda"), json!({"FunctionName": "f"}), input),
            _ => (action_type("Deploy", "Custom", "Ours"), json!({"Anything": "goes"}), input),
        };
        let mut action = json!({
            "name": format!("Deploy{index}"),
            "actionTypeId": action_type,
            "runOrder": 1 + index % 2,
            "configuration": configuration,
            "inputArtifacts": inputs
        });
        if plan.regional && kind % 4 == 1 {
            action["region"] = json!("eu-west-1");
        }
        action
    };
    let actions: Vec<_> = kinds.iter().enumerate().map(deploy).collect();
    let mut content = json!({"name": format!("Deploy-{stage}"), "actions": actions});
    if plan.v2 && plan.conditions {
        content["beforeEntry"] = json!({"conditions": [{"result": "SKIP", "rules": [{
            "name": "Check",
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
            "configuration": {"Variable": "#{variables.Target}", "Operator": "EQ", "Value": "prod"}
        }]}]});
        content["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}});
    }
    content
}

//! How long validation takes: a declaration of 1,000 actions, and one of 4 MB; from the value and from the text.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use model::parse::Format;
use serde_json::{Value, json};

const STAGES: usize = 50;
const ACTIONS: usize = 20;

/// 1,000 actions, each of which reads and makes an artifact and has variables; `padding` bytes more in each.
fn declaration(padding: usize) -> Value {
    let stages: Vec<_> =
        (0..STAGES).map(|stage| json!({"name": format!("Stage{stage}"), "actions": actions(stage, padding)})).collect();
    json!({
        "name": "large",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "pipelineType": "V2",
        "variables": [{"name": "Level", "defaultValue": "beta"}],
        "stages": stages
    })
}

fn actions(stage: usize, padding: usize) -> Vec<Value> {
    (0..ACTIONS).map(|index| if stage == 0 { source(index, padding) } else { build(stage, index, padding) }).collect()
}

fn source(index: usize, padding: usize) -> Value {
    json!({
        "name": format!("Action{index}"),
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "b", "S3ObjectKey": "k".repeat(padding.max(1)), "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": format!("A0-{index}")}],
        "namespace": format!("N0-{index}")
    })
}

fn build(stage: usize, index: usize, padding: usize) -> Value {
    let environment = format!(
        r##"[{{"name":"ID","value":"#{{codepipeline.PipelineExecutionId}}"}},{{"name":"V","value":"#{{variables.Level}} {}"}}]"##,
        "some words ".repeat(padding / 11)
    );
    json!({
        "name": format!("Action{index}"),
        "runOrder": 1 + index % 5,
        "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
        "configuration": {"ProjectName": "project", "EnvironmentVariables": environment},
        "inputArtifacts": [{"name": format!("A{}-{index}", stage - 1)}],
        "outputArtifacts": [{"name": format!("A{stage}-{index}")}],
        "namespace": format!("N{stage}-{index}")
    })
}

fn validation(criterion: &mut Criterion) {
    for (name, padding) in [("1,000 actions", 0), ("4 MB", 3_700)] {
        let value = declaration(padding);
        let text = value.to_string().into_bytes();
        let (pipeline, findings) = model::validate(&value);
        assert!(pipeline.is_some() && findings.is_empty(), "{findings:?}");
        assert!(padding == 0 || (3_900_000..4_100_000).contains(&text.len()), "{}", text.len());
        criterion
            .bench_function(&format!("validate {name}"), |bencher| bencher.iter(|| model::validate(black_box(&value))));
        criterion.bench_function(&format!("read and validate {name}"), |bencher| {
            bencher.iter(|| model::validate_text(black_box(&text), Format::Json));
        });
    }
}

criterion_group!(benches, validation);
criterion_main!(benches);

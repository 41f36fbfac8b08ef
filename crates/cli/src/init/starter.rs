//! The text of a starter's files.

use std::path::Path;

use anyhow::Context;
use model::{
    Action, ActionTypeId, ArtifactStore, Category, ExecutionMode, InputArtifact, OutputArtifact, Owner, Pipeline,
    PipelineType, Stage, StringMap,
};
use serde::Serialize;

use super::project::Project;
use super::repository::Repository;

const SOURCE: &str = "SourceOutput";
const BUILD: &str = "BuildOutput";
const BUCKET: &str = "deployed";

#[derive(Serialize)]
struct Envelope {
    pipeline: Pipeline,
}

/// The declaration: source, build and test in parallel, deploy.
pub fn pipeline(name: &str, project: &Project, repository: Option<&Repository>) -> anyhow::Result<String> {
    let pipeline = Pipeline {
        name: name.into(),
        role_arn: "arn:aws:iam::123456789012:role/penstock".into(),
        artifact_store: Some(ArtifactStore {
            kind: "S3".into(),
            location: "penstock-artifacts".into(),
            encryption_key: None,
        }),
        artifact_stores: None,
        stages: vec![
            stage("Source", vec![source(repository)]),
            stage("Build", vec![build(project), test(project)]),
            stage("Deploy", vec![deploy()]),
        ],
        version: None,
        execution_mode: Some(ExecutionMode::Superseded),
        pipeline_type: Some(PipelineType::V2),
        variables: Vec::new(),
        triggers: Vec::new(),
    };
    let mut text = serde_json::to_string_pretty(&Envelope { pipeline }).context("cannot write the declaration")?;
    text.push('\n');
    Ok(text)
}

/// `penstock.toml`.
pub fn config(dir: &Path, repository: Option<&Repository>) -> String {
    let depth =
        repository.and_then(|found| dir.strip_prefix(&found.top).ok()).map_or(0, |below| below.components().count());
    let path = if depth == 0 { ".".to_owned() } else { vec![".."; depth].join("/") };
    let read = if repository.is_some() { "repository" } else { "directory as it is" };
    format!(
        "# What stands in for what the pipeline names, on this machine. Paths are relative to this file.\n\
         \n\
         # The source action Source reads this {read}.\n\
         [source.\"Source\"]\n\
         path = \"{path}\"\n\
         \n\
         # The bucket that Deploy writes to is a directory.\n\
         [bucket.\"{BUCKET}\"]\n\
         path = \".penstock/deployed\"\n"
    )
}

fn stage(name: &str, actions: Vec<Action>) -> Stage {
    Stage { name: name.into(), blockers: Vec::new(), actions, on_failure: None, on_success: None, before_entry: None }
}

/// A branch of the repository; without one an S3 source, which reads a directory as it is.
fn source(repository: Option<&Repository>) -> Action {
    let branch = repository.and_then(|found| Some((found.full_name.as_str(), found.branch.as_deref()?)));
    let Some((full_name, branch)) = branch else {
        let settings = [("S3Bucket", "source"), ("S3ObjectKey", "source.zip"), ("PollForSourceChanges", "false")];
        return Action {
            configuration: map(&settings),
            output_artifacts: vec![output(SOURCE, &[])],
            ..action("Source", Category::Source, "S3")
        };
    };
    let connection = "arn:aws:codeconnections:us-east-1:123456789012:connection/00000000-0000-4000-8000-000000000000";
    Action {
        configuration: map(&[("BranchName", branch), ("ConnectionArn", connection), ("FullRepositoryId", full_name)]),
        output_artifacts: vec![output(SOURCE, &[])],
        ..action("Source", Category::Source, "CodeStarSourceConnection")
    }
}

fn build(project: &Project) -> Action {
    let files: Vec<&str> = project.files.iter().map(String::as_str).collect();
    Action {
        commands: project.build.clone(),
        input_artifacts: vec![InputArtifact { name: SOURCE.into() }],
        output_artifacts: vec![output(BUILD, &files)],
        ..action("Build", Category::Compute, "Commands")
    }
}

fn test(project: &Project) -> Action {
    Action {
        commands: project.test.clone(),
        input_artifacts: vec![InputArtifact { name: SOURCE.into() }],
        ..action("Test", Category::Compute, "Commands")
    }
}

fn deploy() -> Action {
    Action {
        configuration: map(&[("BucketName", BUCKET), ("Extract", "true")]),
        input_artifacts: vec![InputArtifact { name: BUILD.into() }],
        ..action("Deploy", Category::Deploy, "S3")
    }
}

fn action(name: &str, category: Category, provider: &str) -> Action {
    Action {
        name: name.into(),
        action_type_id: ActionTypeId { category, owner: Owner::Aws, provider: provider.into(), version: "1".into() },
        run_order: Some(1),
        configuration: StringMap::new(),
        commands: Vec::new(),
        output_artifacts: Vec::new(),
        input_artifacts: Vec::new(),
        output_variables: Vec::new(),
        role_arn: None,
        region: None,
        namespace: None,
        timeout_in_minutes: None,
        environment_variables: Vec::new(),
    }
}

fn output(name: &str, files: &[&str]) -> OutputArtifact {
    OutputArtifact { name: name.into(), files: files.iter().map(|glob| (*glob).to_owned()).collect() }
}

fn map(entries: &[(&str, &str)]) -> StringMap {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

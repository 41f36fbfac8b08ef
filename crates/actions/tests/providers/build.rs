//! CodeBuild.
//!
//! MiniStack's builds end well as soon as they are started: nothing is run, no artifact is made, tokens, overrides and the
//! order of a list are of no matter, and there are no batches. What is asked of CodeBuild is compared in the unit tests.

use aws_sdk_codebuild::types::{
    ArtifactsType, ComputeType, EnvironmentType, ProjectArtifacts, ProjectEnvironment, ProjectSource, SourceType,
};

use crate::setup::{artifact, config, request, run, runner, s3, unique};

#[tokio::test]
async fn a_build_is_started_and_its_end_seen() {
    let Some(config) = config() else { return };
    let (s3, codebuild) = (s3(&config), aws_sdk_codebuild::Client::new(&config));
    let (project, store) = (unique("p"), unique("b"));
    s3.create_bucket().bucket(&store).send().await.unwrap();
    let environment = ProjectEnvironment::builder()
        .r#type(EnvironmentType::LinuxContainer)
        .image("aws/codebuild/standard:7.0")
        .compute_type(ComputeType::BuildGeneral1Small);
    codebuild
        .create_project()
        .name(&project)
        .source(ProjectSource::builder().r#type(SourceType::Codepipeline).build().unwrap())
        .artifacts(ProjectArtifacts::builder().r#type(ArtifactsType::Codepipeline).build().unwrap())
        .environment(environment.build().unwrap())
        .service_role("arn:aws:iam::000000000000:role/r")
        .send()
        .await
        .unwrap();
    let mut build = request("Build", "CodeBuild", &[("ProjectName", &project)]);
    build.action.inputs = vec![artifact(&store, "In")];
    let input = build.action.inputs[0].key.clone();
    s3.put_object().bucket(&store).key(input).send().await.unwrap();
    let outcome = run(&runner(&config), build.clone()).await;
    assert_eq!(outcome.error, None);
    assert!(outcome.external_id.unwrap().starts_with(&format!("{project}:")));

    build.declaration.configuration.insert("ProjectName".into(), "no-such-project".into());
    let error = run(&runner(&config), build).await.error.unwrap();
    assert_eq!(error.code, "JobFailed");
    assert!(error.message.contains("ResourceNotFoundException"), "{}", error.message);
}

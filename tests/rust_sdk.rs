//! What an unmodified AWS SDK for Rust sees of a served pipeline.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use aws_sdk_codepipeline::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionDeclaration, ActionOwner, ActionTypeId, ApprovalResult, ApprovalStatus, ArtifactDetails,
    ArtifactStore, ArtifactStoreType, FailureDetails, FailureType, InputArtifact, JobStatus, OutputArtifact,
    PipelineDeclaration, PipelineExecutionStatus, PipelineType, StageDeclaration, StageRetryMode, StageTransitionType,
    Tag,
};
use aws_sdk_codepipeline::{Client, Config};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;

use crate::support::{Served, penstock, repository, succeed};
use crate::{rust_sdk_partners, rust_sdk_rest};

pub(crate) type Error = Box<dyn std::error::Error>;

/// Which of the service's protocols the client speaks.
#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Json,
    Cbor,
}

fn client(server: &Served, directory: &std::path::Path, speaks: Speaks) -> Result<Client, Error> {
    let file = std::fs::read_to_string(directory.join("data/credentials"))?;
    let fields = file.lines().filter_map(|line| line.split_once('='));
    let keys: BTreeMap<&str, &str> = fields.map(|(name, value)| (name.trim(), value.trim())).collect();
    let credentials = Credentials::new(keys["aws_access_key_id"], keys["aws_secret_access_key"], None, None, "tests");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&server.endpoint)
        .credentials_provider(credentials);
    let config = match speaks {
        Speaks::Json => config,
        Speaks::Cbor => config.protocol(RpcV2CborProtocol::new()),
    };
    Ok(Client::from_conf(config.build()))
}

pub(crate) fn kind(category: ActionCategory, owner: ActionOwner, provider: &str) -> Result<ActionTypeId, Error> {
    Ok(ActionTypeId::builder().category(category).owner(owner).provider(provider).version("1").build()?)
}

/// A pipeline with a source, a job worker's test and an approval.
fn pipeline() -> Result<PipelineDeclaration, Error> {
    let test = ActionDeclaration::builder()
        .name("Check")
        .action_type_id(kind(ActionCategory::Test, ActionOwner::Custom, "Rust")?)
        .input_artifacts(InputArtifact::builder().name("Code").build()?)
        .build()?;
    let approve = ActionDeclaration::builder()
        .name("Approve")
        .action_type_id(kind(ActionCategory::Approval, ActionOwner::Aws, "Manual")?)
        .build()?;
    let stage = |name: &str, action| StageDeclaration::builder().name(name).actions(action).build();
    declaration("rust", [stage("Test", test)?, stage("Gate", approve)?])
}

/// A pipeline with a source and what follows it.
pub(crate) fn declaration(
    name: &str,
    stages: impl IntoIterator<Item = StageDeclaration>,
) -> Result<PipelineDeclaration, Error> {
    let arn = "arn:aws:codeconnections:us-east-1:123456789012:connection/11111111-2222-3333-4444-555555555555";
    let source = ActionDeclaration::builder()
        .name("Source")
        .action_type_id(kind(ActionCategory::Source, ActionOwner::Aws, "CodeStarSourceConnection")?)
        .configuration("ConnectionArn", arn)
        .configuration("FullRepositoryId", "g/p")
        .configuration("BranchName", "main")
        .output_artifacts(OutputArtifact::builder().name("Code").build()?)
        .build()?;
    let source = StageDeclaration::builder().name("Source").actions(source).build()?;
    let declared = PipelineDeclaration::builder()
        .name(name)
        .role_arn("arn:aws:iam::123456789012:role/penstock")
        .pipeline_type(PipelineType::V2)
        .artifact_store(ArtifactStore::builder().r#type(ArtifactStoreType::S3).location("artifacts").build()?)
        .stages(source);
    Ok(stages.into_iter().fold(declared, |declared, stage| declared.stages(stage)).build()?)
}

pub(crate) async fn until<T, F: Future<Output = Result<Option<T>, Error>>>(what: impl Fn() -> F) -> Result<T, Error> {
    for _ in 0..1000 {
        if let Some(found) = what().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("timed out waiting".into())
}

async fn ended(client: &Client, id: &str, as_what: PipelineExecutionStatus) -> Result<(), Error> {
    ended_of(client, "rust", id, as_what).await
}

pub(crate) async fn ended_of(
    client: &Client,
    pipeline: &str,
    id: &str,
    as_what: PipelineExecutionStatus,
) -> Result<(), Error> {
    until(|| async {
        let found = client.get_pipeline_execution().pipeline_name(pipeline).pipeline_execution_id(id).send().await?;
        let status = found.pipeline_execution().and_then(|execution| execution.status()).cloned();
        Ok((status.as_ref() == Some(&as_what)).then_some(()))
    })
    .await
}

async fn start(client: &Client) -> Result<String, Error> {
    let started = client.start_pipeline_execution().name("rust").send().await?;
    Ok(started.pipeline_execution_id().ok_or("no id")?.to_owned())
}

/// Takes the job of an execution.
async fn take(client: &Client, execution: &str) -> Result<String, Error> {
    let job = until(|| async {
        let test = kind(ActionCategory::Test, ActionOwner::Custom, "Rust")?;
        let polled = client.poll_for_jobs().action_type_id(test).max_batch_size(50).send().await?;
        let of = |job: &&aws_sdk_codepipeline::types::Job| {
            let context = job.data().and_then(|data| data.pipeline_context());
            context.and_then(|context| context.pipeline_execution_id()) == Some(execution)
        };
        Ok(polled.jobs().iter().find(of).cloned())
    })
    .await?;
    let (id, nonce) = (job.id().ok_or("no id")?, job.nonce().ok_or("no nonce")?);
    let taken = client.acknowledge_job().job_id(id).nonce(nonce).send().await?;
    assert_eq!(taken.status(), Some(&JobStatus::InProgress));
    let again = client.acknowledge_job().job_id(id).nonce(nonce).send().await.expect_err("taken already");
    assert!(again.into_service_error().is_invalid_nonce_exception());
    let details = client.get_job_details().job_id(id).send().await?;
    assert_eq!(details.job_details().and_then(|details| details.account_id()), Some("123456789012"));
    Ok(id.to_owned())
}

async fn makes(client: &Client) -> Result<(), Error> {
    let counts = |most| ArtifactDetails::builder().minimum_count(0).maximum_count(most).build();
    let made = client
        .create_custom_action_type()
        .category(ActionCategory::Test)
        .provider("Rust")
        .version("1")
        .input_artifact_details(counts(1))
        .output_artifact_details(counts(0))
        .send()
        .await?;
    assert_eq!(made.action_type().and_then(|made| made.id()).map(|id| id.owner()), Some(&ActionOwner::Custom));
    let mut pages = client.list_action_types().into_paginator().items().send();
    let mut providers = Vec::new();
    while let Some(known) = pages.next().await {
        providers.push(known?.id().map(|id| id.provider().to_owned()).unwrap_or_default());
    }
    assert_eq!((providers.len(), providers.contains(&"Rust".to_owned())), (42, true));
    assert_eq!(client.list_rule_types().send().await?.rule_types().len(), 6);
    let tag = Tag::builder().key("a").value("1").build()?;
    let made = client.create_pipeline().pipeline(pipeline()?).tags(tag).send().await?;
    assert_eq!((made.pipeline().and_then(|made| made.version()), made.tags()[0].value()), (Some(1), "1"));
    let twice = client.create_pipeline().pipeline(pipeline()?).send().await.expect_err("it is there");
    assert!(twice.into_service_error().is_pipeline_name_in_use_exception());
    let updated = client.update_pipeline().pipeline(pipeline()?).send().await?;
    assert_eq!(updated.pipeline().and_then(|made| made.version()), Some(2));
    leave_first(client).await?;
    let got = client.get_pipeline().name("rust").version(1).send().await?;
    let arn = got.metadata().and_then(|metadata| metadata.pipeline_arn()).ok_or("no ARN")?;
    assert_eq!(arn, "arn:aws:codepipeline:us-east-1:123456789012:rust");
    client.tag_resource().resource_arn(arn).tags(Tag::builder().key("b").value("").build()?).send().await?;
    client.untag_resource().resource_arn(arn).tag_keys("a").send().await?;
    let tags = client.list_tags_for_resource().resource_arn(arn).send().await?;
    assert_eq!(tags.tags().iter().map(|tag| (tag.key(), tag.value())).collect::<Vec<_>>(), [("b", "")]);
    Ok(())
}

/// The execution that the creation started is in nobody's way, however far it came before the update.
async fn leave_first(client: &Client) -> Result<(), Error> {
    let found = client.list_pipeline_executions().pipeline_name("rust").send().await?;
    let first = found.pipeline_execution_summaries().first().and_then(|first| first.pipeline_execution_id());
    let stop =
        client.stop_pipeline_execution().pipeline_name("rust").set_pipeline_execution_id(first.map(str::to_owned));
    // It may have been cancelled by the update.
    if let Err(error) = stop.abandon(true).send().await {
        assert!(error.into_service_error().is_pipeline_execution_not_stoppable_exception());
    }
    Ok(())
}

async fn runs(client: &Client) -> Result<(), Error> {
    let failing = start(client).await?;
    let job = take(client, &failing).await?;
    let details = FailureDetails::builder().r#type(FailureType::JobFailed).message("told to fail").build()?;
    client.put_job_failure_result().job_id(&job).failure_details(details).send().await?;
    ended(client, &failing, PipelineExecutionStatus::Failed).await?;
    let retry = client.retry_stage_execution().pipeline_name("rust").stage_name("Test");
    retry.pipeline_execution_id(&failing).retry_mode(StageRetryMode::FailedActions).send().await?;
    let job = take(client, &failing).await?;
    client.put_job_success_result().job_id(&job).output_variables("A", "1").send().await?;
    let late = client.put_job_success_result().job_id(&job).send().await.expect_err("answered already");
    assert!(late.into_service_error().is_invalid_job_state_exception());
    let token = until(|| async {
        let state = client.get_pipeline_state().name("rust").send().await?;
        let actions = state.stage_states().iter().flat_map(|stage| stage.action_states());
        let mut latest = actions.filter_map(|action| action.latest_execution());
        Ok(latest.find_map(|execution| execution.token().map(str::to_owned)))
    })
    .await?;
    let result = ApprovalResult::builder().status(ApprovalStatus::Approved).summary("fine").build()?;
    let put = client.put_approval_result().pipeline_name("rust").stage_name("Gate").action_name("Approve");
    let approved = put.token(token).result(result).send().await?;
    assert!(approved.approved_at().is_some());
    ended(client, &failing, PipelineExecutionStatus::Succeeded).await?;
    let mut pages =
        client.list_action_executions().pipeline_name("rust").max_results(1).into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(detail) = pages.next().await {
        let detail = detail?;
        assert!(detail.start_time().is_some());
        if detail.pipeline_execution_id() == Some(failing.as_str()) {
            names.push(detail.action_name().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(names, ["Approve", "Check", "Check", "Source"]);
    Ok(())
}

async fn stops(client: &Client) -> Result<(), Error> {
    let transition = || {
        let disable = client.disable_stage_transition().pipeline_name("rust").stage_name("Test");
        disable.transition_type(StageTransitionType::Inbound).reason("frozen")
    };
    transition().send().await?;
    let held = start(client).await?;
    let inbound = || async {
        let state = client.get_pipeline_state().name("rust").send().await?;
        let inbound =
            state.stage_states()[1].inbound_execution().map(|inbound| inbound.pipeline_execution_id().to_owned());
        Ok(inbound.filter(|id| *id == held))
    };
    until(inbound).await?;
    let stop = client.stop_pipeline_execution().pipeline_name("rust").pipeline_execution_id(&held).reason("enough");
    stop.send().await?;
    ended(client, &held, PipelineExecutionStatus::Stopped).await?;
    let enable = client.enable_stage_transition().pipeline_name("rust").stage_name("Test");
    enable.transition_type(StageTransitionType::Inbound).send().await?;
    let unknown = client.get_pipeline().name("nobody").send().await.expect_err("there is none");
    assert_eq!(unknown.code(), Some("PipelineNotFoundException"));
    assert!(aws_sdk_codepipeline::operation::RequestId::request_id(&unknown).is_some());
    client.delete_pipeline().name("rust").send().await?;
    assert!(client.list_pipelines().send().await?.pipelines().is_empty());
    Ok(())
}

async fn drives(speaks: Speaks) -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    repository(&directory.path().join("src"));
    let standins = "[source.\"Source\"]\npath = \"src\"\n[bucket.\"out\"]\npath = \"out\"\n";
    std::fs::write(directory.path().join("penstock.toml"), standins)?;
    let server = Served::start(directory.path());
    let client = client(&server, directory.path(), speaks)?;
    makes(&client).await?;
    runs(&client).await?;
    stops(&client).await?;
    rust_sdk_rest::everything_else(&client).await?;
    rust_sdk_partners::partners(&client, &client_token(&server, directory.path())?).await
}

/// What a partner's worker is given: no SDK has a call for it.
fn client_token(server: &Served, directory: &std::path::Path) -> Result<String, Error> {
    let mut told = std::process::Command::new(penstock());
    told.args(["client-token", "Test", "BlazeMeter", "--format", "json", "--endpoint-url", &server.endpoint]);
    let told = succeed(told.args(["--credentials", "data/credentials"]).current_dir(directory));
    let told: serde_json::Value = serde_json::from_str(&told)?;
    Ok(told["clientToken"].as_str().ok_or("no token")?.to_owned())
}

#[tokio::test]
async fn the_rust_sdk_calls_every_operation_in_json() -> Result<(), Error> {
    drives(Speaks::Json).await
}

#[tokio::test]
async fn the_rust_sdk_calls_every_operation_in_cbor() -> Result<(), Error> {
    drives(Speaks::Cbor).await
}

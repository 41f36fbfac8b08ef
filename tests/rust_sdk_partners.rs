//! A partner's job worker over the AWS SDK for Rust: takes jobs with its client's token, goes on with one, fails another.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionDeclaration, ActionOwner, ExecutionDetails, FailureDetails, FailureType, InputArtifact,
    JobStatus, PipelineExecutionStatus, StageDeclaration, ThirdPartyJobDetails,
};

use crate::rust_sdk::{Error, declaration, ended_of, kind, until};
use crate::rust_sdk_rest::created;

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const PIPELINE: &str = "loaded";

/// `token` is what `penstock client-token Test BlazeMeter` tells.
pub(crate) async fn partners(client: &Client, token: &str) -> Result<(), Error> {
    refusals(client, token).await?;
    let test = ActionDeclaration::builder()
        .name("Load")
        .action_type_id(kind(ActionCategory::Test, ActionOwner::ThirdParty, "BlazeMeter")?)
        .input_artifacts(InputArtifact::builder().name("Code").build()?)
        .build()?;
    let stage = StageDeclaration::builder().name("Test").actions(test).build()?;
    client.create_pipeline().pipeline(declaration(PIPELINE, [stage])?).send().await?;
    let first = created(client, PIPELINE).await?;
    let job = take(client, token, None).await?;
    let half = ExecutionDetails::builder().summary("half").external_execution_id("load-1").percent_complete(50).build();
    let on = client.put_third_party_job_success_result().job_id(&job).client_token(token).continuation_token("half");
    on.execution_details(half).send().await?;
    let next = take(client, token, Some("half")).await?;
    assert_ne!(next, job);
    let done = ExecutionDetails::builder().summary("fast").external_execution_id("load-1").build();
    let well = || client.put_third_party_job_success_result().job_id(&next).client_token(token);
    well().execution_details(done).send().await?;
    let late = well().send().await.expect_err("answered already");
    assert!(late.into_service_error().is_invalid_job_state_exception());
    ended_of(client, PIPELINE, &first, PipelineExecutionStatus::Succeeded).await?;
    fails(client, token).await
}

async fn fails(client: &Client, token: &str) -> Result<(), Error> {
    let started = client.start_pipeline_execution().name(PIPELINE).send().await?;
    let id = started.pipeline_execution_id().ok_or("no id")?;
    let job = take(client, token, None).await?;
    let why = FailureDetails::builder().r#type(FailureType::JobFailed).message("too slow").build()?;
    let failed = client.put_third_party_job_failure_result().job_id(job).client_token(token);
    failed.failure_details(why).send().await?;
    ended_of(client, PIPELINE, id, PipelineExecutionStatus::Failed).await?;
    let history = client.list_action_executions().pipeline_name(PIPELINE).max_results(1).send().await?;
    let output = history.action_execution_details()[0].output().and_then(|output| output.execution_result());
    let error = output.and_then(|result| result.error_details()).ok_or("no error")?;
    assert_eq!((error.code(), error.message()), (Some("JobFailed"), Some("too slow")));
    client.delete_pipeline().name(PIPELINE).send().await?;
    Ok(())
}

/// Polls for a job, looks at it and acknowledges it.
async fn take(client: &Client, token: &str, continues: Option<&str>) -> Result<String, Error> {
    let found = until(|| async {
        let kind = kind(ActionCategory::Test, ActionOwner::ThirdParty, "BlazeMeter")?;
        let found = client.poll_for_third_party_jobs().action_type_id(kind).max_batch_size(1).send().await?;
        Ok(found.jobs().first().and_then(|job| job.job_id()).map(str::to_owned))
    });
    let job = found.await?;
    let details = client.get_third_party_job_details().job_id(&job).client_token(token).send().await?;
    let details: &ThirdPartyJobDetails = details.job_details().ok_or("no details")?;
    let data = details.data().ok_or("no data")?;
    assert_eq!(data.continuation_token(), continues);
    let context = data.pipeline_context().ok_or("no context")?;
    let action = context.action().and_then(|action| action.name());
    assert_eq!((context.pipeline_name(), action), (Some(PIPELINE), Some("Load")));
    let take = client.acknowledge_third_party_job().job_id(&job).client_token(token);
    let taken = take.nonce(details.nonce().ok_or("no nonce")?).send().await?;
    assert_eq!(taken.status(), Some(&JobStatus::InProgress));
    Ok(job)
}

async fn refusals(client: &Client, token: &str) -> Result<(), Error> {
    let get = client.get_third_party_job_details().job_id(NOBODY).client_token(token).send().await;
    assert!(get.expect_err("there is none").into_service_error().is_job_not_found_exception());
    let take = client.acknowledge_third_party_job().job_id(NOBODY).client_token(token).nonce("1").send().await;
    assert!(take.expect_err("there is none").into_service_error().is_job_not_found_exception());
    let well = client.put_third_party_job_success_result().job_id(NOBODY).client_token(token).send().await;
    assert_eq!(well.expect_err("there is none").code(), Some("JobNotFoundException"));
    let failure = FailureDetails::builder().r#type(FailureType::JobFailed).message("no").build()?;
    let badly = client.put_third_party_job_failure_result().job_id(NOBODY).client_token(token);
    let badly = badly.failure_details(failure).send().await;
    assert_eq!(badly.expect_err("there is none").code(), Some("JobNotFoundException"));
    Ok(())
}

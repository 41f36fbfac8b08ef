//! PollForJobs, AcknowledgeJob, GetJobDetails, PutJobSuccessResult, PutJobFailureResult, and their third-party variants.

use control::jobs::{Failure, Job, JobError, JobItem, Revision, Success};
use engine::ArtifactLocation;
use model::{ActionTypeId, Category, Owner, StringMap, Timestamp};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Call, input};
use crate::error::ApiError;

/// How many jobs a poll gives that does not say how many it wants.
const USUAL_BATCH: usize = 10;
/// The most jobs of a poll.
const MAX_BATCH: usize = 50;

pub(super) async fn poll(call: &Call) -> Result<Value, ApiError> {
    let id = action_type_id(&call.input["actionTypeId"])?;
    if id.owner != Owner::Custom {
        return Err(ApiError::invalid(format!(
            "actionTypeId.owner is {}: PollForJobs is for Custom; a partner's jobs come by PollForThirdPartyJobs",
            id.owner
        )));
    }
    let known = call.control.custom_action_type(&id).await?;
    if known.is_none() && !is_built_in(&id) {
        return Err(ApiError::action_type_not_found(&id));
    }
    let given = call.input["queryParam"].as_object().and_then(|query| query.iter().next());
    let query = given.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
    if let Some((key, _)) = query
        && known.as_ref().and_then(|known| known.queryable()) != Some(key)
    {
        return Err(ApiError::invalid(format!("queryParam: {key} is not a queryable property of {id}")));
    }
    let mut jobs = Vec::new();
    for job in call.control.poll_for_jobs(&id, query, batch(call)).await? {
        jobs.push(json!({
            "id": job.item.id,
            "data": data(call, &job).await?,
            "nonce": job.nonce.to_string(),
            "accountId": job.request.account,
        }));
    }
    Ok(json!({ "jobs": jobs }))
}

fn batch(call: &Call) -> usize {
    let given = call.input["maxBatchSize"].as_u64().and_then(|size| usize::try_from(size).ok());
    given.unwrap_or(USUAL_BATCH).min(MAX_BATCH)
}

pub(super) async fn poll_third_party(call: &Call) -> Result<Value, ApiError> {
    let id = action_type_id(&call.input["actionTypeId"])?;
    let known = call.control.custom_action_type(&id).await?.is_some() || is_built_in(&id);
    if id.owner != Owner::ThirdParty || !known {
        return Err(ApiError::action_type_not_found(&id));
    }
    let found = call.control.poll_for_jobs(&id, None, batch(call)).await?;
    let client = client_id(call, &id);
    let jobs: Vec<Value> = found.iter().map(|job| json!({ "clientId": client, "jobId": job.item.id })).collect();
    Ok(json!({ "jobs": jobs }))
}

pub(super) async fn acknowledge(call: &Call) -> Result<Value, ApiError> {
    acknowledged(call, false).await
}

pub(super) async fn acknowledge_third_party(call: &Call) -> Result<Value, ApiError> {
    third_party(call).await?;
    acknowledged(call, true).await
}

async fn acknowledged(call: &Call, third_party: bool) -> Result<Value, ApiError> {
    let (id, nonce) = (input::text(&call.input, "jobId"), input::text(&call.input, "nonce"));
    let status = call.control.acknowledge_job(id, nonce, &call.principal, third_party).await?;
    Ok(json!({ "status": status.as_str() }))
}

pub(super) async fn details(call: &Call) -> Result<Value, ApiError> {
    let job = call.control.get_job_details(input::text(&call.input, "jobId"), &call.principal, false).await?;
    let details = json!({ "id": job.item.id, "data": data(call, &job).await?, "accountId": job.request.account });
    Ok(json!({ "jobDetails": details }))
}

pub(super) async fn details_third_party(call: &Call) -> Result<Value, ApiError> {
    let id = input::text(&call.input, "jobId");
    if !call.control.job(id).await?.is_third_party() {
        return Err(JobError::Invalid.into());
    }
    third_party(call).await?;
    let job = call.control.get_job_details(id, &call.principal, true).await?;
    let details = json!({ "id": job.item.id, "data": data(call, &job).await?, "nonce": job.nonce.to_string() });
    Ok(json!({ "jobDetails": details }))
}

pub(super) async fn succeed(call: &Call) -> Result<Value, ApiError> {
    succeeded(call, false).await
}

pub(super) async fn succeed_third_party(call: &Call) -> Result<Value, ApiError> {
    third_party(call).await?;
    succeeded(call, true).await
}

async fn succeeded(call: &Call, third_party: bool) -> Result<Value, ApiError> {
    let input = &call.input;
    let variables = match input["outputVariables"].as_object() {
        Some(given) => given.iter().map(|(name, value)| (name.clone(), text_of(value))).collect(),
        None => StringMap::new(),
    };
    let continuation_token = input::maybe_text(input, "continuationToken");
    if continuation_token.is_some() && !variables.is_empty() {
        return Err(ApiError::invalid(
            "outputVariables can be given only without a continuationToken: with the answer that ends the action",
        ));
    }
    let revision = input["currentRevision"].as_object().map(|revision| Revision {
        id: text_of(&revision["revision"]),
        summary: revision.get("revisionSummary").and_then(Value::as_str).map(str::to_owned),
        created: revision.get("created").and_then(seconds),
    });
    let details = &input["executionDetails"];
    let success = Success {
        revision,
        continuation_token,
        summary: input::maybe_text(details, "summary"),
        percent_complete: details["percentComplete"].as_u64().and_then(|percent| percent.try_into().ok()),
        external_id: input::maybe_text(details, "externalExecutionId"),
        variables,
    };
    let id = input::text(input, "jobId");
    call.control.put_job_success_result(id, &call.principal, third_party, success).await?;
    Ok(Value::Null)
}

pub(super) async fn fail(call: &Call) -> Result<Value, ApiError> {
    failed(call, false).await
}

pub(super) async fn fail_third_party(call: &Call) -> Result<Value, ApiError> {
    third_party(call).await?;
    failed(call, true).await
}

async fn failed(call: &Call, third_party: bool) -> Result<Value, ApiError> {
    let details = &call.input["failureDetails"];
    let failure = Failure {
        code: input::text(details, "type").into(),
        message: input::text(details, "message").into(),
        external_id: input::maybe_text(details, "externalExecutionId"),
    };
    let id = input::text(&call.input, "jobId");
    call.control.put_job_failure_result(id, &call.principal, third_party, failure).await?;
    Ok(Value::Null)
}

/// A third-party job's caller must know its client's token.
async fn third_party(call: &Call) -> Result<JobItem, ApiError> {
    let job = call.control.job(input::text(&call.input, "jobId")).await?;
    if !job.is_third_party() {
        return Err(JobError::NotFound.into());
    }
    let wanted = client_token(call, &job.action_type)?;
    let given = input::text(&call.input, "clientToken");
    if bool::from(wanted.as_bytes().ct_eq(given.as_bytes())) {
        Ok(job)
    } else {
        Err(ApiError::new("InvalidClientTokenException", "the client token is not the one of the job's client"))
    }
}

/// The id of whoever works for a partner's action type in this account and region.
pub(crate) fn client_id(call: &Call, id: &ActionTypeId) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, client(call, id).as_bytes())
}

/// The token that goes with [`client_id`]: only who was given it may take the type's jobs.
pub(crate) fn client_token(call: &Call, id: &ActionTypeId) -> Result<String, ApiError> {
    call.means.page_tokens.derive(&client(call, id)).ok_or_else(ApiError::internal)
}

fn client(call: &Call, id: &ActionTypeId) -> String {
    let place = call.control.place();
    format!("third-party-client/{}/{}/{id}", place.account, place.region)
}

/// `JobData` and `ThirdPartyJobData`: the same fields.
async fn data(call: &Call, job: &Job) -> Result<Value, ApiError> {
    let request = &job.request;
    let key = &request.action.key;
    let arn = wire::pipelines::arn(request.pipeline.as_str(), &call.place());
    let artifacts = |all: &[ArtifactLocation]| all.iter().map(artifact).collect::<Vec<_>>();
    let mut data = json!({
        "actionTypeId": request.declaration.action_type_id,
        "actionConfiguration": { "configuration": request.declaration.configuration },
        "pipelineContext": {
            "pipelineName": request.pipeline,
            "pipelineArn": arn,
            "pipelineExecutionId": request.execution,
            "stage": { "name": key.stage },
            "action": { "name": key.name, "actionExecutionId": request.action.id },
        },
        "inputArtifacts": artifacts(&request.action.inputs),
        "outputArtifacts": artifacts(&request.action.outputs),
    });
    if let Some(token) = &job.item.continuation_token {
        data["continuationToken"] = json!(token);
    }
    if let Some(key) = &request.encryption_key {
        data["encryptionKey"] = json!({ "id": key, "type": "KMS" });
    }
    let minted = match call.means.artifact_credentials.mint(request).await {
        // One pipeline's role must not keep workers from the jobs of the others: who asks for this job is told.
        Err(error) if call.operation == "PollForJobs" => {
            tracing::error!(job = job.item.id, error = error.message, "no credentials for a job's artifacts");
            None
        }
        minted => minted?,
    };
    if let Some(minted) = minted {
        data["artifactCredentials"] = json!({
            "accessKeyId": minted.access_key_id,
            "secretAccessKey": minted.secret_access_key.expose(),
            "sessionToken": minted.session_token.expose(),
        });
    }
    Ok(data)
}

fn artifact(artifact: &ArtifactLocation) -> Value {
    let place = json!({ "bucketName": artifact.bucket, "objectKey": artifact.key });
    let mut fields = Map::new();
    fields.insert("name".into(), json!(artifact.name));
    fields.insert("location".into(), json!({ "type": "S3", "s3Location": place }));
    if let Some(revision) = &artifact.revision {
        fields.insert("revision".into(), json!(revision));
    }
    Value::Object(fields)
}

/// `ActionTypeId`; the API model lets only known words through.
pub(crate) fn action_type_id(value: &Value) -> Result<ActionTypeId, ApiError> {
    let unknown = |field: &str| ApiError::invalid(format!("actionTypeId.{field} is not a known word"));
    Ok(ActionTypeId {
        category: Category::parse(input::text(value, "category")).ok_or_else(|| unknown("category"))?,
        owner: Owner::parse(input::text(value, "owner")).ok_or_else(|| unknown("owner"))?,
        provider: input::text(value, "provider").into(),
        version: input::text(value, "version").into(),
    })
}

fn is_built_in(id: &ActionTypeId) -> bool {
    model::action_types::lookup(id).is_some_and(|known| id.version == *known.version)
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A time of the API: seconds since 1970.
pub(crate) fn seconds(value: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond the range of milliseconds is cut to it")]
    value.as_f64().map(|seconds| Timestamp((seconds * 1000.0).round() as i64))
}

//! Jobs of functions: what a function last said, and its continuation token, which is used once.

use engine::ArtifactLocation;
use model::Timestamp;
use serde_json::{Value, json};

use crate::control::Control;
use crate::ports::{ActionRequest, Condition, PortError, Write};
use crate::stored::encode;

use super::{JobError, JobItem};

impl Control {
    /// When a function last answered with a continuation token, and that token until it is taken. None for a first job.
    ///
    /// # Errors
    /// A port failed.
    pub async fn function_job(&self, id: &str) -> Result<Option<(Timestamp, Option<String>)>, JobError> {
        Ok(self.found(id).await?.map(|found| (found.item.created_at, found.item.continuation_token)))
    }

    /// Takes a job's continuation token, before its function is invoked with it. False if somebody else was first.
    ///
    /// # Errors
    /// A port failed.
    pub async fn take_continuation(&self, id: &str) -> Result<bool, JobError> {
        let Some(found) = self.found(id).await? else { return Ok(false) };
        if found.item.continuation_token.is_none() {
            return Ok(false);
        }
        let item = JobItem { continuation_token: None, ..found.item.clone() };
        let write = Write::Put {
            key: self.job_key(&found.pipeline, id),
            revision: found.revision + 1,
            body: encode(&item)?,
            condition: Condition::Revision(found.revision),
        };
        let token = self.event_seed().0.simple().to_string();
        match self.table().transact(&token, &[write]).await {
            Ok(()) => Ok(true),
            Err(PortError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The event that a function is invoked with (semantics 8). `credentials` is its `artifactCredentials`.
pub fn function_event(request: &ActionRequest, job: &str, credentials: Value, continuation: Option<&str>) -> Value {
    let artifact = |artifact: &ArtifactLocation| {
        json!({
            "location": {"s3Location": {"bucketName": artifact.bucket, "objectKey": artifact.key}, "type": "S3"},
            "revision": request.input_revisions.get(artifact.name.as_str()).or(artifact.revision.as_ref()),
            "name": artifact.name,
        })
    };
    let mut data = json!({
        "actionConfiguration": {"configuration": request.declaration.configuration},
        "inputArtifacts": request.action.inputs.iter().map(artifact).collect::<Vec<_>>(),
        "outputArtifacts": request.action.outputs.iter().map(artifact).collect::<Vec<_>>(),
        "artifactCredentials": credentials,
    });
    if let Some(fields) = data.as_object_mut() {
        let key = request.encryption_key.as_ref().map(|key| json!({"id": key, "type": "KMS"}));
        fields.extend(key.map(|key| ("encryptionKey".into(), key)));
        fields.extend(continuation.map(|token| ("continuationToken".into(), json!(token))));
    }
    json!({"CodePipeline.job": {"id": job, "accountId": request.account, "data": data}})
}

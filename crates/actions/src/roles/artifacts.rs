//! Credentials for a job's artifacts: the action's role, limited to the objects of this one job.

use aws_credential_types::Credentials;
use control::ports::ActionRequest;
use engine::ArtifactLocation;
use serde_json::{Value, json};

use super::{RoleError, Roles, Session};
use crate::configuration::{arn, domain, partition, region};

/// What S3 does with a key for whoever reads or writes an object.
const KEY_VERBS: [&str; 2] = ["kms:Decrypt", "kms:GenerateDataKey"];

/// Fresh credentials that read the request's inputs and write its outputs, and do nothing else.
///
/// # Errors
/// The role cannot be assumed.
pub async fn artifact_credentials(roles: &dyn Roles, request: &ActionRequest) -> Result<Credentials, RoleError> {
    roles.limited(&Session::of(request), &policy(request).to_string()).await
}

/// What the job's credentials allow: to read its inputs and to write its outputs.
fn policy(request: &ActionRequest) -> Value {
    let part = partition(region(request));
    let objects = |artifacts: &[ArtifactLocation]| {
        let of = |artifact: &ArtifactLocation| format!("arn:{part}:s3:::{}/{}", artifact.bucket, artifact.key);
        artifacts.iter().map(of).collect::<Vec<_>>()
    };
    let allow = |actions: Value, resources: Value| json!({"Effect": "Allow", "Action": actions, "Resource": resources});
    let (inputs, outputs) = (objects(&request.action.inputs), objects(&request.action.outputs));
    let mut statements = Vec::new();
    if !inputs.is_empty() {
        statements.push(allow(json!(["s3:GetObject", "s3:GetObjectVersion"]), json!(inputs)));
    }
    if !outputs.is_empty() {
        statements.push(allow(json!(["s3:PutObject"]), json!(outputs)));
    }
    match &request.encryption_key {
        // A session without a policy of its own would have all of the role's rights.
        _ if statements.is_empty() => statements.push(json!({"Effect": "Deny", "Action": "*", "Resource": "*"})),
        Some(key) => statements.push(allow(json!(KEY_VERBS), json!(key_arn(request, key)))),
        // The bucket's own key is not named here: whichever the role may use, through S3 alone.
        None => {
            let mut statement = allow(json!(KEY_VERBS), json!(arn(request, "kms", "key/*")));
            let service = format!("s3.{}.{}", region(request), domain(region(request)));
            statement["Condition"] = json!({"StringEquals": {"kms:ViaService": service}});
            statements.push(statement);
        }
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// A policy names a key by its ARN alone; which one an alias means is not known here.
fn key_arn(request: &ActionRequest, key: &str) -> String {
    match key {
        arn if arn.starts_with("arn:") && arn.contains(":key/") => arn.to_owned(),
        alias if alias.contains("alias/") => arn(request, "kms", "key/*"),
        id => arn(request, "kms", &format!("key/{id}")),
    }
}

#[cfg(test)]
mod tests;

//! Requests to run an action, to start a test from.

use control::ports::ActionRequest;
use engine::ActionExecution;
use model::{Action, PipelineId, StringMap};

/// The request of a claimed action, in `us-east-1` of the account 000000000000, with a role of that account.
///
/// # Errors
/// The action's type is none that a declaration can have.
pub fn request(
    action: ActionExecution,
    pipeline_id: PipelineId,
    configuration: &[(&str, &str)],
) -> Result<ActionRequest, serde_json::Error> {
    let declaration = serde_json::json!({ "name": action.key.name, "actionTypeId": action.action_type });
    let mut declaration: Action = serde_json::from_value(declaration)?;
    declaration.configuration =
        configuration.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(ActionRequest {
        pipeline: action.pipeline.clone(),
        pipeline_id,
        account: "000000000000".into(),
        region: "us-east-1".into(),
        execution: action.key.execution,
        action,
        declaration,
        role_arn: "arn:aws:iam::000000000000:role/penstock/act".into(),
        encryption_key: None,
        near_bucket: None,
        source_override: None,
        pushed_commit: None,
        input_revisions: StringMap::new(),
        external_id: None,
        continuation_token: None,
    })
}

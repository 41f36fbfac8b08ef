//! Action executions to start a test from.

use engine::{ActionExecution, ActionKey, Slot};
use model::{ActionExecutionId, ActionStatus, ActionTypeId, Category, ExecutionId, Owner, StageName, Timestamp};
use uuid::Uuid;

/// An action type of AWS's, version 1.
pub fn aws_type(category: Category, provider: &str) -> ActionTypeId {
    ActionTypeId { category, owner: Owner::Aws, provider: provider.into(), version: "1".into() }
}

/// The first attempt of an action of the first run order.
pub fn key(execution: ExecutionId, stage: impl Into<StageName>, name: &str) -> ActionKey {
    ActionKey { execution, stage: stage.into(), slot: Slot::RunOrder(1), name: name.into(), attempt: 1 }
}

/// An action that was claimed at a time and has an hour, with nothing read or made yet.
pub fn claimed(key: ActionKey, action_type: ActionTypeId, at: Timestamp) -> ActionExecution {
    ActionExecution {
        id: ActionExecutionId(Uuid::new_v4()),
        key,
        pipeline: "pipe".into(),
        version: 1,
        pipeline_attempt: 1,
        execution_started_at: at,
        action_type,
        region: None,
        status: ActionStatus::InProgress,
        drive: 1,
        deadline: Some(at.plus_minutes(60)),
        timeout_minutes: 60,
        external_id: None,
        external_url: None,
        percent_complete: None,
        task_token: None,
        summary: None,
        error: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        revision: None,
        approval: None,
        log: None,
        stage_retried_at: None,
        started_at: at,
        updated_at: at,
    }
}

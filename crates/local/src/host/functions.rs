//! Functions that answer their job with a continuation token: each is called again, once for each token.
//!
//! A call that comes back well ends its action, unless the function asked meanwhile to be called again. A row asks for
//! that; it waits while a call is in progress. The token is taken before the call, so that a call that a crash cut off is
//! not made a second time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use control::jobs::{JobError, is_function};
use control::ports::{ActionReply, ActionRequest};
use control::rows::PipelineRef;
use control::{Control, ControlError};
use engine::{ActionExecution, ActionKey, Outcome, Started};

/// How long until it is looked again whether a call has come back, in milliseconds.
const LOOK_AGAIN_MILLIS: i64 = 5_000;

/// The calls in progress.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<HashSet<ActionKey>>>);

/// A call in progress, until it is dropped.
pub struct Call {
    calls: Calls,
    key: ActionKey,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.calls.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// What is to be done of a row that has a function called again.
pub enum Next {
    /// Call it with this request.
    Call(Box<ActionRequest>),
    /// Report this.
    Report(ActionReply),
}

impl Calls {
    /// Notes a call of a function; none for what is no function's.
    pub fn enter(&self, action: &ActionExecution) -> Option<Call> {
        if !is_function(&action.action_type) {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(action.key.clone());
        Some(Call { calls: self.clone(), key: action.key.clone() })
    }

    fn has(&self, key: &ActionKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// What a row that asks for an action's news leads to. What is no function's is called as it is.
    ///
    /// # Errors
    /// A port failed.
    pub async fn next(&self, control: &Control, mut request: ActionRequest) -> Result<Next, ControlError> {
        if !is_function(&request.action.action_type) {
            return Ok(Next::Call(Box::new(request)));
        }
        if self.has(&request.action.key) {
            let poll_at = Some(control.now().plus_millis(LOOK_AGAIN_MILLIS));
            return Ok(Next::Report(ActionReply::Pending { started: Started::default(), poll_at }));
        }
        if let Some(job) = request.external_id.clone()
            && let Some((_, Some(token))) = control.function_job(&job).await.map_err(of_job)?
            && control.take_continuation(&job).await.map_err(of_job)?
        {
            control.table().flush().await?;
            request.continuation_token = Some(token);
            return Ok(Next::Call(Box::new(request)));
        }
        let message = "Penstock ended while the function ran. Retry the stage to call it anew.";
        Ok(Next::Report(ActionReply::Ended(Box::new(Outcome::failed("Interrupted", message)))))
    }
}

/// What a call came to: a function that asked to be called again is not done.
///
/// # Errors
/// A port failed.
pub async fn after_call(
    control: &Control,
    pipeline: &PipelineRef,
    called: &ActionExecution,
    reply: ActionReply,
) -> Result<ActionReply, ControlError> {
    let went_well = matches!(&reply, ActionReply::Ended(outcome) if outcome.error.is_none());
    if !went_well || !is_function(&called.action_type) {
        return Ok(reply);
    }
    let now = control.action(pipeline, &called.key).await?;
    let job = now.and_then(|action| action.external_id).filter(|job| Some(job) != called.external_id.as_ref());
    let asked = match job {
        Some(job) => control.function_job(&job).await.map_err(of_job)?.is_some_and(|(_, token)| token.is_some()),
        None => false,
    };
    // The row that calls it again was written with its answer.
    Ok(if asked { ActionReply::Pending { started: Started::default(), poll_at: None } } else { reply })
}

fn of_job(error: JobError) -> ControlError {
    match error {
        JobError::Control(error) => error,
        other => ControlError::Port(control::ports::PortError::Unavailable(other.to_string())),
    }
}

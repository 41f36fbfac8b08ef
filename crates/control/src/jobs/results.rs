//! How jobs end: PutJobSuccessResult, PutJobFailureResult and their third-party variants.

use engine::{ActionExecution, ActionReport, Change, Changed, Event, Item, Outcome, SourceRevision, Started, What};
use model::{ActionStatus, Category, StringMap, Timestamp};

use super::{Found, JobError, JobItem, JobStatus};
use crate::control::{Control, ControlError, Round};
use crate::ports::{Condition, PortError, Write};
use crate::rows::{ActionRef, PipelineRef};
use crate::stored::encode;

/// The most bytes of output variables, names and values together.
pub const MAX_VARIABLES_BYTES: usize = 122_880;
/// The bytes of output variables, names and values together.
pub(crate) fn variables_bytes(variables: &StringMap) -> usize {
    variables.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// How often an answer is decided anew after a conflict.
const ROUNDS: u32 = 32;
/// How long until a function that gave a continuation token is called again, in milliseconds.
const CALL_AGAIN_MILLIS: i64 = 30_000;

/// What a worker says of a job that went well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Success {
    /// For source actions: what it brought. Its action and artifact are filled in.
    pub revision: Option<Revision>,
    /// Given when the action goes on: a new job bears it.
    pub continuation_token: Option<String>,
    /// What to tell people.
    pub summary: Option<String>,
    /// How far the work is, of 100.
    pub percent_complete: Option<u8>,
    /// The work's id at the worker.
    pub external_id: Option<String>,
    /// The action's output variables.
    pub variables: StringMap,
}

/// `CurrentRevision`.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The revision.
    pub id: String,
    /// What changed.
    pub summary: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// What a worker says of a job that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// `FailureType`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The work's id at the worker.
    pub external_id: Option<String>,
}

/// A job that is answered.
struct Answered {
    pipeline: PipelineRef,
    action: ActionExecution,
    /// None for a function's first job, which is only a pointer.
    job: Option<Found>,
}

impl Control {
    /// PutJobSuccessResult and PutThirdPartyJobSuccessResult.
    ///
    /// # Errors
    /// The job is not found or not in progress, or its variables are too large.
    pub async fn put_job_success_result(
        &self,
        id: &str,
        worker: &str,
        third_party: bool,
        success: Success,
    ) -> Result<(), JobError> {
        let bytes = variables_bytes(&success.variables);
        if bytes > MAX_VARIABLES_BYTES {
            return Err(JobError::VariablesTooLarge(bytes));
        }
        let answered = self.answered(id, worker, third_party).await?;
        match &success.continuation_token {
            Some(token) => self.continue_job(id, answered, token, &success).await,
            None => self.finish_job(id, answered, success).await,
        }
    }

    /// PutJobFailureResult and PutThirdPartyJobFailureResult.
    ///
    /// # Errors
    /// The job is not found or not in progress.
    pub async fn put_job_failure_result(
        &self,
        id: &str,
        worker: &str,
        third_party: bool,
        failure: Failure,
    ) -> Result<(), JobError> {
        let answered = self.answered(id, worker, third_party).await?;
        let outcome = Outcome { external_id: failure.external_id, ..Outcome::failed(failure.code, failure.message) };
        let mut writes = Vec::new();
        writes.extend(self.job_ended(&answered, JobStatus::Failed)?);
        let report = ActionReport::Ended(Box::new(outcome));
        self.settle(id, &answered, &self.event(What::Action(answered.action.key.clone(), report)), &writes).await
    }

    /// The job that is answered, if this worker may answer it now.
    async fn answered(&self, id: &str, worker: &str, third_party: bool) -> Result<Answered, JobError> {
        let ActionRef { pipeline, key } = self.action_by_external_id(id).await?.ok_or(JobError::NotFound)?;
        let job = self.found_in(pipeline.clone(), id).await?;
        let action = self.action(&pipeline, &key).await?.ok_or(JobError::NotFound)?;
        match &job {
            Some(found) => check(&found.item, worker, third_party)?,
            None => check_function(&action, id, third_party)?,
        }
        if action.status != ActionStatus::InProgress {
            return Err(ended(&action));
        }
        Ok(Answered { pipeline, action, job })
    }

    async fn finish_job(&self, id: &str, answered: Answered, success: Success) -> Result<(), JobError> {
        let key = answered.action.key.clone();
        let mut writes: Vec<Write> = self.job_ended(&answered, JobStatus::Succeeded)?.into_iter().collect();
        if !success.variables.is_empty() {
            writes.push(self.put_variables(&answered.pipeline, &key, &success.variables)?);
        }
        let outcome = Outcome {
            revision: source_revision(&answered.action, success.revision),
            external_url: self.execution_url(&answered, success.external_id.as_deref()).await?,
            external_id: success.external_id,
            summary: success.summary,
            percent_complete: success.percent_complete,
            variables: success.variables,
            ..Outcome::default()
        };
        let event = self.event(What::Action(key, ActionReport::Ended(Box::new(outcome))));
        self.settle(id, &answered, &event, &writes).await
    }

    /// The page of the work, as the action's type says where it lies.
    async fn execution_url(&self, answered: &Answered, external_id: Option<&str>) -> Result<Option<String>, JobError> {
        let Some(external_id) = external_id else { return Ok(None) };
        let known = self.custom_action_type(&answered.action.action_type).await?;
        let template = known.and_then(|known| known.settings.execution_url_template);
        let Some(template) = template else { return Ok(None) };
        let resolved = self.resolved_configuration(answered.pipeline.id, &answered.action.key).await?;
        Ok(Some(crate::action_types::fill_url(&template, &resolved, Some(external_id))))
    }

    /// The job ends; another one with the token follows. A function is called again.
    async fn continue_job(&self, id: &str, answered: Answered, token: &str, success: &Success) -> Result<(), JobError> {
        let function = !super::takes_jobs(&answered.action.action_type);
        let started = Started {
            external_id: success.external_id.clone(),
            external_url: self.execution_url(&answered, success.external_id.as_deref()).await?,
            summary: success.summary.clone(),
            percent_complete: success.percent_complete,
            ..Started::default()
        };
        let key = answered.action.key.clone();
        let mut event = self.event(What::Action(key.clone(), ActionReport::Started(started.clone())));
        let next = Self::next_job_id(event.seed);
        if function {
            // What is called again is known by its new job's id.
            let started = Started { external_id: Some(next.clone()), ..started };
            event.what = What::Action(key.clone(), ActionReport::Started(started));
        }
        let item = JobItem {
            id: next.clone(),
            action: key.clone(),
            action_type: answered.action.action_type.clone(),
            status: if function { JobStatus::InProgress } else { JobStatus::Queued },
            created_at: event.at,
            queryable: answered.job.as_ref().and_then(|job| job.item.queryable.clone()),
            worker: None,
            continuation_token: Some(token.to_owned()),
        };
        let mut writes: Vec<Write> = self.job_ended(&answered, JobStatus::Succeeded)?.into_iter().collect();
        writes.push(self.pointer(&answered.pipeline, &key, &next)?);
        if function {
            let place = self.job_key(&answered.pipeline, &next);
            writes.push(Write::Put { key: place, revision: 1, body: encode(&item)?, condition: Condition::Always });
            writes.push(self.call_again(&answered.pipeline, &item, &event)?);
        } else {
            writes.extend(self.new_job(&answered.pipeline, &item)?);
        }
        self.settle(id, &answered, &event, &writes).await
    }

    /// The row that has a function called again.
    fn call_again(&self, pipeline: &PipelineRef, item: &JobItem, event: &Event) -> Result<Write, PortError> {
        let due = event.at.plus_millis(CALL_AGAIN_MILLIS);
        self.put_row(&self.poll_row(pipeline, &item.action, due, event.seed))
    }

    /// The job's item once it ended; a function's first job has none.
    fn job_ended(&self, answered: &Answered, status: JobStatus) -> Result<Option<Write>, PortError> {
        let Some(found) = &answered.job else { return Ok(None) };
        Ok(Some(Write::Put {
            key: self.job_key(&found.pipeline, &found.item.id),
            revision: found.revision + 1,
            body: encode(&JobItem { status, ..found.item.clone() })?,
            condition: Condition::Revision(found.revision),
        }))
    }

    /// Commits an answer with what goes with it, once.
    async fn settle(&self, id: &str, answered: &Answered, event: &Event, writes: &[Write]) -> Result<(), JobError> {
        for number in 0..ROUNDS {
            let mut prepared = match self.round(&answered.pipeline, event, number, None, writes).await? {
                Round::Commit(prepared, _) => prepared,
                Round::Ignored(_) => return Err(self.state_of(answered).await?),
                Round::Refused(refusal) => return Err(ControlError::Refused(refusal).into()),
            };
            // A driver that waits for news is told: the item is the truth.
            if answered.action.task_token.is_some() {
                prepared.ended.push(answered.action.key.clone());
            }
            match self.make(&prepared).await {
                Ok(()) => {
                    self.table().flush().await?;
                    return if timed_out(&prepared.changed) { Err(too_late()) } else { Ok(()) };
                }
                Err(PortError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            let now = self.found(id).await?.map(|found| found.revision);
            if now != answered.job.as_ref().map(|job| job.revision) {
                return Err(JobError::InvalidState("the job was answered already".into()));
            }
        }
        Err(ControlError::Busy.into())
    }

    async fn state_of(&self, answered: &Answered) -> Result<JobError, JobError> {
        let action = self.action(&answered.pipeline, &answered.action.key).await?;
        Ok(action.map_or(JobError::NotFound, |action| ended(&action)))
    }
}

/// A worker answers only what it acknowledged, and only once.
fn check(item: &JobItem, worker: &str, third_party: bool) -> Result<(), JobError> {
    let others = item.worker.as_deref().is_some_and(|known| known != super::owner(worker));
    if others || item.is_third_party() != third_party {
        return Err(JobError::NotFound);
    }
    let why = match item.status {
        JobStatus::InProgress => return Ok(()),
        JobStatus::Queued => "the job was not acknowledged: call AcknowledgeJob first",
        JobStatus::TimedOut | JobStatus::Succeeded | JobStatus::Failed => "the job was answered already",
    };
    Err(JobError::InvalidState(why.into()))
}

/// A function's first job has no item: the action's external id is its id.
fn check_function(action: &ActionExecution, id: &str, third_party: bool) -> Result<(), JobError> {
    let first = action.id.to_string();
    // Until its start is stored, an action has no external id.
    let job = action.external_id.as_deref().unwrap_or(&first);
    if super::is_function(&action.action_type) && !third_party && job == id { Ok(()) } else { Err(JobError::NotFound) }
}

fn ended(action: &ActionExecution) -> JobError {
    JobError::InvalidState(format!("the job's action has ended: it is {}", action.status))
}

/// An answer after the deadline counts as none: the action timed out.
fn timed_out(changed: &Changed) -> bool {
    changed.changes.iter().any(|change| match change {
        Change::Create(_, Item::Action(action)) | Change::Replace(_, Item::Action(action)) => {
            action.error.as_ref().is_some_and(|error| error.code == "Timeout")
        }
        Change::Create(..) | Change::Replace(..) | Change::Delete(_) => false,
    })
}

fn too_late() -> JobError {
    JobError::InvalidState("the answer came after the action's deadline".into())
}

/// What a source action brought; other actions bring none.
fn source_revision(action: &ActionExecution, revision: Option<Revision>) -> Option<SourceRevision> {
    let revision = revision.filter(|_| action.action_type.category == Category::Source)?;
    Some(SourceRevision {
        action: action.key.name.clone(),
        artifact: action.outputs.first().map(|output| output.name.clone()),
        revision_id: revision.id,
        summary: revision.summary,
        url: None,
        created: revision.created,
    })
}

#[cfg(test)]
mod tests {
    use model::ActionExecutionId;
    use serde_json::json;

    use super::*;

    fn action(category: &str, provider: &str, external_id: Option<&str>) -> ActionExecution {
        let id = ActionExecutionId(uuid::Uuid::from_u128(1));
        serde_json::from_value(json!({
            "id": id, "pipeline": "p", "version": 1, "pipeline_attempt": 1, "execution_started_at": 0,
            "key": { "execution": id, "stage": "S", "slot": { "RunOrder": 1 }, "name": "A", "attempt": 1 },
            "action_type": { "category": category, "owner": "AWS", "provider": provider, "version": "1" },
            "status": "InProgress", "drive": 1, "timeout_minutes": 60, "external_id": external_id,
            "inputs": [], "outputs": [], "started_at": 0, "updated_at": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_roles_sessions_own_its_jobs_together() {
        let role = "arn:aws:sts::123456789012:assumed-role/Worker";
        for (principal, owner) in [
            ("arn:aws:sts::123456789012:assumed-role/Worker/i-1", role),
            ("arn:aws:sts::123456789012:assumed-role/Worker/i-2", role),
            (role, role),
            ("arn:aws:iam::123456789012:user/team/ada", "arn:aws:iam::123456789012:user/team/ada"),
        ] {
            assert_eq!(super::super::owner(principal), owner);
        }
    }

    #[test]
    fn functions_answer_the_jobs_that_they_were_invoked_with() {
        let first = uuid::Uuid::from_u128(1).to_string();
        for (category, provider, external_id, id, answers) in [
            ("Invoke", "Lambda", Some(first.as_str()), first.as_str(), true),
            ("Rule", "LambdaInvoke", Some(&first), &first, true),
            // Before it is stored that it was invoked.
            ("Invoke", "Lambda", None, &first, true),
            // After a continuation token.
            ("Invoke", "Lambda", Some("second"), "second", true),
            ("Invoke", "Lambda", Some("second"), &first, false),
            ("Invoke", "StepFunctions", Some("arn"), "arn", false),
            ("Deploy", "CodeDeploy", None, &first, false),
        ] {
            let checked = check_function(&action(category, provider, external_id), id, false);
            assert_eq!(checked.is_ok(), answers, "{category} {provider} {external_id:?} {id}");
        }
    }
}

//! Jobs: how custom and third-party actions reach those who do their work, and how Lambda functions answer.
//!
//! A job is a waiting action execution: the first has the action execution's id, each continuation a new one. It lies in
//! its pipeline's partition; while nobody has taken it, an entry in the partition of its action type lets one query find
//! it. Entries of actions that ended meanwhile are removed by whoever comes across them. A job's nonce is its revision:
//! whoever takes it changes it, so that nobody else's nonce holds any more.

use engine::ActionExecution;
use model::action_types::is_secret_key;
use model::{ActionStatus, ActionTypeId, Category, Owner, Seed};

use crate::control::{Control, ControlError};
use crate::keys::Place;
use crate::ports::{Condition, Key, PortError, Query, Write};
use crate::rows::PipelineRef;
use crate::stored::{decode, encode};

mod functions;
mod item;
mod results;

pub use functions::function_event;
use item::Found;
pub use item::{Job, JobError, JobItem, JobStatus};
pub(crate) use results::variables_bytes;
pub use results::{Failure, MAX_VARIABLES_BYTES, Revision, Success};

/// How many entries one read of a poll asks for.
const PAGE: usize = 50;
/// The longest value that a job can be asked for by (`ActionConfigurationQueryableValue`).
const MAX_QUERYABLE: usize = 50;

/// Whether actions of this type are done by job workers.
pub fn takes_jobs(id: &ActionTypeId) -> bool {
    match id.owner {
        Owner::Custom => true,
        // GitHub's source action is the service's own.
        Owner::ThirdParty => id.category != Category::Source,
        Owner::Aws => false,
    }
}

/// Whether a function does actions and rules of this type: it answers the jobs that it is invoked with.
pub fn is_function(id: &ActionTypeId) -> bool {
    id.owner == Owner::Aws && matches!(id.provider.as_str(), "Lambda" | "LambdaInvoke")
}

/// Whom a job belongs to: a role's sessions come and go, as the worker's processes do, so that the role counts.
fn owner(principal: &str) -> &str {
    match principal.split_once(":assumed-role/") {
        Some((_, rest)) => {
            let session = rest.split_once('/').map_or(0, |(_, session)| session.len() + 1);
            &principal[..principal.len() - session]
        }
        None => principal,
    }
}

/// The partition of an action type's jobs that nobody has taken.
fn open_jobs(place: &Place, id: &ActionTypeId) -> String {
    format!("{}/{}/j/{}/{}/{}/{}", place.account, place.region, id.category, id.owner, id.provider, id.version)
}

/// Every job of the type, oldest first.
const BY_AGE: &str = "a#";

fn by_value(key: &str, value: &str) -> String {
    format!("q#{key}#{value}#")
}

/// The place of a job in its pipeline's partition.
fn job_sk(id: &str) -> String {
    format!("j#{id}")
}

impl Control {
    /// What is written with the first claim of an action that job workers or functions do, or whose targets can be listed:
    /// the pointer from its id, and a worker's job. (A function may answer before anybody stored that it was invoked.)
    pub(crate) async fn beside_first_claim(
        &self,
        pipeline: &PipelineRef,
        action: &ActionExecution,
        declaration: &model::Action,
    ) -> Result<Vec<Write>, ControlError> {
        let job = takes_jobs(&action.action_type) && !action.is_rule();
        let found_by_id = job || is_function(&action.action_type) || action.action_type.category == Category::Deploy;
        if action.drive > 0 || !found_by_id {
            return Ok(Vec::new());
        }
        let id = action.id.to_string();
        let mut writes = vec![self.pointer(pipeline, &action.key, &id)?];
        if job {
            let queryable = self.queryable(&action.action_type, declaration).await?;
            let item = JobItem {
                id,
                action: action.key.clone(),
                action_type: action.action_type.clone(),
                status: JobStatus::Queued,
                created_at: self.now(),
                queryable,
                worker: None,
                continuation_token: None,
            };
            writes.extend(self.new_job(pipeline, &item)?);
        }
        Ok(writes)
    }

    /// The configuration value by which workers of the type ask for jobs.
    async fn queryable(
        &self,
        id: &ActionTypeId,
        declaration: &model::Action,
    ) -> Result<Option<(String, String)>, ControlError> {
        let Some(known) = self.custom_action_type(id).await? else { return Ok(None) };
        let Some(key) = known.queryable().filter(|key| !is_secret_key(id, key)) else { return Ok(None) };
        let fits = |value: &&String| {
            (1..=MAX_QUERYABLE).contains(&value.len())
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        Ok(declaration.configuration.get(key).filter(fits).map(|value| (key.to_owned(), value.clone())))
    }

    fn job_key(&self, pipeline: &PipelineRef, id: &str) -> Key {
        Key { pk: self.place().pipeline(pipeline.id), sk: job_sk(id) }
    }

    /// A queued job and the entries that it is found by.
    fn new_job(&self, pipeline: &PipelineRef, item: &JobItem) -> Result<Vec<Write>, PortError> {
        let key = self.job_key(pipeline, &item.id);
        let mut writes = vec![Write::Put { key, revision: 1, body: encode(item)?, condition: Condition::Always }];
        let body = encode(&(pipeline, &item.id))?;
        for key in self.entries(item) {
            writes.push(Write::Put { key, revision: 1, body: body.clone(), condition: Condition::Always });
        }
        Ok(writes)
    }

    fn entries(&self, item: &JobItem) -> Vec<Key> {
        let pk = open_jobs(self.place(), &item.action_type);
        let age = format!("{:016x}#{}", item.created_at.0.max(0), item.id);
        let queryable = item.queryable.iter().map(|(key, value)| format!("{}{age}", by_value(key, value)));
        std::iter::once(format!("{BY_AGE}{age}")).chain(queryable).map(|sk| Key { pk: pk.clone(), sk }).collect()
    }

    fn remove_entries(&self, item: &JobItem) -> impl Iterator<Item = Write> {
        self.entries(item).into_iter().map(|key| Write::Delete { key, condition: Condition::Always })
    }

    /// PollForJobs and PollForThirdPartyJobs: jobs of an action type that nobody has taken, oldest first. With `query`
    /// only those whose configuration says so.
    ///
    /// # Errors
    /// A port failed.
    pub async fn poll_for_jobs(
        &self,
        id: &ActionTypeId,
        query: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Job>, JobError> {
        let prefix = query.map_or_else(|| BY_AGE.to_owned(), |(key, value)| by_value(key, value));
        let pk = open_jobs(self.place(), id);
        let mut query = Query { pk, prefix, after: None, limit: PAGE, backward: false };
        let mut jobs = Vec::new();
        loop {
            let page = self.table().query(&query).await?;
            for (key, stored) in &page.items {
                if jobs.len() == limit {
                    return Ok(jobs);
                }
                let (pipeline, id): (PipelineRef, String) = decode(&stored.body, &key.sk)?;
                match self.open_job(&pipeline, &id).await? {
                    Some(job) => jobs.push(job),
                    None => self.forget_entry(key).await?,
                }
            }
            match page.items.last() {
                Some((key, _)) if page.more => query.after = Some(key.sk.clone()),
                Some(_) | None => return Ok(jobs),
            }
        }
    }

    /// A job that nobody has taken and whose action still waits for it.
    async fn open_job(&self, pipeline: &PipelineRef, id: &str) -> Result<Option<Job>, JobError> {
        let Some(stored) = self.table().get(&self.job_key(pipeline, id)).await? else { return Ok(None) };
        let item: JobItem = decode(&stored.body, id)?;
        if item.status != JobStatus::Queued {
            return Ok(None);
        }
        let request = self.request_again(pipeline, &item.action).await?;
        Ok(request.map(|request| Job { item, nonce: stored.revision, request }))
    }

    /// Nobody needs the entry any more.
    async fn forget_entry(&self, key: &Key) -> Result<(), PortError> {
        let token = format!("job-{}", self.event_seed().0.simple());
        self.table().transact(&token, &[Write::Delete { key: key.clone(), condition: Condition::Always }]).await
    }

    async fn found(&self, id: &str) -> Result<Option<Found>, JobError> {
        let Some(to) = self.action_by_external_id(id).await? else { return Ok(None) };
        self.found_in(to.pipeline, id).await
    }

    /// The job of this id in its pipeline; a function's first job has no item.
    async fn found_in(&self, pipeline: PipelineRef, id: &str) -> Result<Option<Found>, JobError> {
        let Some(stored) = self.table().get(&self.job_key(&pipeline, id)).await? else { return Ok(None) };
        let item = decode(&stored.body, id)?;
        Ok(Some(Found { pipeline, item, revision: stored.revision }))
    }

    /// A job by its id.
    ///
    /// # Errors
    /// The job is not found.
    pub async fn job(&self, id: &str) -> Result<JobItem, JobError> {
        self.found(id).await?.map(|found| found.item).ok_or(JobError::NotFound)
    }

    /// AcknowledgeJob and AcknowledgeThirdPartyJob: the worker takes the job. An action that ended meanwhile is told by
    /// the status, and the job is not taken.
    ///
    /// # Errors
    /// The job is not found, or was taken.
    pub async fn acknowledge_job(
        &self,
        id: &str,
        nonce: &str,
        worker: &str,
        third_party: bool,
    ) -> Result<JobStatus, JobError> {
        let found = self.found(id).await?.filter(|found| found.item.is_third_party() == third_party);
        let found = found.ok_or(JobError::NotFound)?;
        if found.item.status != JobStatus::Queued || nonce != found.revision.to_string() {
            return Err(JobError::InvalidNonce);
        }
        if let Some(ended) = self.ended_as(&found).await? {
            return Ok(ended);
        }
        let item =
            JobItem { status: JobStatus::InProgress, worker: Some(owner(worker).to_owned()), ..found.item.clone() };
        let mut writes = vec![Write::Put {
            key: self.job_key(&found.pipeline, id),
            revision: found.revision + 1,
            body: encode(&item)?,
            condition: Condition::Revision(found.revision),
        }];
        writes.extend(self.remove_entries(&found.item));
        let token = format!("job-{}", self.event_seed().0.simple());
        match self.change(&token, writes).await {
            Ok(()) => Ok(JobStatus::InProgress),
            Err(PortError::Conflict) => Err(JobError::InvalidNonce),
            Err(error) => Err(error.into()),
        }
    }

    /// How a job counts whose action has ended by itself.
    async fn ended_as(&self, found: &Found) -> Result<Option<JobStatus>, JobError> {
        let action = self.action(&found.pipeline, &found.item.action).await?;
        Ok(match action {
            None => Some(JobStatus::Failed),
            Some(action) => match action.status {
                ActionStatus::InProgress => None,
                ActionStatus::Succeeded => Some(JobStatus::Succeeded),
                ActionStatus::Failed if action.error.as_ref().is_some_and(|error| error.code == "Timeout") => {
                    Some(JobStatus::TimedOut)
                }
                ActionStatus::Failed | ActionStatus::Abandoned | ActionStatus::Cancelled => Some(JobStatus::Failed),
            },
        })
    }

    /// GetJobDetails and GetThirdPartyJobDetails, for whoever acknowledged it, or for anybody while nobody has.
    ///
    /// # Errors
    /// The job is not found: unknown, another worker's, or ended.
    pub async fn get_job_details(&self, id: &str, worker: &str, third_party: bool) -> Result<Job, JobError> {
        let found = self.found(id).await?.ok_or(JobError::NotFound)?;
        if found.item.is_third_party() != third_party {
            return Err(if third_party { JobError::Invalid } else { JobError::NotFound });
        }
        if found.item.worker.as_deref().is_some_and(|known| known != owner(worker)) {
            return Err(JobError::NotFound);
        }
        let request = self.request_again(&found.pipeline, &found.item.action).await?.ok_or(JobError::NotFound)?;
        Ok(Job { item: found.item, nonce: found.revision, request })
    }

    /// What a job of this id was told by the job before it, for whoever calls a function again.
    ///
    /// # Errors
    /// A port failed.
    pub async fn continuation_token(&self, id: &str) -> Result<Option<String>, JobError> {
        Ok(self.found(id).await?.and_then(|found| found.item.continuation_token))
    }

    /// The id of the next job of an action.
    fn next_job_id(seed: Seed) -> String {
        seed.id("job").to_string()
    }
}

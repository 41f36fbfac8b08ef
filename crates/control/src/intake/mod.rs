//! Changes of sources come in: matched with the source actions that they start, each of which starts its pipeline once.

mod envelope;
mod start;

use async_trait::async_trait;
use engine::triggers::{
    ImageChange, ObjectChange, PullRequest, Push, ReferenceChange, RepositoryChange, RepositoryEvent, Verdict, judge,
};
use engine::{Origin, TriggerDetail};
use model::{ExecutionId, PipelineName, PipelineType, TriggerType};
use serde::{Deserialize, Serialize};

use crate::connections::Connection;
use crate::control::{Control, ControlError};
use crate::ports::PortError;
use crate::sources::{Looks, Pointer, Resource};

pub use envelope::{EnvelopeError, Incoming, StartRequest, read};
pub(crate) use start::{Begin, Begun, head_place, trigger_token};

/// Asks a git provider which files changed, where its event does not say.
#[async_trait]
pub trait ChangedFiles: Send + Sync {
    /// The changed files of a push or pull request, at least the first hundred; none where the provider cannot tell.
    async fn changed_files(
        &self,
        connection: Option<&Connection>,
        event: &RepositoryEvent,
    ) -> Result<Option<Vec<String>>, PortError>;

    /// The full id of a commit that an event names by its first digits, as Bitbucket does the head of a pull request;
    /// none where the provider cannot tell.
    async fn full_commit_id(
        &self,
        connection: Option<&Connection>,
        event: &RepositoryEvent,
        short: &str,
    ) -> Result<Option<String>, PortError> {
        let _ = (connection, event, short);
        Ok(None)
    }
}

/// The digits of a full commit id, in the older of git's two formats.
const FULL_ID_DIGITS: usize = 40;

/// A change of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceEvent {
    /// Of a repository behind a connection.
    Repository(RepositoryEvent),
    /// Of an object.
    Object(ObjectChange),
    /// Of a CodeCommit repository.
    Reference(ReferenceChange),
    /// Of an image.
    Image(ImageChange),
}

/// Who tells of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The event's id: the same when it comes again.
    pub delivery: Option<String>,
    /// What executions name as `triggerDetail`: a rule's ARN, as a rule.
    pub detail: String,
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Executions started.
    pub started: Vec<(PipelineName, ExecutionId)>,
    /// Pipelines that this change had started before.
    pub repeated: usize,
    /// Pipelines that the change does not start, and why.
    pub passed: Vec<(PipelineName, String)>,
}

/// What a change has brought so far: a pipeline that cannot be started now does not keep others.
#[derive(Default)]
struct Receiving {
    received: Received,
    failure: Option<ControlError>,
}

impl Receiving {
    fn fail(&mut self, pointer: &Pointer, error: ControlError) {
        tracing::warn!(pipeline = %pointer.pipeline.name, action = %pointer.action, %error, "a change could not be judged");
        self.failure.get_or_insert(error);
    }

    /// What it brought, or why it is to be told again.
    fn whole(self) -> Result<Received, ControlError> {
        self.failure.map_or(Ok(self.received), Err)
    }
}

impl Received {
    pub(crate) fn note(&mut self, pipeline: &PipelineName, begun: Begun) {
        match begun {
            Begun::Started(id) => self.started.push((pipeline.clone(), id)),
            Begun::Repeated | Begun::Moved => self.repeated += 1,
            Begun::Refused(why) => {
                tracing::warn!(pipeline = %pipeline, why, "a change of its source could not start a pipeline");
                self.passed.push((pipeline.clone(), why));
            }
        }
    }

    /// What another change brought.
    pub(crate) fn add(&mut self, other: Self) {
        self.started.extend(other.started);
        self.repeated += other.repeated;
        self.passed.extend(other.passed);
    }

    fn pass(&mut self, pointer: &Pointer, why: impl Into<String>) {
        let why = why.into();
        tracing::debug!(pipeline = %pointer.pipeline.name, action = %pointer.action, why, "a change starts nothing");
        self.passed.push((pointer.pipeline.name.clone(), why));
    }
}

impl Control {
    /// Matches a change with the source actions of its resource and starts their pipelines, each once however often it is
    /// told. Reads one partition of pointers and no declaration.
    ///
    /// # Errors
    /// A port failed for some pipeline, and the others were started: the change is to be told again, and what was started
    /// already is not started twice.
    pub async fn receive(&self, event: &SourceEvent, told: &Told) -> Result<Received, ControlError> {
        match event {
            SourceEvent::Repository(event) => self.receive_repository(event).await,
            SourceEvent::Object(object) => {
                let resource = Resource::Object { bucket: object.bucket.clone(), key: object.key.clone() };
                let token = object.revision().or(object.sequencer.as_deref()).map(|revision| vec!["s3", revision]);
                self.receive_change(&resource, &object.origin(), told, token, |_| true).await
            }
            SourceEvent::Reference(change) if change.push.deleted() => self.receive_deletion(change, told).await,
            SourceEvent::Reference(change) => {
                let resource = Resource::CodeCommit { repository: change.repository.clone() };
                let branch = change.push.branch();
                let is_watched = |pointer: &Pointer| match &pointer.looks {
                    Looks::Branch(watched) => branch == Some(watched),
                    Looks::Git(_) | Looks::All => false,
                };
                let token = push_token(&change.push, told.delivery.as_deref());
                self.receive_change(&resource, &change.origin(), told, Some(token), is_watched).await
            }
            SourceEvent::Image(image) => {
                let resource = Resource::Image { repository: image.repository.clone(), tag: image.tag.clone() };
                let delivery = told.delivery.as_deref().unwrap_or_default();
                let token = vec!["ecr", &image.digest, delivery];
                self.receive_change(&resource, &image.origin(), told, Some(token), |_| true).await
            }
        }
    }

    /// A branch of CodeCommit is gone: that starts nothing, and whoever pushes it again starts anew.
    async fn receive_deletion(&self, change: &ReferenceChange, told: &Told) -> Result<Received, ControlError> {
        let resource = Resource::CodeCommit { repository: change.repository.clone() };
        let mut received = Received::default();
        for pointer in self.pointers(&resource).await? {
            let origin = Origin { action: Some(pointer.action.clone()), ..change.origin() };
            self.note_passed(&pointer.pipeline, &origin, &change.push, told.delivery.as_deref()).await?;
            received.pass(&pointer, "the branch was deleted");
        }
        Ok(received)
    }

    /// A change that a rule brought.
    async fn receive_change(
        &self,
        resource: &Resource,
        origin: &Origin,
        told: &Told,
        token: Option<Vec<&str>>,
        is_watched: impl Fn(&Pointer) -> bool,
    ) -> Result<Received, ControlError> {
        let mut receiving = Receiving::default();
        let detail = if told.detail.starts_with("arn:") { None } else { self.rule_arn(resource) };
        let detail = detail.unwrap_or_else(|| told.detail.clone());
        for pointer in self.pointers(resource).await? {
            if !is_watched(&pointer) {
                receiving.received.pass(&pointer, "it is not the configured branch");
                continue;
            }
            let origin = Origin { action: Some(pointer.action.clone()), ..origin.clone() };
            let delivery = vec!["event", told.delivery.as_deref().unwrap_or_default()];
            let token = trigger_token(&pointer.action, token.as_ref().unwrap_or(&delivery));
            let trigger = TriggerDetail { kind: TriggerType::CloudWatchEvent, detail: detail.clone() };
            let begin = Begin { origin: Some(origin), trigger, token, ..Begin::default() };
            match self.begin(&pointer.pipeline, begin).await {
                Ok(begun) => receiving.received.note(&pointer.pipeline.name, begun),
                Err(error) => receiving.fail(&pointer, error),
            }
        }
        receiving.whole()
    }

    /// A push or pull request, by webhook or as an event.
    pub(crate) async fn receive_repository(&self, event: &RepositoryEvent) -> Result<Received, ControlError> {
        let connection = self.connection_by_arn(&event.connection).await?;
        let own = connection.as_ref().map(|connection| self.connection_arn(&connection.id));
        let mapped = connection.as_ref().and_then(|connection| connection.mapped_arn.clone());
        let mut arns: Vec<String> = own.into_iter().chain(mapped).collect();
        if !arns.contains(&event.connection) {
            arns.push(event.connection.clone());
        }
        let mut receiving = Receiving::default();
        let mut asked = Asked::new(self, connection.as_ref(), event);
        for arn in arns {
            let resource = Resource::Repository { connection: arn.clone(), name: event.repository.clone() };
            for pointer in self.pointers(&resource).await? {
                if let Err(error) = self.receive_one(&pointer, &arn, &mut asked, &mut receiving.received).await {
                    receiving.fail(&pointer, error);
                }
            }
        }
        receiving.whole()
    }

    async fn receive_one(
        &self,
        pointer: &Pointer,
        connection: &str,
        asked: &mut Asked<'_>,
        received: &mut Received,
    ) -> Result<(), ControlError> {
        let Some(begin) = asked.matched(pointer, received).await? else {
            return self.note_passing(pointer, &asked.event).await;
        };
        let begin = Begin { trigger: repository_trigger(pointer, connection), ..begin };
        let begun = self.begin(&pointer.pipeline, begin).await?;
        received.note(&pointer.pipeline.name, begun);
        Ok(())
    }

    /// A push that does not start a source action.
    async fn note_passing(&self, pointer: &Pointer, event: &RepositoryEvent) -> Result<(), ControlError> {
        let RepositoryChange::Push(push) = &event.change else { return Ok(()) };
        let origin = Origin { action: Some(pointer.action.clone()), ..event.origin() };
        self.note_passed(&pointer.pipeline, &origin, push, event.delivery.as_deref()).await
    }

    /// A start that a rule of a user's own asks for: a schedule, or any event through an input transformer.
    ///
    /// # Errors
    /// The pipeline does not exist, refuses the start, or a port failed.
    pub async fn receive_start(&self, request: StartRequest, told: &Told) -> Result<ExecutionId, ControlError> {
        let start = engine::Start {
            trigger: TriggerDetail { kind: TriggerType::CloudWatchEvent, detail: told.detail.clone() },
            origin: None,
            variables: request.variables,
            overrides: request.source_revisions,
        };
        let token = told.delivery.as_deref().map(|delivery| trigger_token(&"start".into(), &[delivery]));
        self.start_pipeline_execution(&request.pipeline, start, token.as_deref()).await
    }
}

/// `WebhookV2` for a declared trigger; without one, `Webhook` as for every push by webhook. The detail is the connection.
pub(crate) fn repository_trigger(pointer: &Pointer, connection: &str) -> TriggerDetail {
    let is_declared = matches!(&pointer.looks, Looks::Git(engine::triggers::Watch::Trigger { .. }));
    let kind = if is_declared { TriggerType::WebhookV2 } else { TriggerType::Webhook };
    TriggerDetail { kind, detail: connection.to_owned() }
}

/// One event, judged for many source actions; the provider is asked for its files at most once.
struct Asked<'a> {
    control: &'a Control,
    connection: Option<&'a Connection>,
    event: std::borrow::Cow<'a, RepositoryEvent>,
    asked: bool,
}

impl<'a> Asked<'a> {
    fn new(control: &'a Control, connection: Option<&'a Connection>, event: &'a RepositoryEvent) -> Self {
        Self { control, connection, event: std::borrow::Cow::Borrowed(event), asked: false }
    }

    /// The start of a source action that the event matches.
    async fn matched(&mut self, pointer: &Pointer, received: &mut Received) -> Result<Option<Begin>, ControlError> {
        let Looks::Git(watch) = &pointer.looks else { return Ok(None) };
        if let RepositoryChange::PullRequest(PullRequest { from_fork: true, .. }) = &self.event.change
            && !self.connection.is_some_and(|connection| connection.allow_forks)
        {
            received.pass(pointer, "the pull request comes from a fork, which the connection does not allow");
            return Ok(None);
        }
        let mut verdict = judge(watch, &self.event.change);
        if verdict == Verdict::NeedsFiles && self.ask().await? {
            verdict = judge(watch, &self.event.change);
        }
        match verdict {
            Verdict::Starts(_) => {
                self.complete_head().await?;
                Ok(Some(self.begin(pointer)))
            }
            Verdict::NeedsFiles => {
                received.pass(pointer, "its filters need the changed files, which nobody tells");
                Ok(None)
            }
            Verdict::Passes(why) => {
                received.pass(pointer, why);
                Ok(None)
            }
            Verdict::Unreadable(error) => {
                received.pass(pointer, error.to_string());
                Ok(None)
            }
        }
    }

    fn begin(&self, pointer: &Pointer) -> Begin {
        let mut origin = Origin { action: Some(pointer.action.clone()), ..self.event.origin() };
        if pointer.kind == PipelineType::V1 {
            origin.trigger.clear();
        }
        let delivery = self.event.delivery.as_deref();
        let token = match &self.event.change {
            RepositoryChange::Push(push) => trigger_token(&pointer.action, &push_token(push, delivery)),
            RepositoryChange::PullRequest(request) => {
                let number = request.number.to_string();
                let parts =
                    ["pull-request", &number, request.event.as_str(), &request.head.id, delivery.unwrap_or_default()];
                trigger_token(&pointer.action, &parts)
            }
        };
        Begin { origin: Some(origin), token, ..Begin::default() }
    }

    /// Has the head of a pull request named in full: exactly that commit runs.
    async fn complete_head(&mut self) -> Result<(), ControlError> {
        let RepositoryChange::PullRequest(request) = &self.event.change else { return Ok(()) };
        let short = request.head.id.clone();
        let Some(port) = self.control.detection().files.clone().filter(|_| short.len() < FULL_ID_DIGITS) else {
            return Ok(());
        };
        if let Some(full) = port.full_commit_id(self.connection, &self.event, &short).await?
            && let RepositoryChange::PullRequest(request) = &mut self.event.to_mut().change
        {
            request.head.id = full;
        }
        Ok(())
    }

    /// Asks for the changed files; whether they are known now.
    async fn ask(&mut self) -> Result<bool, ControlError> {
        let port = self.control.detection().files.clone();
        let Some(port) = port.filter(|_| !self.asked) else { return Ok(false) };
        self.asked = true;
        let Some(files) = port.changed_files(self.connection, &self.event).await? else { return Ok(false) };
        match &mut self.event.to_mut().change {
            RepositoryChange::Push(push) => push.files = Some(files),
            RepositoryChange::PullRequest(request) => request.files = Some(files),
        }
        Ok(true)
    }
}

/// What names a push: its delivery, where there is one; without, where the ref was before.
pub(crate) fn push_token<'a>(push: &'a Push, delivery: Option<&'a str>) -> Vec<&'a str> {
    let after = push.after.as_deref().unwrap_or_default();
    let before = push.before.as_deref().unwrap_or_default();
    match delivery {
        Some(delivery) => vec!["push", &push.git_ref, after, delivery],
        None => vec!["move", &push.git_ref, after, before],
    }
}

//! What a driver does for its action: claim and start it, ask for news, give up. The action's item is the truth; a driver
//! that dies is followed by another under the next drive.

use engine::{ActionExecution, ActionKey, ItemKey, Outcome};
use model::ActionStatus;

use crate::control::{Control, ControlError};
use crate::dispatch::Dispatched;
use crate::handoff::{DriverInput, HANDOFF_VERSION};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{ActionReply, ActionRequest, ActionRunner, PortError};
use crate::rows::{PipelineRef, WorkRow};

/// How long a start may take before its driver counts as dead, in milliseconds: the longest a Lambda function runs.
const LONGEST_START_MILLIS: i64 = 15 * 60 * 1000;
/// News that come later than this are fetched by a row, not by a waiting driver: in milliseconds.
const LONGEST_WAIT_MILLIS: u64 = 60 * 60 * 1000;

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driven {
    /// Nothing: the action ended, or somebody reports its end.
    Done,
    /// It waits to be woken, and asks for news when nobody wakes it in time.
    Waits,
}

impl Control {
    /// Starts the action of a driver. `token` wakes the driver.
    ///
    /// # Errors
    /// A newer input, or a port that failed: the driver tries again.
    pub async fn drive_action(
        &self,
        input: &DriverInput,
        token: &str,
        runner: &dyn ActionRunner,
    ) -> Result<Driven, ControlError> {
        let Some((pipeline, action)) = self.driven(input).await? else { return Ok(Driven::Done) };
        if action.status != ActionStatus::InProgress {
            return Ok(Driven::Done);
        }
        // Claimed under this drive before: by an invocation that died, for drivers invoke one after the other.
        let drive = input.drive.max(action.drive + 1);
        match self.claim(&pipeline, &action.key, drive, None).await? {
            Dispatched::Nothing => Ok(Driven::Done),
            Dispatched::Fail(key, outcome) => {
                self.complete_action(&pipeline, &key, *outcome, None).await?;
                Ok(Driven::Done)
            }
            Dispatched::Run(request) if request.external_id.is_some() => {
                let reply = runner.poll(*request).await;
                self.follow(&pipeline, &action.key, reply, token).await
            }
            Dispatched::Run(request) => self.start_and_look(&pipeline, *request, token, runner).await,
        }
    }

    /// Starts, stores the work's id, and asks once: what ended in between was reported to nobody.
    async fn start_and_look(
        &self,
        pipeline: &PipelineRef,
        request: ActionRequest,
        token: &str,
        runner: &dyn ActionRunner,
    ) -> Result<Driven, ControlError> {
        let key = request.action.key.clone();
        let reply = runner.start(request.clone()).await;
        let external_id = match &reply {
            ActionReply::Pending { started, .. } => started.external_id.clone(),
            ActionReply::Ended(_) => None,
        };
        let driven = self.follow(pipeline, &key, reply, token).await?;
        if driven == Driven::Done || external_id.is_none() {
            return Ok(driven);
        }
        match runner.poll(ActionRequest { external_id, ..request }).await {
            ActionReply::Ended(outcome) => {
                self.complete_action(pipeline, &key, *outcome, None).await?;
                Ok(Driven::Done)
            }
            ActionReply::Pending { .. } => Ok(driven),
        }
    }

    /// Asks for news of a driver's action.
    ///
    /// # Errors
    /// As [`Self::drive_action`].
    pub async fn poll_driven(
        &self,
        input: &DriverInput,
        token: &str,
        runner: &dyn ActionRunner,
    ) -> Result<Driven, ControlError> {
        let Some((pipeline, action)) = self.driven(input).await? else { return Ok(Driven::Done) };
        if action.external_id.is_none() && action.status == ActionStatus::InProgress {
            let started_long_ago = action.updated_at.plus_millis(LONGEST_START_MILLIS) < self.now();
            if started_long_ago {
                return self.drive_action(input, token, runner).await;
            }
            return Ok(Driven::Waits);
        }
        let Some(request) = self.request_again(&pipeline, &action.key).await? else { return Ok(Driven::Done) };
        let reply = runner.poll(request).await;
        self.follow(&pipeline, &action.key, reply, token).await
    }

    /// A provider told of the end of some work: its action is asked about. Returns the token of the driver to wake.
    ///
    /// # Errors
    /// A port that failed.
    pub async fn poll_external(
        &self,
        external_id: &str,
        runner: &dyn ActionRunner,
    ) -> Result<Option<String>, ControlError> {
        let Some(found) = self.action_by_external_id(external_id).await? else { return Ok(None) };
        let Some(request) = self.request_again(&found.pipeline, &found.key).await? else { return Ok(None) };
        let token = request.action.task_token.clone();
        match runner.poll(request).await {
            ActionReply::Ended(outcome) => {
                self.complete_action(&found.pipeline, &found.key, *outcome, None).await?;
                Ok(token)
            }
            ActionReply::Pending { .. } => Ok(None),
        }
    }

    /// A row that asks for news is here.
    ///
    /// # Errors
    /// A port that failed.
    pub async fn consume_poll(
        &self,
        row: &WorkRow,
        key: &ActionKey,
        runner: &dyn ActionRunner,
    ) -> Result<(), ControlError> {
        let Some(request) = self.request_again(&row.pipeline, key).await? else {
            return self.forget_row(Some(row)).await;
        };
        let reply = runner.poll(request).await;
        self.report(&row.pipeline, key, reply, Some(row)).await.map(|_| ())
    }

    /// A driver gives up: its action fails, saying why.
    ///
    /// # Errors
    /// A port that failed.
    pub async fn give_up(&self, input: &DriverInput, code: &str, message: String) -> Result<(), ControlError> {
        let Some((pipeline, action)) = self.driven(input).await? else { return Ok(()) };
        self.complete_action(&pipeline, &action.key, Outcome::failed(code, message), None).await.map(|_| ())
    }

    /// The action whose driver died, if it still needs one. The next driver is named by `input.drive + 1`, however often
    /// the death is told.
    ///
    /// # Errors
    /// A port that failed.
    pub async fn orphan(&self, input: &DriverInput) -> Result<Option<ActionExecution>, ControlError> {
        let found = self.driven(input).await?.map(|(_, action)| action);
        Ok(found.filter(|action| action.status == ActionStatus::InProgress))
    }

    /// Stores what came of a start or a question.
    async fn follow(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        reply: ActionReply,
        token: &str,
    ) -> Result<Driven, ControlError> {
        match reply {
            ActionReply::Pending { mut started, poll_at: Some(at) }
                if at.millis_since(self.now()) <= LONGEST_WAIT_MILLIS =>
            {
                started.task_token = Some(token.to_owned());
                let reply = ActionReply::Pending { started, poll_at: None };
                self.report(pipeline, key, reply, None).await?;
                Ok(Driven::Waits)
            }
            // Somebody reports its end, or a row fetches it: nobody has to wait.
            reply => {
                self.report(pipeline, key, reply, None).await?;
                Ok(Driven::Done)
            }
        }
    }

    /// The pipeline and the action of a driver; none when the input does not name one that exists.
    async fn driven(&self, input: &DriverInput) -> Result<Option<(PipelineRef, ActionExecution)>, ControlError> {
        if input.v > HANDOFF_VERSION {
            return Err(PortError::Newer("a driver's input".into()).into());
        }
        let Some(ItemKey::Action(key)) = keys::parse_item_sk(&input.at) else { return Ok(None) };
        // The name is not known before the item is read; the id alone says where it lies. The rest is what a claim reads.
        let wanted = [ItemKey::Action(key.clone()), ItemKey::Execution(key.execution), ItemKey::Pipeline];
        let mut loaded = Loaded::default();
        self.loader.load(input.pipeline_id, &mut loaded, &wanted.map(engine::Read::Item)).await?;
        let action = loaded.slice.action(&key).ok().flatten().cloned();
        let action = action.filter(|action| action.id == input.action_execution_id);
        Ok(action.map(|action| (PipelineRef { id: input.pipeline_id, name: action.pipeline.clone() }, action)))
    }
}

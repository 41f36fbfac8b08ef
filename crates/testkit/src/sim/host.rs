//! The host of a run: rows become decisions, claims running actions, publications events. It does what the local host and
//! the functions do, in tasks that may die between any two steps.

use std::rc::Rc;

use control::dispatch::Dispatched;
use control::ports::{ActionReply, ActionRequest, Condition, MAX_WRITES, Write};
use control::rows::{PipelineRef, PublicationRow, Task, WorkRow};
use control::{Control, ControlError};
use engine::{ActionExecution, ActionKey, Outcome};
use model::{ActionStatus, Category};

use super::history::{Actor, Step};
use super::mutation::Mutation;
use super::outside::{Around, Tending};
use super::provider;

/// How long what failed waits before it is tried again, in milliseconds.
const RETRY: i64 = 1000;

/// The host: a control plane and what lies around it.
#[derive(Clone)]
pub(super) struct Host {
    /// The control plane.
    pub control: Rc<Control>,
    /// What lies around it.
    pub around: Around,
}

impl Host {
    /// Consumes a row as it was delivered; `blind` leaves out the look whether it is still there.
    pub async fn consume(self, row: WorkRow, blind: bool, tending: Tending) {
        let done = self.try_consume(&row, blind).await;
        if let Err(error) = done {
            self.around.note(format!("the row {} waits: {error}", row.id));
            self.around.time.sleep(RETRY).await;
        }
        drop(tending);
    }

    async fn try_consume(&self, row: &WorkRow, blind: bool) -> Result<(), ControlError> {
        let key = row.key(self.control.place());
        if !blind && self.control.table().get(&key).await?.is_none() {
            return Ok(());
        }
        match &row.task {
            Task::Engine(work) => self.control.consume(row, work).await.map(|_| ()),
            Task::Dispatch(keys) => self.dispatch(row, keys).await,
            Task::Poll(key) => self.poll(row, key).await,
            Task::Clean => self.control.clean(row).await,
            Task::Webhook(delivery) => self.control.match_delivery(row, delivery).await.map(drop),
        }
    }

    async fn dispatch(&self, row: &WorkRow, keys: &[ActionKey]) -> Result<(), ControlError> {
        for (place, key) in keys.iter().enumerate() {
            let last = place + 1 == keys.len();
            let dispatched = self.control.claim(&row.pipeline, key, 1, last.then_some(row)).await?;
            if matches!((&dispatched, self.around.mutation), (Dispatched::Nothing, Mutation::UngrantedClaims))
                && let Some(request) = self.control.request_again(&row.pipeline, key).await?
            {
                self.drive(&row.pipeline, Dispatched::Run(Box::new(request)));
            }
            self.drive(&row.pipeline, dispatched);
        }
        Ok(())
    }

    /// Begins to drive what was claimed.
    fn drive(&self, pipeline: &PipelineRef, dispatched: Dispatched) {
        let (host, pipeline) = (self.clone(), pipeline.clone());
        match dispatched {
            Dispatched::Nothing => {}
            Dispatched::Run(request) => {
                let actor = Actor::Driver(request.action.key.clone(), request.action.drive);
                let tending = Tending::new(&self.around, vec![request.action.key.clone()]);
                self.around.spawn(actor, async move {
                    host.run(&pipeline, &request).await;
                    drop(tending);
                });
            }
            Dispatched::Fail(key, outcome) => {
                let actor = Actor::Driver(key.clone(), 0);
                let reply = ActionReply::Ended(outcome);
                let tending = Tending::new(&self.around, vec![key.clone()]);
                self.around.spawn(actor, async move {
                    host.report(&pipeline, &key, &reply, None).await;
                    drop(tending);
                });
            }
        }
    }

    async fn run(&self, pipeline: &PipelineRef, request: &ActionRequest) {
        while self.control.table().flush().await.is_err() {
            self.around.time.sleep(RETRY).await;
        }
        let reply = provider::start(&self.around, request, self.control.now()).await;
        self.report(pipeline, &request.action.key, &reply, None).await;
    }

    /// Reports until it is stored.
    async fn report(&self, pipeline: &PipelineRef, key: &ActionKey, reply: &ActionReply, row: Option<&WorkRow>) {
        let key = self.addressed(pipeline, key);
        while let Err(error) = self.control.report(pipeline, &key, reply.clone(), row).await {
            self.around.note(format!("a report of {}/{} waits: {error}", key.stage, key.name));
            self.around.time.sleep(RETRY).await;
        }
    }

    /// Whom a report is about.
    fn addressed(&self, pipeline: &PipelineRef, key: &ActionKey) -> ActionKey {
        if !matches!(self.around.mutation, Mutation::StaleAttempts) {
            return key.clone();
        }
        let known = self.around.recorder.known();
        let items = known.pipelines.get(&pipeline.id);
        let attempts = items.into_iter().flat_map(|items| items.keys()).filter_map(|item| match item {
            engine::ItemKey::Action(other) => Some(other),
            _ => None,
        });
        let same = attempts.filter(|other| ActionKey { attempt: key.attempt, ..(*other).clone() } == *key);
        same.max_by_key(|other| other.attempt).unwrap_or(key).clone()
    }

    async fn poll(&self, row: &WorkRow, key: &ActionKey) -> Result<(), ControlError> {
        let Some(request) = self.control.request_again(&row.pipeline, key).await? else {
            return self.control.forget_row(Some(row)).await;
        };
        let reply = provider::poll(&self.around, &request, self.control.now());
        self.report(&row.pipeline, key, &reply, Some(row)).await;
        Ok(())
    }

    /// Takes up an action whose driver died, until that is done.
    pub async fn take_up(self, pipeline: PipelineRef, key: ActionKey) {
        while let Err(error) = self.try_take_up(&pipeline, &key).await {
            self.around.note(format!("taking up {}/{} waits: {error}", key.stage, key.name));
            self.around.time.sleep(RETRY).await;
        }
    }

    async fn try_take_up(&self, pipeline: &PipelineRef, key: &ActionKey) -> Result<(), ControlError> {
        let Some(action) = self.control.action(pipeline, key).await? else { return Ok(()) };
        if action.drive == 0 {
            return Ok(());
        }
        if self.around.is_tended(key) {
            self.around.orphans.borrow_mut().insert(key.clone());
            return Ok(());
        }
        match after_death(&action, self.is_polled(key)) {
            TakeUp::Leave => {}
            TakeUp::Again => {
                let dispatched = self.control.claim(pipeline, key, action.drive + 1, None).await?;
                self.drive(pipeline, dispatched);
            }
            TakeUp::Interrupted => {
                let outcome = Outcome::failed("Interrupted", "Its driver died.");
                self.control.complete_action(pipeline, key, outcome, None).await?;
            }
        }
        Ok(())
    }

    fn is_polled(&self, key: &ActionKey) -> bool {
        let known = self.around.recorder.known();
        known.rows.values().any(|row| row.task == Task::Poll(key.clone()))
    }

    /// Publishes these in commit order, then removes them.
    pub async fn publish(self, rows: Vec<PublicationRow>) {
        if self.control.table().flush().await.is_err() {
            return;
        }
        if !matches!(self.around.mutation, Mutation::PublishedNever) {
            let entries = rows.iter().flat_map(|row| row.entries.clone()).collect();
            self.around.recorder.note(Step::Published(entries));
        }
        let once_more = matches!(self.around.mutation, Mutation::PublishedTwice) && self.around.dice.chance(20);
        for chunk in rows.chunks(MAX_WRITES).filter(|_| !once_more) {
            let delete = |row: &PublicationRow| Write::Delete {
                key: row.key(self.control.place()),
                condition: Condition::Always,
            };
            let writes: Vec<_> = chunk.iter().map(delete).collect();
            let token = format!("published-{}", chunk.first().map(|row| row.id).unwrap_or_default());
            if let Err(error) = self.control.table().transact(&token, &writes).await {
                self.around.note(format!("published rows stay: {error}"));
            }
        }
    }
}

/// What to do with an action whose driver died.
enum TakeUp {
    /// A person, a poll or its deadline ends it.
    Leave,
    /// Doing it again does no harm.
    Again,
    /// Doing it again might.
    Interrupted,
}

/// As the local host decides it.
fn after_death(action: &ActionExecution, polled: bool) -> TakeUp {
    if action.status != ActionStatus::InProgress || polled {
        return TakeUp::Leave;
    }
    match action.action_type.category {
        Category::Approval => TakeUp::Leave,
        Category::Source => TakeUp::Again,
        Category::Deploy if action.action_type.provider == "S3" => TakeUp::Again,
        Category::Rule if action.action_type.provider == "VariableCheck" => TakeUp::Again,
        Category::Rule if action.action_type.provider == "DeploymentWindow" => TakeUp::Again,
        Category::Build | Category::Deploy | Category::Test | Category::Invoke | Category::Compute | Category::Rule => {
            TakeUp::Interrupted
        }
    }
}

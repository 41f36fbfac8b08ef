//! Consumes work rows when they are due, and drives actions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use control::dispatch::Dispatched;
use control::ports::{ActionReply, ActionRequest, ActionRunner, PortError};
use control::rows::{Task, WorkRow};
use control::stored::decode;
use control::{Control, ControlError};
use engine::{ActionKey, Outcome, Work};
use model::Category;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::functions::{Calls, Next, after_call};
use super::inbox::{RowAt, RowNews};
use super::recovery::{Left, TakeUp, after_crash};
use super::regions::Regions;

/// How long a row that failed waits before it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest sleep: a clock that jumped is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Consumes rows and drives actions.
#[derive(Clone)]
pub struct Worker {
    /// The control planes.
    pub regions: Arc<Regions>,
    /// The one of the host's own region: table and clock are the same in all.
    pub control: Arc<Control>,
    /// Runs actions.
    pub runner: Arc<dyn ActionRunner>,
    /// Running actions.
    pub tasks: TaskTracker,
    /// Calls of functions in progress.
    pub calls: Calls,
    /// Cancelled when the host closes.
    pub stop: CancellationToken,
}

impl Worker {
    /// Takes up actions that an earlier process had claimed.
    pub async fn take_up(&self, left: &Left) -> Result<(), ControlError> {
        for row in &left.claimed {
            let Task::Engine(Work::Due(key)) = &row.task else { continue };
            let control = self.regions.control(&row.region);
            let Some(action) = control.action(&row.pipeline, key).await? else { continue };
            match after_crash(&action, &left.polled) {
                TakeUp::Leave => {}
                TakeUp::Again => {
                    let dispatched = control.claim(&row.pipeline, key, action.drive + 1, None).await?;
                    self.drive(row, dispatched);
                }
                TakeUp::Interrupted(outcome) => {
                    control.complete_action(&row.pipeline, key, *outcome, None).await?;
                }
            }
        }
        Ok(())
    }

    /// Consumes rows until the host closes.
    pub async fn run(self, left: Vec<RowAt>, mut news: UnboundedReceiver<RowNews>) {
        let mut timers: BTreeSet<RowAt> = left.into_iter().collect();
        loop {
            let now = self.control.now();
            while let Some(first) = timers.first().copied().filter(|first| first.due <= now) {
                timers.remove(&first);
                if !self.consume(first).await {
                    let due = self.control.now().plus_millis(i64::try_from(RETRY.as_millis()).unwrap_or(1000));
                    timers.insert(RowAt { due, ..first });
                }
                if self.stop.is_cancelled() {
                    return;
                }
            }
            let sleep = timers.first().map_or(LONGEST_SLEEP, |first| {
                Duration::from_millis(first.due.millis_since(self.control.now())).min(LONGEST_SLEEP)
            });
            tokio::select! {
                biased;
                received = news.recv() => match received {
                    Some(RowNews::Written(at)) => { timers.insert(at); }
                    Some(RowNews::Gone(at)) => { timers.remove(&at); }
                    None => return,
                },
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Consumes one row; false when it must be tried again.
    async fn consume(&self, at: RowAt) -> bool {
        match self.try_consume(at).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, row = %at.id, "a work row could not be consumed; trying again");
                false
            }
        }
    }

    async fn try_consume(&self, at: RowAt) -> Result<(), ControlError> {
        let key = self.control.place().work_row(at.due, at.id);
        let Some(stored) = self.control.table().get(&key).await? else { return Ok(()) };
        let row: WorkRow = decode(&stored.body, &key.sk)?;
        let control = self.regions.control(&row.region);
        match &row.task {
            Task::Engine(work) => control.consume(&row, work).await.map(|_| ()),
            Task::Dispatch(keys) => self.dispatch(&control, &row, keys).await,
            Task::Poll(key) => self.poll(&control, &row, key).await,
            Task::Clean => control.clean(&row).await,
            Task::Webhook(delivery) => control.match_delivery(&row, delivery).await.map(drop),
        }
    }

    async fn dispatch(&self, control: &Control, row: &WorkRow, keys: &[ActionKey]) -> Result<(), ControlError> {
        let mut failure = None;
        for (place, key) in keys.iter().enumerate() {
            let consumed = place + 1 == keys.len() && failure.is_none();
            // One that cannot be claimed keeps no other from starting; the row stays for it.
            match control.claim(&row.pipeline, key, 1, consumed.then_some(row)).await {
                Ok(dispatched) => self.drive(row, dispatched),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn drive(&self, row: &WorkRow, dispatched: Dispatched) {
        match dispatched {
            Dispatched::Nothing => {}
            Dispatched::Run(request) => {
                let (worker, row) = (self.clone(), row.clone());
                self.tasks.spawn(async move {
                    let key = request.action.key.clone();
                    // What a source action reads can be read again, should its claim be lost.
                    let reads_only = request.action.action_type.category == Category::Source;
                    if (reads_only || worker.flush().await)
                        && let Some(reply) = worker.called(&row, *request, true).await
                    {
                        worker.report(&row, &key, reply, None).await;
                    }
                });
            }
            Dispatched::Fail(key, outcome) => {
                let (worker, row) = (self.clone(), row.clone());
                self.tasks.spawn(async move {
                    worker.report(&row, &key, ActionReply::Ended(outcome), None).await;
                });
            }
        }
    }

    /// The claim must survive a crash before anything starts.
    async fn flush(&self) -> bool {
        while let Err(error) = self.control.table().flush().await {
            tracing::error!(%error, "an action waits: its claim is not durable yet");
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        true
    }

    /// Starts an action or asks for its news; what it came to, unless the host closes first.
    async fn called(&self, row: &WorkRow, request: ActionRequest, starts: bool) -> Option<ActionReply> {
        let action = request.action.clone();
        let _call = self.calls.enter(&action);
        let reply = if starts { self.runner.start(request) } else { self.runner.poll(request) };
        let reply = self.unless_stopped(reply).await?;
        let control = self.regions.control(&row.region);
        loop {
            match after_call(&control, &row.pipeline, &action, reply.clone()).await {
                Ok(reply) => return Some(reply),
                Err(error) => {
                    tracing::error!(%error, action = %action.key.name, "what a call came to cannot be read; trying again");
                    tokio::select! {
                        () = self.stop.cancelled() => return None,
                        () = tokio::time::sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    /// A closing host ends what it runs (dropping ends the program) and reports nothing: the next host takes it up.
    async fn unless_stopped(&self, reply: impl Future<Output = ActionReply>) -> Option<ActionReply> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            reply = reply => Some(reply),
        }
    }

    /// Reports until it is stored: an outcome is not to be lost.
    async fn report(&self, row: &WorkRow, key: &ActionKey, mut reply: ActionReply, consumed: Option<&WorkRow>) {
        let control = self.regions.control(&row.region);
        while let Err(error) = control.report(&row.pipeline, key, reply.clone(), consumed).await {
            tracing::error!(%error, stage = %key.stage, action = %key.name, "a report could not be stored; trying again");
            if let ControlError::Port(PortError::Invalid(why)) = &error {
                // It never will be.
                let message = format!("What the action came to cannot be stored: {why}.");
                reply = ActionReply::Ended(Box::new(Outcome::failed("InternalError", message)));
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn poll(&self, control: &Control, row: &WorkRow, key: &ActionKey) -> Result<(), ControlError> {
        let Some(request) = control.request_again(&row.pipeline, key).await? else {
            return control.forget_row(Some(row)).await;
        };
        let next = self.calls.next(control, request).await?;
        let (worker, row, key) = (self.clone(), row.clone(), key.clone());
        self.tasks.spawn(async move {
            let reply = match next {
                Next::Call(request) => worker.called(&row, *request, false).await,
                Next::Report(reply) => Some(reply),
            };
            if let Some(reply) = reply {
                worker.report(&row, &key, reply, Some(&row)).await;
            }
        });
        Ok(())
    }
}

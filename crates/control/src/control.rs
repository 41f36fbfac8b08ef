//! Load, decide, commit: what every use case goes through.

use std::sync::Arc;

use engine::{ActionExecution, ActionKey, Change, Changed, Decision, Event, Item, Missing, Reason, Refusal, What};
use model::Timestamp;

use crate::commit::{Committing, Prepared};
use crate::keys::Place;
use crate::load::{Cache, Loaded, Loader};
use crate::ports::{Clock, Entropy, PortError, Table, Write};
use crate::rows::{PipelineRef, PublicationRow, WorkRow};
use crate::sealing::Sealer;
use crate::sources::Detection;

/// How often a decision is made anew after a conflict.
const ROUNDS: u32 = 100;
/// How often a transaction of unknown outcome is repeated.
const REPEATS: u32 = 5;

/// What is done after a commit, as well as it can be.
pub trait Handoff: Send + Sync {
    /// Rows that were just committed. (A host that watches its table needs none of it.)
    fn committed(&self, rows: &[WorkRow], publications: &[PublicationRow]);

    /// Whoever drives this action should leave it. `action` is the item as the commit left it, where it wrote one.
    fn end_driver(&self, key: &ActionKey, action: Option<&ActionExecution>);
}

/// What goes into the same commit as a change that somebody asked for: the record of who did.
pub trait Beside: Send + Sync {
    /// What is written with a change. `changed` is what the engine decided; none where it had nothing to decide.
    ///
    /// # Errors
    /// The record cannot be written.
    fn writes(&self, changed: Option<&Changed>) -> Result<Vec<Write>, PortError>;

    /// The change was made, and what was written with it.
    fn made(&self);
}

/// What a control plane runs on.
#[derive(Clone)]
pub struct Ports {
    /// Everything stored.
    pub table: Arc<dyn Table>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and tokens.
    pub entropy: Arc<dyn Entropy>,
    /// What follows commits.
    pub handoff: Arc<dyn Handoff>,
    /// Seals the secrets of declarations, where the host may.
    pub sealer: Option<Arc<dyn Sealer>>,
}

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The engine refused; maps to an API error.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// A port failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Too many others changed the same things: try again.
    #[error("too many changes at once; try again")]
    Busy,
}

impl From<Refusal> for ControlError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What came of an event.
#[derive(Debug)]
pub enum Applied {
    /// Committed.
    Changed(Box<Changed>),
    /// Nothing was to be done; a consumed row is gone.
    Ignored(Reason),
    /// The consumed row had been consumed by somebody else.
    Consumed,
}

/// What one round of deciding gave.
#[derive(Debug)]
pub enum Round {
    /// A transaction to make, and what it means.
    Commit(Box<Prepared>, Option<Reason>),
    /// Nothing to commit.
    Ignored(Reason),
    /// The engine refused.
    Refused(Refusal),
}

/// The control plane: the use cases over its ports.
#[derive(Clone)]
pub struct Control {
    pub(crate) ports: Ports,
    pub(crate) loader: Loader,
    beside: Option<Arc<dyn Beside>>,
    pub(crate) detection: Arc<Detection>,
    pub(crate) artifact_bucket: Option<Arc<str>>,
}

impl Control {
    /// A control plane for an account and region.
    pub fn new(ports: Ports, place: Place) -> Self {
        let loader = Loader { table: ports.table.clone(), place, cache: Arc::new(Cache::default()), recent: None };
        Self { ports, loader, beside: None, detection: Arc::default(), artifact_bucket: None }
    }

    /// The same control plane for one call: `beside` goes into the commit of its change.
    pub fn with_beside(&self, beside: Arc<dyn Beside>) -> Self {
        Self { beside: Some(beside), ..self.clone() }
    }

    /// The same control plane for one piece of work, which does not read again what it read or wrote.
    #[must_use]
    pub fn remembering(&self) -> Self {
        let loader = Loader { recent: Some(Arc::default()), ..self.loader.clone() };
        Self { loader, ..self.clone() }
    }

    /// The control plane of another region over the same ports.
    pub fn in_region(&self, region: &str) -> Self {
        let place = Place { region: region.to_owned(), ..self.place().clone() };
        let fresh = Self::new(self.ports.clone(), place);
        Self { loader: fresh.loader, ..self.clone() }
    }

    /// The account and region.
    pub fn place(&self) -> &Place {
        &self.loader.place
    }

    /// The table.
    pub fn table(&self) -> &Arc<dyn Table> {
        &self.ports.table
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// A fresh seed that nobody can guess.
    pub fn event_seed(&self) -> model::Seed {
        self.ports.entropy.seed()
    }

    /// An event that happens now.
    pub fn event(&self, what: What) -> Event {
        Event { at: self.now(), seed: self.ports.entropy.seed(), what }
    }

    /// Loads and decides one round; commits nothing. Simulations interleave between this and the commit.
    pub async fn round(
        &self,
        pipeline: &PipelineRef,
        event: &Event,
        round: u32,
        consumed: Option<&WorkRow>,
        extra: &[Write],
    ) -> Result<Round, ControlError> {
        let mut loaded = Loaded::default();
        self.loader.load(pipeline.id, &mut loaded, &engine::prefetch(&event.what)).await?;
        let committing = Committing { place: self.place(), pipeline, seed: event.seed, at: event.at, round };
        loop {
            match engine::decide(&loaded.slice, event) {
                Err(Missing(reads)) => self.loader.load(pipeline.id, &mut loaded, &reads).await?,
                // A change that goes by what is remembered conflicts if somebody changed that since; that there is
                // nothing to change must not go by it. Which actions are in progress is read each time.
                Ok(Decision::Ignored(reason)) if loaded.recalled && reason != Reason::StillRunning => {
                    self.load_anew(pipeline, &mut loaded, event).await?;
                }
                Ok(Decision::Refused(_)) if loaded.recalled => self.load_anew(pipeline, &mut loaded, event).await?,
                Ok(Decision::Changed(changed)) => {
                    let extra = self.with_record(extra, Some(&changed))?;
                    let prepared = committing.prepare(*changed, &loaded, consumed, extra)?;
                    return Ok(Round::Commit(Box::new(prepared), None));
                }
                Ok(Decision::Ignored(reason)) => {
                    // A deadline delivered early still has to come: its row stays.
                    let row = consumed.filter(|_| reason != Reason::NotDue);
                    // What is so already has not been followed by what goes with it, as the next poll.
                    let extra = if reason == Reason::AlreadySo { self.with_record(extra, None)? } else { Vec::new() };
                    return Ok(match committing.ignored(row, &extra) {
                        Some(prepared) => Round::Commit(Box::new(prepared), Some(reason)),
                        None => Round::Ignored(reason),
                    });
                }
                Ok(Decision::Refused(refusal)) => return Ok(Round::Refused(refusal)),
            }
        }
    }

    /// Loads what a decision needs without remembering any of it.
    async fn load_anew(&self, pipeline: &PipelineRef, loaded: &mut Loaded, event: &Event) -> Result<(), PortError> {
        *loaded = Loaded { afresh: true, ..Loaded::default() };
        self.loader.load(pipeline.id, loaded, &engine::prefetch(&event.what)).await
    }

    /// What is written with a change, and the record of who asked for it.
    fn with_record(&self, extra: &[Write], changed: Option<&Changed>) -> Result<Vec<Write>, PortError> {
        let mut writes = extra.to_vec();
        if let Some(beside) = &self.beside {
            writes.extend(beside.writes(changed)?);
        }
        Ok(writes)
    }

    /// Makes a change that the engine has no part in, and has it survive a crash. One of unknown outcome is repeated byte
    /// for byte.
    pub(crate) async fn change(&self, token: &str, writes: Vec<Write>) -> Result<(), PortError> {
        self.transact(token, &self.with_record(&writes, None)?).await?;
        self.table().flush().await
    }

    /// One transaction; one of unknown outcome is repeated byte for byte.
    pub(crate) async fn repeated(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        let mut repeats = 0;
        loop {
            match self.ports.table.transact(token, writes).await {
                Err(PortError::Unavailable(_) | PortError::Throttled) if repeats < REPEATS => repeats += 1,
                done => return done,
            }
        }
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        self.repeated(token, writes).await?;
        if let Some(beside) = &self.beside {
            beside.made();
        }
        Ok(())
    }

    /// Makes a transaction; one of unknown outcome is repeated byte for byte.
    pub async fn make(&self, prepared: &Prepared) -> Result<(), PortError> {
        if let Err(error) = self.transact(&prepared.token, &prepared.writes).await {
            self.loader.forget();
            return Err(error);
        }
        self.loader.wrote(prepared);
        self.ports.handoff.committed(&prepared.rows, &prepared.publications);
        for key in &prepared.ended {
            let written = prepared.changed.changes.iter().find_map(|change| written_action(change, key));
            self.ports.handoff.end_driver(key, written);
        }
        Ok(())
    }

    /// Decides an event and commits it; after a conflict everything is loaded and decided anew.
    pub async fn apply(
        &self,
        pipeline: &PipelineRef,
        event: &Event,
        consumed: Option<&WorkRow>,
        extra: &[Write],
    ) -> Result<Applied, ControlError> {
        for round in 0..ROUNDS {
            let (prepared, ignored) = match self.round(pipeline, event, round, consumed, extra).await? {
                Round::Commit(prepared, ignored) => (prepared, ignored),
                Round::Ignored(reason) => return Ok(Applied::Ignored(reason)),
                Round::Refused(refusal) => return Err(ControlError::Refused(refusal)),
            };
            match self.make(&prepared).await {
                Ok(()) => {
                    return Ok(match ignored {
                        Some(reason) => Applied::Ignored(reason),
                        None => Applied::Changed(Box::new(prepared.changed)),
                    });
                }
                Err(PortError::Conflict) => {
                    if let Some(row) = consumed
                        && self.ports.table.get(&row.key(self.place())).await?.is_none()
                    {
                        return Ok(Applied::Consumed);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::Busy)
    }

    /// Decides a command and has it survive a crash before anybody is told.
    pub(crate) async fn command(
        &self,
        pipeline: &PipelineRef,
        event: &Event,
        extra: &[Write],
    ) -> Result<Applied, ControlError> {
        let applied = self.apply(pipeline, event, None, extra).await?;
        self.ports.table.flush().await?;
        Ok(applied)
    }

    /// Consumes a row of the engine's.
    pub async fn consume(&self, row: &WorkRow, work: &engine::Work) -> Result<Applied, ControlError> {
        let event = self.event(What::Work(work.clone()));
        self.apply(&row.pipeline, &event, Some(row), &[]).await
    }
}

/// The action execution of this key, if the change writes it.
pub(crate) fn written_action<'a>(change: &'a Change, key: &ActionKey) -> Option<&'a ActionExecution> {
    match change {
        Change::Create(_, Item::Action(action)) | Change::Replace(_, Item::Action(action)) if action.key == *key => {
            Some(action)
        }
        Change::Create(..) | Change::Replace(..) | Change::Delete(_) => None,
    }
}

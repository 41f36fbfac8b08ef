//! The table of a run: the one in memory, whose every operation lets others go first and may go wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use control::keys::Place;
use control::ports::{Key, Page, PortError, Query, Stored, Table, Write};

use super::dice::Dice;
use super::executor::Yield;
use super::mutation::Mutation;
use super::recorder::Recorder;
use super::weather::Weather;
use crate::memory::MemoryTable;

/// How often in a row an operation under one token fails: `control` repeats it more often.
const FAILURES_IN_A_ROW: u32 = 4;

/// The table of a run.
pub(super) struct SimTable {
    /// Where everything lies.
    pub memory: MemoryTable,
    recorder: Arc<Recorder>,
    place: Place,
    mutation: Mutation,
    dice: Dice,
    weather: Mutex<Weather>,
    failures: Mutex<HashMap<String, u32>>,
    first: Mutex<HashMap<Key, Stored>>,
}

impl SimTable {
    /// An empty table.
    pub fn new(recorder: Arc<Recorder>, place: Place, mutation: Mutation, dice: Dice, weather: Weather) -> Self {
        Self {
            memory: MemoryTable::new(),
            recorder,
            place,
            mutation,
            dice,
            weather: Mutex::new(weather),
            failures: Mutex::default(),
            first: Mutex::default(),
        }
    }

    /// From now on this goes wrong.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, share: u64, error: PortError) -> Result<(), PortError> {
        if self.dice.rarely(share) {
            self.recorder.known().disturbances += 1;
            return Err(error);
        }
        Ok(())
    }

    fn before(&self) -> Result<(), PortError> {
        let weather = self.weather();
        self.fault(weather.throttled, PortError::Throttled)?;
        self.fault(weather.unavailable, PortError::Unavailable("the table".into()))
    }

    async fn try_transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        self.before()?;
        self.fault(self.weather().conflict, PortError::Conflict)?;
        let writes = self.mutation.writes(&self.place, writes);
        let commits = self.memory.commits();
        self.memory.transact(token, &writes).await?;
        if self.memory.commits() > commits {
            self.recorder.committed(&writes);
        }
        self.fault(self.weather().unknown, PortError::Unavailable("the table".into()))
    }

    /// Lets a token fail only so often in a row.
    fn may_fail(&self, token: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(token).is_none_or(|count| *count < FAILURES_IN_A_ROW)
    }
}

#[async_trait]
impl Table for SimTable {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError> {
        Yield::default().await;
        self.before()?;
        self.recorder.read(key);
        let found = self.memory.get(key).await?;
        if matches!(self.mutation, Mutation::OldPipelines) && key.sk == "p" {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(found.map(|stored| first.entry(key.clone()).or_insert(stored).clone()));
        }
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        Yield::default().await;
        self.before()?;
        self.memory.query(query).await
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        Yield::default().await;
        if !self.may_fail(token) {
            let calm = self.mutation.writes(&self.place, writes);
            let commits = self.memory.commits();
            self.memory.transact(token, &calm).await?;
            if self.memory.commits() > commits {
                self.recorder.committed(&calm);
            }
            return Ok(());
        }
        let done = self.try_transact(token, writes).await;
        if matches!(done, Err(PortError::Unavailable(_) | PortError::Throttled)) {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry(token.to_owned()).or_default() += 1;
        }
        Yield::default().await;
        done
    }

    async fn flush(&self) -> Result<(), PortError> {
        Yield::default().await;
        self.before()?;
        if !matches!(self.mutation, Mutation::NoFlush) {
            self.memory.flush().await?;
            self.recorder.flushed();
        }
        Ok(())
    }
}

//! What runs at present, and how to end it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ActionKey;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Entries {
    tokens: HashMap<ActionKey, (u64, CancellationToken)>,
    next: u64,
}

/// The actions that run, by key.
#[derive(Default)]
pub(super) struct Running(Mutex<Entries>);

impl Running {
    /// An action runs until what is returned is dropped. What ran under the same key before is ended.
    pub(super) fn enter(&self, key: &ActionKey) -> Entered<'_> {
        let mut entries = self.entries();
        let (number, stop) = (entries.next, CancellationToken::new());
        entries.next += 1;
        if let Some((_, before)) = entries.tokens.insert(key.clone(), (number, stop.clone())) {
            before.cancel();
        }
        Entered { running: self, key: key.clone(), number, stop }
    }

    /// Tells an action to end, if it runs.
    pub(super) fn end(&self, key: &ActionKey) {
        if let Some((_, stop)) = self.entries().tokens.get(key) {
            stop.cancel();
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running action.
pub(super) struct Entered<'a> {
    running: &'a Running,
    key: ActionKey,
    number: u64,
    stop: CancellationToken,
}

impl Entered<'_> {
    /// Cancelled when the action is to end.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut entries = self.running.entries();
        if entries.tokens.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            entries.tokens.remove(&self.key);
        }
    }
}

//! A bus that remembers what was published.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use control::ports::{Bus, PortError, PublicEvent};

/// The most entries of one call, as EventBridge has it.
pub const MAX_ENTRIES: usize = 10;

/// What the next call answers instead of accepting everything.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Answer {
    Refuse(HashSet<usize>),
    Unavailable,
    AcceptThenUnavailable,
}

#[derive(Default, Debug)]
struct State {
    accepted: Vec<PublicEvent>,
    calls: usize,
    answers: std::collections::VecDeque<Answer>,
}

/// A bus that remembers accepted events in order, and refuses what it is told to.
#[derive(Default, Debug)]
pub struct MemoryBus {
    state: Mutex<State>,
}

impl MemoryBus {
    /// A bus that accepts everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every event accepted so far, in order.
    pub fn accepted(&self) -> Vec<PublicEvent> {
        self.lock().accepted.clone()
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// The next call that has no answer yet refuses the entries at these indices.
    pub fn refuse(&self, indices: impl IntoIterator<Item = usize>) {
        self.lock().answers.push_back(Answer::Refuse(indices.into_iter().collect()));
    }

    /// The next call that has no answer yet does nothing and is unavailable.
    pub fn fail(&self) {
        self.lock().answers.push_back(Answer::Unavailable);
    }

    /// The next call that has no answer yet accepts everything, but says that it is unavailable.
    pub fn accept_then_fail(&self) {
        self.lock().answers.push_back(Answer::AcceptThenUnavailable);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, events: &[PublicEvent]) -> Result<Vec<usize>, PortError> {
        if events.len() > MAX_ENTRIES {
            return Err(PortError::Invalid(format!("{} events in one call; at most {MAX_ENTRIES}", events.len())));
        }
        let mut state = self.lock();
        state.calls += 1;
        let mut refused = Vec::new();
        match state.answers.pop_front() {
            None => state.accepted.extend_from_slice(events),
            Some(Answer::Unavailable) => return Err(PortError::Unavailable("the bus".into())),
            Some(Answer::AcceptThenUnavailable) => {
                state.accepted.extend_from_slice(events);
                return Err(PortError::Unavailable("the bus".into()));
            }
            Some(Answer::Refuse(indices)) => {
                for (index, event) in events.iter().enumerate() {
                    if indices.contains(&index) {
                        refused.push(index);
                    } else {
                        state.accepted.push(event.clone());
                    }
                }
            }
        }
        Ok(refused)
    }
}

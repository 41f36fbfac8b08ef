//! Tasks polled in an order that the dice choose, and what they can wait for.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::history::Actor;

/// A task's future.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Something under way in the simulated process.
pub(super) struct Task {
    /// Its number, unique in a run.
    pub id: usize,
    /// Who it is.
    pub actor: Actor,
    /// What is left of it.
    pub work: Work,
    /// When it goes on, in milliseconds since the run began.
    pub wake_at: i64,
}

impl Task {
    /// Takes it one step on; true when it ended.
    pub fn poll(&mut self, time: &Time) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.work.as_mut().poll(&mut context) {
            Poll::Ready(()) => true,
            Poll::Pending => {
                self.wake_at = time.asked.take().unwrap_or(0);
                false
            }
        }
    }
}

/// The time that passes in a run, whatever its clock says.
#[derive(Clone, Default)]
pub(super) struct Time {
    elapsed: Rc<Cell<i64>>,
    asked: Rc<Cell<Option<i64>>>,
}

impl Time {
    /// Milliseconds since the run began.
    pub fn elapsed(&self) -> i64 {
        self.elapsed.get()
    }

    /// Lets time pass until then.
    pub fn pass_until(&self, then: i64) {
        self.elapsed.set(self.elapsed.get().max(then));
    }

    /// Waits for milliseconds to pass.
    pub async fn sleep(&self, millis: i64) {
        let until = self.elapsed().saturating_add(millis);
        while self.elapsed() < until {
            self.asked.set(Some(until));
            Yield::default().await;
        }
    }
}

/// Lets others go first, once.
#[derive(Default)]
pub(super) struct Yield {
    done: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.done, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The output of a future that waits for nothing.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

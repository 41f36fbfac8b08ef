//! Writers against each other, and flushes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use control::ports::{Condition, PortError, Table};
use futures::future::join_all;

use super::{all, key, put, read, walk};

/// Of many writers with the same condition exactly one wins.
pub(super) async fn one_winner(table: &impl Table) {
    for round in 0..5_u64 {
        let condition = if round == 0 { Condition::Absent } else { Condition::Revision(round) };
        let attempts = (0..10).map(|writer| async move {
            pause().await;
            let body = format!("{writer}");
            let writes = [
                put("contended", round + 1, &body, condition),
                put(&format!("trace-{round}-{writer}"), 1, &body, Condition::Absent),
            ];
            match table.transact(&format!("{round}-{writer}"), &writes).await {
                Ok(()) => Some(body),
                Err(PortError::Conflict) => None,
                Err(other) => panic!("a writer that loses gets a conflict, not {other:?}"),
            }
        });
        let won: Vec<String> = join_all(attempts).await.into_iter().flatten().collect();
        // Implementations may refuse every one of several transactions in flight at once; then nothing changed.
        assert!(won.len() <= 1, "{} writers won", won.len());
        let winner = if let Some(winner) = won.first() {
            winner.clone()
        } else {
            let writes = [
                put("contended", round + 1, "late", condition),
                put(&format!("trace-{round}-late"), 1, "late", Condition::Absent),
            ];
            table.transact(&format!("{round}-late"), &writes).await.unwrap();
            "late".into()
        };
        assert_eq!(read(table, "contended").await, Some((round + 1, winner)));
        let traces = walk(table, &all(&format!("trace-{round}-"))).await;
        assert_eq!(traces.len(), 1, "losers leave nothing: {traces:?}");
    }
}

/// Read, add, write on condition, again on conflict: no addition is lost.
pub(super) async fn counters(table: &impl Table) {
    const WRITERS: u64 = 5;
    const ADDITIONS: u64 = 6;
    let writers = (0..WRITERS).map(|writer| async move {
        for addition in 0..ADDITIONS {
            for attempt in 0.. {
                let before = table.get(&key("p", "counter")).await.unwrap();
                pause().await;
                let (revision, condition) = match &before {
                    None => (0, Condition::Absent),
                    Some(stored) => (stored.revision, Condition::Revision(stored.revision)),
                };
                let write = put("counter", revision + 1, "", condition);
                match table.transact(&format!("{writer}-{addition}-{attempt}"), &[write]).await {
                    Ok(()) => break,
                    Err(PortError::Conflict | PortError::Throttled) => pause().await,
                    Err(other) => panic!("a counter's write: {other:?}"),
                }
            }
        }
    });
    join_all(writers).await;
    assert_eq!(read(table, "counter").await, Some((WRITERS * ADDITIONS, String::new())));
}

pub(super) async fn flushes(table: &impl Table) {
    table.flush().await.expect("flushing when nothing was written");
    table.transact("1", &[put("a", 1, "a", Condition::Absent)]).await.unwrap();
    let both = join_all([table.flush(), table.flush(), table.flush()]).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    table.flush().await.unwrap();
    assert_eq!(read(table, "a").await, Some((1, "a".into())));
}

/// Lets the other futures of a `join_all` go on.
async fn pause() {
    struct Pause(bool);
    impl Future for Pause {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Pause(false).await;
}

//! What a crash left unsent: found by the clock, sent again later and later, and parked when nobody consumes it.

use model::Timestamp;

use super::{GRACE_MILLIS, MAX_TRIES, Sender, delete, task_name};
use crate::control::ControlError;
use crate::keys::ROW_SHARDS;
use crate::ports::{Condition, Key, PortError, Query, Write};
use crate::rows::{PublicationRow, WorkRow};
use crate::stored::{decode, encode};

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows and publications sent again.
    pub sent: usize,
    /// Rows given up on.
    pub parked: usize,
    /// Rows that could not be read or sent.
    pub failed: usize,
    /// How long the oldest has been left, in milliseconds: a publication, or a row that was sent again already.
    pub oldest_millis: u64,
}

impl Swept {
    fn saw(&mut self, due: Timestamp, now: Timestamp) {
        self.oldest_millis = self.oldest_millis.max(now.millis_since(due));
    }

    /// A row that was sent again already, whether or not its next turn has come. Each time it was due so much later:
    /// that is when it was first, but for the minutes in which it waited for a sweep.
    fn saw_row(&mut self, row: &WorkRow, now: Timestamp) {
        if row.tries > 0 {
            let waited: i64 = (0..row.tries).map(wait_millis).sum();
            self.saw(row.due.plus_millis(-waited), now);
        }
    }
}

/// How long a row waits to be sent again that was sent so often.
fn wait_millis(tries: u32) -> i64 {
    30_000 << tries.min(7)
}

/// What was put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Rows put back.
    pub rows: usize,
    /// Whether some are left, for another time.
    pub more: bool,
}

/// For how long rows are put back, in milliseconds: the function that does it has five minutes.
const REDRIVE_MILLIS: u64 = 120_000;

impl Sender {
    /// Sends every row that is overdue, later and later, and parks those that nobody consumes.
    pub async fn sweep(&self) -> Result<Swept, ControlError> {
        let now = self.control.now();
        let mut swept = Swept::default();
        for shard in 0..ROW_SHARDS {
            let place = self.control.place().clone();
            let left = now.plus_millis(-GRACE_MILLIS);
            for (key, body) in self.rows(&place.work(shard)).await? {
                if !is_due_before(&key, left) {
                    // One that cannot be read has its turn.
                    let _ = decode(&body, &key.sk).map(|row: WorkRow| swept.saw_row(&row, now));
                    continue;
                }
                // One row that cannot be read or sent must not keep the others.
                if let Err(error) = self.sweep_row(&key, &body, now, &mut swept).await {
                    tracing::error!(%error, row = key.sk, "a work row could not be sent again");
                    swept.failed += 1;
                }
            }
            let publications = self.rows(&place.publications(shard)).await?;
            for (key, body) in publications.into_iter().take_while(|(key, _)| is_due_before(key, left)) {
                if let Err(error) = self.sweep_publication(&key, &body, now, &mut swept).await {
                    tracing::error!(%error, row = key.sk, "a publication could not be sent again");
                    swept.failed += 1;
                }
            }
        }
        Ok(swept)
    }

    async fn sweep_publication(
        &self,
        key: &Key,
        body: &[u8],
        now: Timestamp,
        swept: &mut Swept,
    ) -> Result<(), ControlError> {
        let row: PublicationRow = decode(body, &key.sk)?;
        swept.saw(row.at, now);
        self.send(&[], &[row]).await?;
        swept.sent += 1;
        Ok(())
    }

    /// The first rows of a partition, by when they are due.
    async fn rows(&self, pk: &str) -> Result<Vec<(Key, bytes::Bytes)>, ControlError> {
        let query = Query { pk: pk.to_owned(), prefix: String::new(), after: None, limit: 100, backward: false };
        let page = self.control.table().query(&query).await?;
        Ok(page.items.into_iter().map(|(key, stored)| (key, stored.body)).collect())
    }

    async fn sweep_row(&self, key: &Key, body: &[u8], now: Timestamp, swept: &mut Swept) -> Result<(), ControlError> {
        let row: WorkRow = decode(body, &key.sk)?;
        swept.saw_row(&row, now);
        let place = self.control.place();
        let parked = row.tries >= MAX_TRIES;
        let next = WorkRow { due: now.plus_millis(wait_millis(row.tries)), tries: row.tries + 1, ..row };
        let moved = if parked { Key { pk: place.parked(), sk: key.sk.clone() } } else { next.key(place) };
        let writes = [
            Write::Delete { key: key.clone(), condition: Condition::Present },
            Write::Put { key: moved, revision: 1, body: encode(&next)?, condition: Condition::Always },
        ];
        match self.transact(&writes).await {
            Ok(()) if parked => {
                tracing::error!(row = %next.id, task = task_name(&next.task), "a work row was parked: nobody consumed it");
                swept.parked += 1;
                Ok(())
            }
            Ok(()) => {
                swept.sent += 1;
                self.send(&[next], &[]).await
            }
            // Consumed meanwhile.
            Err(ControlError::Port(PortError::Conflict)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts parked rows back, due now: after what kept them from being consumed was mended. All of them, unless there are
    /// more than there is time for.
    pub async fn redrive(&self) -> Result<Redriven, ControlError> {
        let pk = self.control.place().parked();
        let mut redriven = Redriven { rows: 0, more: true };
        let (began, mut after) = (self.control.now(), None);
        while redriven.more && self.control.now().millis_since(began) < REDRIVE_MILLIS {
            let query = Query { pk: pk.clone(), prefix: String::new(), after, limit: 100, backward: false };
            let page = self.control.table().query(&query).await?;
            after = page.items.last().map(|(key, _)| key.sk.clone());
            redriven.more = page.more;
            let mut rows = Vec::new();
            for (key, stored) in page.items {
                match decode::<WorkRow>(&stored.body, &key.sk) {
                    Ok(row) => rows.push(self.put_back(key, row).await?),
                    Err(error) => tracing::error!(%error, row = key.sk, "a parked row cannot be read; it stays"),
                }
            }
            redriven.rows += rows.len();
            self.send(&rows, &[]).await?;
        }
        Ok(redriven)
    }

    async fn put_back(&self, key: Key, row: WorkRow) -> Result<WorkRow, ControlError> {
        let row = WorkRow { due: self.control.now(), tries: 0, ..row };
        self.transact(&[delete(key), self.control.put_row(&row)?]).await?;
        Ok(row)
    }
}

fn is_due_before(key: &Key, time: Timestamp) -> bool {
    key.sk < format!("{:016x}", time.0.max(0))
}

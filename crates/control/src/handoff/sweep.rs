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
    /// How long the oldest was overdue, in milliseconds.
    pub oldest_millis: u64,
}

impl Swept {
    fn saw(&mut self, due: Timestamp, now: Timestamp) {
        self.oldest_millis = self.oldest_millis.max(now.millis_since(due));
    }
}

impl Sender {
    /// Sends every row that is overdue, later and later, and parks those that nobody consumes.
    pub async fn sweep(&self) -> Result<Swept, ControlError> {
        let now = self.control.now();
        let mut swept = Swept::default();
        for shard in 0..ROW_SHARDS {
            let place = self.control.place().clone();
            let left = now.plus_millis(-GRACE_MILLIS);
            for (key, body) in self.overdue(&place.work(shard), left).await? {
                // One row that cannot be read or sent must not keep the others.
                if let Err(error) = self.sweep_row(&key, &body, now, &mut swept).await {
                    tracing::error!(%error, row = key.sk, "a work row could not be sent again");
                    swept.failed += 1;
                }
            }
            for (key, body) in self.overdue(&place.publications(shard), left).await? {
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

    /// Rows of a partition that were due before `now`.
    async fn overdue(&self, pk: &str, now: Timestamp) -> Result<Vec<(Key, bytes::Bytes)>, ControlError> {
        let before = format!("{:016x}", now.0.max(0));
        let query = Query { pk: pk.to_owned(), prefix: String::new(), after: None, limit: 100, backward: false };
        let page = self.control.table().query(&query).await?;
        let due = page.items.into_iter().take_while(|(key, _)| key.sk < before);
        Ok(due.map(|(key, stored)| (key, stored.body)).collect())
    }

    async fn sweep_row(&self, key: &Key, body: &[u8], now: Timestamp, swept: &mut Swept) -> Result<(), ControlError> {
        let row: WorkRow = decode(body, &key.sk)?;
        swept.saw(row.due, now);
        let place = self.control.place();
        let parked = row.tries >= MAX_TRIES;
        let wait = 30_000_i64.saturating_mul(1 << row.tries.min(7));
        let next = WorkRow { due: now.plus_millis(wait), tries: row.tries + 1, ..row };
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

    /// Puts parked rows back, due now: after what kept them from being consumed was mended.
    pub async fn redrive(&self) -> Result<usize, ControlError> {
        let place = self.control.place();
        let query = Query { pk: place.parked(), prefix: String::new(), after: None, limit: 100, backward: false };
        let page = self.control.table().query(&query).await?;
        let count = page.items.len();
        for (key, stored) in page.items {
            let row: WorkRow = decode(&stored.body, &key.sk)?;
            let row = WorkRow { due: self.control.now(), tries: 0, ..row };
            let writes = [delete(key), self.control.put_row(&row)?];
            self.transact(&writes).await?;
            self.send(&[row], &[]).await?;
        }
        Ok(count)
    }
}

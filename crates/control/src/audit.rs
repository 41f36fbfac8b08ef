//! Records of who called what: written with the change that they tell of, published on the bus, listable for a time.
//!
//! Records lie in a partition a day, so that a listing reads few and a day is removed as a whole.

use model::{PipelineId, PipelineName, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::control::{Control, ControlError};
use crate::keys::Place;
use crate::ports::{Condition, Key, PortError, Query, Write};
use crate::rows::{PipelineRef, PublicationRow};
use crate::stored::{decode, encode};

/// How long records are kept, in days.
pub const RETENTION_DAYS: u32 = 90;
/// For how many days beyond them it is looked whether there is something to remove.
const LOOK_BACK_DAYS: u32 = 30;
/// The most records that one page of a listing looks at.
const MAX_LOOKED_AT: usize = 1000;
/// How many records one commit removes.
const PAGE: usize = 90;
const DAY_MINUTES: u32 = 24 * 60;

/// A record of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id (`eventID`).
    pub id: Uuid,
    /// When the call came.
    pub at: Timestamp,
    /// What CloudTrail would write of it.
    pub content: Value,
}

/// Where a listing goes on: behind this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Milliseconds since 1970 of the day's begin.
    day: Timestamp,
    after: Option<String>,
}

fn partition(place: &Place, day: Timestamp) -> String {
    let date: String = day.to_iso_seconds().chars().take(10).collect();
    format!("{}/{}/audit/{date}", place.account, place.region)
}

fn day_of(at: Timestamp) -> Timestamp {
    let day = i64::from(DAY_MINUTES) * 60_000;
    Timestamp(at.0.div_euclid(day) * day)
}

fn days_before(day: Timestamp, days: u32) -> Timestamp {
    Timestamp(day.0 - i64::from(days) * i64::from(DAY_MINUTES) * 60_000)
}

/// When a record's day is removed; none where the key is no record's.
pub(crate) fn kept_until(key: &Key) -> Option<Timestamp> {
    let at = i64::from_str_radix(key.sk.split_once('#')?.0, 16).ok()?;
    let days = i64::from(RETENTION_DAYS) + 1;
    Some(day_of(Timestamp(at)).plus_millis(days * i64::from(DAY_MINUTES) * 60_000))
}

impl Control {
    /// What is written of a call: its record, and the row that has it published.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn record_writes(&self, record: &Record) -> Result<Vec<Write>, PortError> {
        let sk = format!("{:016x}#{}", record.at.0.max(0), record.id);
        let key = Key { pk: partition(self.place(), day_of(record.at)), sk };
        let row = PublicationRow {
            id: record.id,
            region: self.place().region.clone(),
            pipeline: PipelineRef { id: PipelineId(Uuid::nil()), name: PipelineName::from("") },
            at: record.at,
            entries: Vec::new(),
            record: Some(Box::new(record.content.clone())),
        };
        let put = |key, body| Write::Put { key, revision: 1, body, condition: Condition::Always };
        Ok(vec![put(key, encode(&record.content)?), put(row.key(self.place()), encode(&row)?)])
    }

    /// Writes records that belong to no change, and has them survive a crash.
    ///
    /// # Errors
    /// A port failed.
    pub async fn put_records(&self, records: &[Record]) -> Result<(), ControlError> {
        for some in records.chunks(crate::ports::MAX_WRITES / 2) {
            let mut writes = Vec::with_capacity(2 * some.len());
            for record in some {
                writes.extend(self.record_writes(record)?);
            }
            let token = format!("audit-{}", self.event_seed().0.simple());
            self.table().transact(&token, &writes).await?;
        }
        Ok(self.table().flush().await?)
    }

    /// Records between two times, newest first, that `wanted` takes; and where to go on.
    ///
    /// # Errors
    /// A port failed.
    pub async fn list_records(
        &self,
        (from, until): (Timestamp, Timestamp),
        cursor: Option<Cursor>,
        limit: usize,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<(Vec<Value>, Option<Cursor>), ControlError> {
        let from = from.max(days_before(day_of(self.now()), RETENTION_DAYS));
        let until = until.min(self.now());
        // What comes behind every record of this moment.
        let end = format!("{:016x}$", until.0.max(0));
        let mut at = cursor.unwrap_or(Cursor { day: day_of(until), after: Some(end) });
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while at.day >= day_of(from) {
            let pk = partition(self.place(), at.day);
            let query = Query { pk, prefix: String::new(), after: at.after.clone(), limit: PAGE, backward: true };
            let page = self.table().query(&query).await?;
            for (key, stored) in page.items {
                if key.sk < format!("{:016x}", from.0.max(0)) {
                    return Ok((found, None));
                }
                let content: Value = decode(&stored.body, &key.sk)?;
                at.after = Some(key.sk);
                looked_at += 1;
                if wanted(&content) {
                    found.push(content);
                }
                if found.len() == limit || looked_at == MAX_LOOKED_AT {
                    return Ok((found, Some(at)));
                }
            }
            if !page.more {
                at = Cursor { day: days_before(at.day, 1), after: None };
            }
        }
        Ok((found, None))
    }

    /// Removes records older than [`RETENTION_DAYS`]: to be called once a day.
    ///
    /// # Errors
    /// A port failed.
    pub async fn expire_records(&self) -> Result<usize, ControlError> {
        let today = day_of(self.now());
        let mut removed = 0;
        for days in RETENTION_DAYS + 1..=RETENTION_DAYS + LOOK_BACK_DAYS {
            let pk = partition(self.place(), days_before(today, days));
            loop {
                let query = Query { pk: pk.clone(), prefix: String::new(), after: None, limit: PAGE, backward: false };
                let page = self.table().query(&query).await?;
                if page.items.is_empty() {
                    break;
                }
                removed += page.items.len();
                let delete = |(key, _)| Write::Delete { key, condition: Condition::Always };
                let writes: Vec<_> = page.items.into_iter().map(delete).collect();
                let token = format!("audit-{}", self.event_seed().0.simple());
                self.table().transact(&token, &writes).await?;
            }
        }
        Ok(removed)
    }
}

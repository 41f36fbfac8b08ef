//! What the table's observer sees of rows, in commit order.

use control::keys::{Place, RowKind};
use control::ports::{Key, Write};
use control::rows::PublicationRow;
use control::stored::decode;
use model::Timestamp;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

/// A work row's place in time; what it says is read from the table when it is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RowAt {
    /// When.
    pub due: Timestamp,
    /// Which.
    pub id: Uuid,
}

impl RowAt {
    /// The row's place as its key tells it.
    pub fn of(key: &Key) -> Option<Self> {
        let (due, id) = key.sk.split_once('#')?;
        Some(Self { due: Timestamp(i64::from_str_radix(due, 16).ok()?), id: id.parse().ok()? })
    }
}

/// News of a work row.
#[derive(Clone, Copy, Debug)]
pub enum RowNews {
    /// It was written.
    Written(RowAt),
    /// It was consumed or cancelled.
    Gone(RowAt),
}

/// The observer's end.
#[derive(Clone)]
pub struct Sender {
    place: Place,
    rows: UnboundedSender<RowNews>,
    publications: UnboundedSender<PublicationRow>,
}

/// The host's end.
pub struct Inbox {
    rows: UnboundedReceiver<RowNews>,
    publications: UnboundedReceiver<PublicationRow>,
}

/// Both ends.
pub fn channel(place: Place) -> (Sender, Inbox) {
    let (rows, rows_out) = unbounded_channel();
    let (publications, publications_out) = unbounded_channel();
    (Sender { place, rows, publications }, Inbox { rows: rows_out, publications: publications_out })
}

impl Inbox {
    /// Publications and work rows, each in commit order.
    pub fn split(self) -> (UnboundedReceiver<PublicationRow>, UnboundedReceiver<RowNews>) {
        (self.publications, self.rows)
    }
}

impl Sender {
    /// What the table calls for each transaction, in commit order.
    pub fn observer(&self) -> crate::table::Observer {
        let sender = self.clone();
        Box::new(move |writes| writes.iter().for_each(|write| sender.see(write)))
    }

    fn see(&self, write: &Write) {
        let kind = self.place.row_kind(&write.key().pk);
        // The host is closing when nobody receives: the rows stay in the table.
        match (kind, write) {
            (Some(RowKind::Work), Write::Put { key, .. }) => {
                if let Some(at) = RowAt::of(key) {
                    let _ = self.rows.send(RowNews::Written(at));
                }
            }
            (Some(RowKind::Work), Write::Delete { key, .. }) => {
                if let Some(at) = RowAt::of(key) {
                    let _ = self.rows.send(RowNews::Gone(at));
                }
            }
            (Some(RowKind::Publication), Write::Put { body, .. }) => match decode(body, "a publication row") {
                Ok(row) => {
                    let _ = self.publications.send(row);
                }
                Err(error) => tracing::error!(%error, "a publication row just written cannot be read"),
            },
            (Some(RowKind::Work | RowKind::Publication), _) | (None, _) => {}
        }
    }
}

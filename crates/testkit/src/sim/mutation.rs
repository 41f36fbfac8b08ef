//! Faults seeded into a run on purpose, to show that the checkers see them.

use control::keys::{Place, RowKind, parse_item_sk};
use control::ports::{Condition, Write};
use control::rows::{PublicationRow, Task, WorkRow};
use control::stored::{decode, decode_item, encode_item};
use engine::{Item, ItemKey};

/// One seeded fault.
#[derive(Clone, Copy, Debug)]
pub enum Mutation {
    /// None: the code as it is.
    None,
    /// Writes of these items lose their condition.
    Unconditional(fn(&ItemKey) -> bool),
    /// A commit does not check what it depends on.
    Unchecked,
    /// Consuming a row does not need it to be there.
    RowsConsumedTwice,
    /// Work rows of this kind are never written.
    LostRow(fn(&Task) -> bool),
    /// Work rows are never removed.
    KeptRows,
    /// Publications are never written.
    LostPublications,
    /// The entries of publications are written in reverse.
    ReversedPublications,
    /// Items are changed on their way into the table.
    Altered(fn(&ItemKey, &mut Item)),
    /// A client request token is not remembered.
    LostTokens,
    /// Every read of a pipeline gives it as it was at its creation.
    OldPipelines,
    /// A flush returns without having done anything.
    NoFlush,
    /// A report of an attempt that is over counts for the newest one.
    StaleAttempts,
    /// A claim that was not granted is driven all the same.
    UngrantedClaims,
    /// State changes are published and not remembered as published.
    PublishedTwice,
    /// State changes are removed without being published.
    PublishedNever,
    /// An approval's result is put although the token is wrong.
    AnyToken,
}

impl Mutation {
    /// The transaction as it is made instead.
    pub(super) fn writes(self, place: &Place, writes: &[Write]) -> Vec<Write> {
        writes.iter().filter_map(|write| self.write(place, write.clone())).collect()
    }

    fn write(self, place: &Place, write: Write) -> Option<Write> {
        let kind = place.row_kind(&write.key().pk);
        match (self, write) {
            (Self::Unchecked, Write::Check { .. }) => None,
            (Self::RowsConsumedTwice, Write::Delete { key, .. }) if kind == Some(RowKind::Work) => {
                Some(Write::Delete { key, condition: Condition::Always })
            }
            (Self::KeptRows, Write::Delete { key, condition }) if kind == Some(RowKind::Work) => {
                Some(Write::Check { key, condition })
            }
            (Self::LostRow(which), Write::Put { key, body, .. })
                if kind == Some(RowKind::Work)
                    && decode::<WorkRow>(&body, &key.sk).is_ok_and(|row| which(&row.task)) =>
            {
                None
            }
            (Self::LostTokens, write) if write.key().sk.starts_with("k#") => None,
            (Self::LostPublications, Write::Put { .. }) if kind == Some(RowKind::Publication) => None,
            (Self::ReversedPublications, Write::Put { key, revision, body, condition })
                if kind == Some(RowKind::Publication) =>
            {
                Some(Write::Put { key, revision, body: reversed(&body), condition })
            }
            (Self::Unconditional(which), Write::Put { key, revision, body, .. })
                if kind.is_none() && parse_item_sk(&key.sk).is_some_and(|key| which(&key)) =>
            {
                Some(Write::Put { key, revision, body, condition: Condition::Always })
            }
            (Self::Altered(alter), Write::Put { key, revision, body, condition }) if kind.is_none() => {
                let body = altered(&key.sk, &body, alter).unwrap_or(body);
                Some(Write::Put { key, revision, body, condition })
            }
            (_, write) => Some(write),
        }
    }
}

fn reversed(body: &bytes::Bytes) -> bytes::Bytes {
    let turned = decode::<PublicationRow>(body, "a publication").and_then(|mut row| {
        row.entries.reverse();
        control::stored::encode(&row)
    });
    turned.unwrap_or_else(|_| body.clone())
}

fn altered(sk: &str, body: &[u8], alter: fn(&ItemKey, &mut Item)) -> Option<bytes::Bytes> {
    let key = parse_item_sk(sk)?;
    let mut item = decode_item(&key, body).ok()?;
    alter(&key, &mut item);
    encode_item(&item).ok()
}

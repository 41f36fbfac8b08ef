//! Reading items by their keys: one lock and at most one view of redb's file, however many.

use control::limits::check_key;
use control::ports::{Key, PortError, Stored};

use super::overlay::{Entry, encode};
use super::{RedbTable, closed};

impl RedbTable {
    /// Items as they are at one moment: in memory, else in redb's file by one view of it.
    pub(super) fn look_up(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, PortError> {
        keys.iter().try_for_each(check_key)?;
        let encoded: Vec<Vec<u8>> = keys.iter().map(|key| encode(&key.pk, &key.sk)).collect();
        let (recent, reader) = {
            let state = self.shared.lock();
            if state.closing {
                return Err(closed());
            }
            let recent: Vec<_> =
                encoded.iter().map(|key| state.look(key).map(|entry| entry.map(Entry::stored))).collect();
            let reader = recent.iter().any(Option::is_none).then(|| state.reader()).transpose()?;
            (recent, reader)
        };
        let stored = |(known, key): (Option<Option<Stored>>, &Vec<u8>)| match (known, &reader) {
            (Some(known), _) => Ok(known),
            (None, Some(reader)) => Ok(self.watched(reader.get(key))?.as_ref().map(Entry::stored)),
            (None, None) => Ok(None),
        };
        recent.into_iter().zip(&encoded).map(stored).collect()
    }
}

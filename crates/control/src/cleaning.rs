//! Removes what a deleted pipeline left, page by page, once none of its executions is live.

use engine::ItemKey;

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Condition, Query, Write};
use crate::rows::{Task, WorkRow};
use crate::stored::encode;

/// How many items one commit removes.
const PAGE: usize = 90;

impl Control {
    /// Removes one page of a deleted pipeline's items; another row goes on with the next page, or looks again later while
    /// executions are still ending. The pipeline's own item goes last.
    pub async fn clean(&self, row: &WorkRow) -> Result<(), ControlError> {
        let id = row.pipeline.id;
        let mut loaded = Loaded::default();
        self.loader.load(id, &mut loaded, &[engine::Read::Item(ItemKey::Admission)]).await?;
        let live = loaded.slice.admission().ok().flatten().is_some_and(|admission| !admission.live.is_empty());
        if live {
            return self.replace_row(row, 60_000, Vec::new()).await;
        }
        let pk = self.place().pipeline(id);
        let query = Query { pk, prefix: String::new(), after: None, limit: PAGE, backward: true };
        let page = self.table().query(&query).await?;
        let own = keys::item_sk(&ItemKey::Pipeline);
        let doomed = page.items.into_iter().filter(|(key, _)| key.sk != own || !page.more);
        let deletes: Vec<_> = doomed.map(|(key, _)| Write::Delete { key, condition: Condition::Always }).collect();
        if page.more {
            return self.replace_row(row, 0, deletes).await;
        }
        let mut writes = deletes;
        writes.push(Write::Delete { key: row.key(self.place()), condition: Condition::Always });
        Ok(self.table().transact(&format!("clean-{}", row.id), &writes).await?)
    }

    /// The row again, later.
    async fn replace_row(&self, row: &WorkRow, after_millis: i64, mut writes: Vec<Write>) -> Result<(), ControlError> {
        let seed = self.ports.entropy.seed();
        let again = WorkRow {
            id: seed.id("clean"),
            region: self.place().region.clone(),
            pipeline: row.pipeline.clone(),
            due: self.now().plus_millis(after_millis),
            task: Task::Clean,
        };
        writes.push(Write::Delete { key: row.key(self.place()), condition: Condition::Always });
        writes.push(Write::Put {
            key: again.key(self.place()),
            revision: 1,
            body: encode(&again)?,
            condition: Condition::Always,
        });
        Ok(self.table().transact(&format!("clean-{}", again.id), &writes).await?)
    }
}

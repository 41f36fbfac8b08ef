//! Removes what a deleted pipeline left, page by page, once none of its executions is live.

use engine::ItemKey;

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Condition, PortError, Query, Write};
use crate::rows::{Task, WorkRow};

/// How many items one commit removes.
const PAGE: usize = 90;
/// How long a look is put off while executions are still ending, in milliseconds.
const LATER: i64 = 60_000;

impl Control {
    /// Removes one page of a deleted pipeline's items; another row goes on with the next page, or looks again later while
    /// executions are still ending. The pipeline's own item goes last.
    pub async fn clean(&self, row: &WorkRow) -> Result<(), ControlError> {
        let id = row.pipeline.id;
        let mut loaded = Loaded::default();
        self.loader.load(id, &mut loaded, &[engine::Read::Item(ItemKey::Admission)]).await?;
        let live = loaded.slice.admission().ok().flatten().is_some_and(|admission| !admission.live.is_empty());
        if live {
            return self.consume_and_clean(row, Vec::new(), Some(LATER)).await;
        }
        let pk = self.place().pipeline(id);
        let query = Query { pk, prefix: String::new(), after: None, limit: PAGE, backward: true };
        let page = self.table().query(&query).await?;
        let own = keys::item_sk(&ItemKey::Pipeline);
        let gone = self.artifacts_gone(self.ports.entropy.seed(), &page.items)?;
        let doomed = page.items.into_iter().filter(|(key, _)| key.sk != own || !page.more);
        let deletes = doomed.map(|(key, _)| Write::Delete { key, condition: Condition::Always });
        self.consume_and_clean(row, deletes.chain(gone).collect(), page.more.then_some(0)).await
    }

    /// Consumes a row, once, with what it removes; another row goes on after milliseconds.
    async fn consume_and_clean(
        &self,
        row: &WorkRow,
        mut writes: Vec<Write>,
        again_after: Option<i64>,
    ) -> Result<(), ControlError> {
        let seed = self.ports.entropy.seed();
        let own = row.key(self.place());
        writes.push(Write::Delete { key: own.clone(), condition: Condition::Present });
        if let Some(millis) = again_after {
            let due = self.now().plus_millis(millis);
            let (id, region) = (seed.id("clean"), self.place().region.clone());
            let again = WorkRow { id, region, pipeline: row.pipeline.clone(), due, task: Task::Clean, tries: 0 };
            writes.push(self.put_row(&again)?);
        }
        match self.table().transact(&format!("clean-{}", seed.0.simple()), &writes).await {
            Err(PortError::Conflict) if self.table().get(&own).await?.is_none() => Ok(()),
            done => Ok(done?),
        }
    }
}

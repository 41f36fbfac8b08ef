//! Deliveries are forgotten after a month: one that comes again after that still starts nothing twice, by its start's token.

use super::StoredDelivery;
use crate::control::{Control, ControlError};
use crate::ports::{Condition, Query, Write};
use crate::stored::decode;

/// How long deliveries are kept, in days.
pub const KEPT_DAYS: i64 = 30;
/// How many are looked at, and forgotten, at a time.
const PAGE: usize = 90;

impl Control {
    /// Forgets old deliveries of all hooks; how many. To be done now and then, once a day as a rule.
    ///
    /// # Errors
    /// A port failed: the rest is forgotten the next time.
    pub async fn forget_deliveries(&self) -> Result<usize, ControlError> {
        let mut hooks: Vec<String> = self.list_connections().await?.into_iter().map(|found| found.hook).collect();
        let mut after = None;
        loop {
            let (webhooks, more) = self.list_webhooks(after, PAGE).await?;
            after = webhooks.last().map(|(webhook, _)| webhook.name.clone());
            hooks.extend(webhooks.into_iter().map(|(webhook, _)| webhook.hook));
            if !more {
                break;
            }
        }
        let mut forgotten = 0;
        for hook in hooks {
            forgotten += self.forget_deliveries_of(&hook).await?;
        }
        Ok(forgotten)
    }

    async fn forget_deliveries_of(&self, hook: &str) -> Result<usize, ControlError> {
        let pk = self.place().delivery(hook, "").pk;
        let limit = self.now().plus_millis(-KEPT_DAYS * 24 * 3_600_000);
        let (mut forgotten, mut after) = (0, None);
        loop {
            let query = Query { pk: pk.clone(), prefix: String::new(), after, limit: PAGE, backward: false };
            let page = self.table().query(&query).await?;
            after = page.items.last().map(|(key, _)| key.sk.clone());
            let mut old = Vec::new();
            for (key, stored) in page.items {
                let delivery: StoredDelivery = decode(&stored.body, "a webhook delivery")?;
                if delivery.received_at < limit {
                    old.push(Write::Delete { key, condition: Condition::Always });
                }
            }
            if !old.is_empty() {
                self.write(&old).await?;
            }
            forgotten += old.len();
            if !page.more {
                return Ok(forgotten);
            }
        }
    }
}

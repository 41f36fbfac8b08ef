//! The table on DynamoDB.
//!
//! One table, on demand: partition key `pk` and sort key `sk` (strings), beside them `rev` (number, how often the item
//! was written) and `body` (binary: a format version, then JSON); what may go by itself has `ttl` (seconds since 1970).
//! No index, no scan, no filter: every access names its key, or a partition and a prefix. Reads are strongly
//! consistent. Every change is one `TransactWriteItems`, also of a single item: only that takes a token, so that a
//! request whose answer was lost is repeated byte for byte and does nothing more. Only what does nothing but remove
//! items without a condition goes without (rows that were sent: at half the price). Sizes are counted as
//! `control::ports` says, with room for what DynamoDB adds.
//!
//! `A` is the account, `R` the region, `P` a pipeline's id (new with each creation), `X` an execution's id.
//!
//! | access | request | `pk` | `sk` |
//! |---|---|---|---|
//! | a pipeline by name; list pipelines | get; query | `A/R/names` | name; all |
//! | current version, tombstone | get | `A/R/p/P` | `p` |
//! | next ordinal, live executions | get | `A/R/p/P` | `a` |
//! | a version's header, stage, declaration (immutable) | get | `A/R/p/P` | `h#VERSION`, `s#VERSION#STAGE`, `d#VERSION`, `e#VERSION#STAGE` |
//! | newest source order of an action and ref | get | `A/R/p/P` | `f#ACTION#REF` |
//! | a stage's lane, holds, waiters | get | `A/R/p/P` | `l#STAGE` |
//! | an execution | get | `A/R/p/P` | `x#X` |
//! | executions, newest first | query, backward | `A/R/p/P` | `n#ORDINAL` |
//! | a stage execution; all of an execution | get; query | `A/R/p/P` | `x#X#t#STAGE`; prefix `x#X#t#` |
//! | an action execution | get | `A/R/p/P` | `x#X#c#STAGE#SLOT#ACTION#ATTEMPT` |
//! | a run order, to judge it; all of an execution | query | `A/R/p/P` | prefix `x#X#c#STAGE#SLOT#`; `x#X#c#` |
//! | an action's output variables; resolved configuration | get | `A/R/p/P` | `x#X#v#…`; `x#X#g#…`, else as the action |
//! | last success of a stage, for a rollback | query, backward | `A/R/p/P` | prefix `u#STAGE#`, before an ordinal |
//! | a start's client token; an approval's token | get | `A/R/p/P` | `k#TOKEN`; `y#TOKEN` |
//! | a job; a pipeline's tags | get | `A/R/p/P` | `j#JOB`; `tags` |
//! | an action by its id at a provider, or its job's | get | `A/R/e/ID` | `e` |
//! | rows that are due, oldest first; the row that a hand-off names | query; get | `A/w/00` … `A/w/15` | `DUE#ID` |
//! | publications left behind; the row that the stream names | query; get | `A/o/00` … `A/o/15` | `AT#ID` |
//! | how far executions were gone through for artifacts that nobody needs | get | `A/R/p/P` | `z` |
//! | how far the day's round came; artifacts of deleted pipelines | get; query | `A/R/expiry` | `at`; prefix `gone#` |
//! | rows that nobody consumed | query | `A/parked` | `DUE#ID` |
//! | source actions of a resource that changed | query | `A/R/s/RESOURCE` | `P#ACTION` |
//! | rules of source resources | query; get | `A/R/rules` | name |
//! | source actions that are polled; those of a pipeline | query | `A/R/polled` | `P#ACTION`; prefix `P#` |
//! | webhooks; when one started something | query; get | `A/R/webhooks`; `A/R/webhook-times` | name |
//! | what a webhook's URL names | get | `A/hook/HOOK` | `hook` |
//! | whether a delivery came before | get | `A/R/deliveries/HOOK` | delivery |
//! | connections; one by a mapped ARN | query; get | `A/R/connections`; `A/R/connection-arns` | id; ARN |
//! | open jobs of an action type, oldest first; by a queryable key | query | `A/R/j/CATEGORY/OWNER/PROVIDER/VERSION` | prefix `a#`; `q#KEY#VALUE#` |
//! | custom action types; tags of a webhook | query; get | `A/R/types`; `A/R/tags` | type; `webhook#NAME` |
//! | the audit log of a day, newest first | query, backward | `A/R/audit/DATE` | time and id |

mod batch;
mod item;
mod transaction;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use control::limits::{MAX_PAGE_BYTES, check_key, check_query, check_transaction};
use control::ports::{Condition, Key, Page, PortError, Query, Stored, Table, Write};

use crate::failure::port_error;
use item::{Item, key_of, text};

/// One table of DynamoDB: partition key `pk` and sort key `sk`, both strings; no index, no scan.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    name: String,
}

impl DynamoTable {
    /// The table of this name (or ARN).
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, name: table.into() }
    }

    fn what(&self) -> String {
        format!("the table {}", self.name)
    }

    /// One page of DynamoDB: its items, and whether it may have more behind them.
    async fn page(
        &self,
        query: &Query,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(Key, Stored)>, bool), PortError> {
        let mut request = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .scan_index_forward(!query.backward)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .expression_attribute_values(":pk", text(&query.pk));
        request = if query.prefix.is_empty() {
            request.key_condition_expression("pk = :pk")
        } else {
            request
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(&query.prefix))
        };
        if let Some(sk) = after {
            request = request.exclusive_start_key("pk", text(&query.pk)).exclusive_start_key("sk", text(sk));
        }
        let answer = request.send().await.map_err(|error| port_error(&self.what(), &error))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default().into_iter().map(item::decode).collect::<Result<_, _>>()?;
        Ok((items, more))
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError> {
        check_key(key)?;
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key_of(key))).consistent_read(true);
        let answer = request.send().await.map_err(|error| port_error(&self.what(), &error))?;
        answer.item.map(|item: Item| Ok(item::decode(item)?.1)).transpose()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, PortError> {
        keys.iter().try_for_each(check_key)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = batch::read(&self.client, &self.name, keys).await?;
        Ok(keys.iter().map(|key| found.remove(key)).collect())
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        check_query(query)?;
        let Some(start) = start(query) else { return Ok(Page::default()) };
        let mut after = start.map(str::to_owned);
        let mut items: Vec<(Key, Stored)> = Vec::new();
        loop {
            // One more than asked for says whether there are more, without another request.
            let wanted = query.limit.saturating_add(1) - items.len();
            let (found, more) = self.page(query, after.as_deref(), wanted).await?;
            items.extend(found);
            let end = end_of_page(&items, query.limit);
            if end < items.len() {
                items.truncate(end);
                return Ok(Page { items, more: true });
            }
            if !more {
                return Ok(Page { items, more: false });
            }
            after = items.last().map(|(key, _)| key.sk.clone());
        }
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        check_transaction(writes)?;
        // Removing what is done needs no transaction: whoever repeats it removes nothing more.
        if writes.iter().all(|write| matches!(write, Write::Delete { condition: Condition::Always, .. })) {
            return batch::remove(&self.client, &self.name, writes).await;
        }
        transaction::send(&self.client, &self.name, token, writes).await
    }

    async fn flush(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// How many of these items make a page.
fn end_of_page(items: &[(Key, Stored)], limit: usize) -> usize {
    let mut bytes = 0;
    for (index, (key, stored)) in items.iter().enumerate() {
        bytes += key.pk.len() + key.sk.len() + stored.body.len();
        if index + 1 == limit || bytes >= MAX_PAGE_BYTES {
            return index + 1;
        }
    }
    items.len()
}

/// Where DynamoDB has to start: it refuses a place outside the prefix. The outer none is a query that finds nothing.
fn start(query: &Query) -> Option<Option<&str>> {
    let Some(after) = query.after.as_deref() else { return Some(None) };
    if after.starts_with(&query.prefix) && !after.is_empty() {
        return Some(Some(after));
    }
    let before_all = after < query.prefix.as_str() || after.is_empty();
    (before_all != query.backward).then_some(None)
}

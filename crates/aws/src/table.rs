//! The table on DynamoDB.

mod item;
mod transaction;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use control::limits::{MAX_PAGE_BYTES, check_key, check_query, check_transaction};
use control::ports::{Key, Page, PortError, Query, Stored, Table, Write};

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

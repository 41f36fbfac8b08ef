//! What every table must do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a contract suite is a test: a panic is its verdict")]

mod limits;
mod queries;
mod races;
mod writes;

use bytes::Bytes;
use control::ports::{Condition, Key, MAX_TRANSACTION_BYTES, MAX_WRITES, Page, PortError, Query, Table, Write};

/// Runs the whole suite; `make` gives an empty table each time.
///
/// # Panics
/// Where the table breaks the contract.
pub async fn table<T: Table>(make: impl Fn() -> T) {
    table_up_to(make, MAX_TRANSACTION_BYTES).await;
}

/// The suite for an emulator that takes no transaction as large as the contract allows: only up to so many bytes.
///
/// # Panics
/// Where the table breaks the contract.
pub async fn table_up_to<T: Table>(make: impl Fn() -> T, transaction_bytes: usize) {
    writes::conditions(&make()).await;
    writes::check_only(&make()).await;
    writes::atomic(&make()).await;
    writes::revisions(&make()).await;
    writes::bodies(&make()).await;
    writes::deletes(&make()).await;
    writes::tokens(&make()).await;
    writes::tokens_after_refusal(&make()).await;
    limits::key_limits(&make()).await;
    limits::write_limits(&make()).await;
    limits::byte_limits(&make()).await;
    limits::sizes_at_the_limit(&make(), transaction_bytes).await;
    queries::partitions(&make()).await;
    queries::order_of_bytes(&make()).await;
    queries::prefixes(&make()).await;
    queries::paging(&make()).await;
    queries::after_anywhere(&make()).await;
    queries::pages_of_bytes(&make()).await;
    queries::many(&make()).await;
    queries::queries_see_writes(&make()).await;
    races::one_winner(&make()).await;
    races::counters(&make()).await;
    races::flushes(&make()).await;
}

fn key(pk: &str, sk: &str) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

fn put(sk: &str, revision: u64, body: &str, condition: Condition) -> Write {
    Write::Put { key: key("p", sk), revision, body: Bytes::copy_from_slice(body.as_bytes()), condition }
}

fn delete(sk: &str, condition: Condition) -> Write {
    Write::Delete { key: key("p", sk), condition }
}

fn check(sk: &str, condition: Condition) -> Write {
    Write::Check { key: key("p", sk), condition }
}

async fn read(table: &impl Table, sk: &str) -> Option<(u64, String)> {
    let stored = table.get(&key("p", sk)).await.unwrap()?;
    Some((stored.revision, String::from_utf8(stored.body.to_vec()).unwrap()))
}

async fn fill(table: &impl Table, pk: &str, sks: &[&str]) {
    for (index, chunk) in sks.chunks(MAX_WRITES).enumerate() {
        let writes: Vec<_> = chunk
            .iter()
            .map(|sk| Write::Put {
                key: key(pk, sk),
                revision: 1,
                body: Bytes::copy_from_slice(sk.as_bytes()),
                condition: Condition::Absent,
            })
            .collect();
        table.transact(&format!("fill-{pk}-{index}"), &writes).await.unwrap();
    }
}

fn all(prefix: &str) -> Query {
    Query { pk: "p".into(), prefix: prefix.into(), after: None, limit: 1000, backward: false }
}

fn places(page: &Page) -> Vec<&str> {
    page.items.iter().map(|(key, _)| key.sk.as_str()).collect()
}

/// Every place of a query, page by page.
async fn walk(table: &impl Table, query: &Query) -> Vec<String> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = table.query(&query).await.unwrap();
        assert!(page.items.len() <= query.limit, "a page holds more than its limit of {}", query.limit);
        found.extend(places(&page).into_iter().map(String::from));
        if !page.more {
            return found;
        }
        // An empty page that says more would be lost in an endless loop.
        query.after = Some(page.items.last().expect("a page that says more holds an item").0.sk.clone());
    }
}

fn assert_conflict(answer: &Result<(), PortError>, what: &str) {
    assert!(matches!(answer, Err(PortError::Conflict)), "{what}: expected a conflict, got {answer:?}");
}

fn assert_invalid<A: std::fmt::Debug>(answer: &Result<A, PortError>, what: &str) {
    assert!(matches!(answer, Err(PortError::Invalid(_))), "{what}: expected it to be invalid, got {answer:?}");
}

fn sized(sk: &str, bytes: usize) -> Write {
    let key = key("p", sk);
    let body = Bytes::from(vec![b'x'; bytes - key.pk.len() - key.sk.len()]);
    Write::Put { key, revision: 1, body, condition: Condition::Absent }
}

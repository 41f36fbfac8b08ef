//! What is refused, and what just fits.

use bytes::Bytes;
use control::limits::{MAX_PK_BYTES, MAX_SK_BYTES};
use control::ports::{Condition, Key, MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, MAX_WRITES, Query, Table, Write};

use super::{all, assert_invalid, check, delete, key, put, read, sized, walk};

pub(super) async fn key_limits(table: &impl Table) {
    let long_pk = "p".repeat(MAX_PK_BYTES);
    let long_sk = "s".repeat(MAX_SK_BYTES);
    let longest = key(&long_pk, &long_sk);
    let at = |key: Key| Write::Put { key, revision: 1, body: Bytes::from_static(b"x"), condition: Condition::Absent };
    table.transact("longest", &[at(longest.clone())]).await.unwrap();
    assert!(table.get(&longest).await.unwrap().is_some());
    let bad = [
        key("", "s"),
        key("p", ""),
        key("p\0q", "s"),
        key(&format!("{long_pk}p"), "s"),
        key("p", &format!("{long_sk}s")),
    ];
    for (number, bad) in bad.into_iter().enumerate() {
        assert_invalid(&table.get(&bad).await, "getting a bad key");
        let writes = [at(key("p", "good")), Write::Check { key: bad.clone(), condition: Condition::Always }];
        assert_invalid(&table.transact(&format!("check-{number}"), &writes).await, "checking a bad key");
        assert_invalid(&table.transact(&format!("put-{number}"), &[at(bad)]).await, "putting a bad key");
    }
    assert_eq!(read(table, "good").await, None);
    assert_invalid(&table.query(&Query { limit: 0, ..all("") }).await, "a query of nothing");
    assert_invalid(&table.query(&Query { pk: String::new(), ..all("") }).await, "a query of no partition");
    assert_invalid(&table.query(&Query { pk: "p\0".into(), ..all("") }).await, "a query of a bad partition");
}

pub(super) async fn write_limits(table: &impl Table) {
    let many: Vec<_> = (0..=MAX_WRITES).map(|n| put(&format!("{n:03}"), 1, "x", Condition::Absent)).collect();
    assert_invalid(&table.transact("101", &many).await, "one write too many");
    let checks: Vec<_> = (0..=MAX_WRITES).map(|n| check(&format!("{n:03}"), Condition::Absent)).collect();
    assert_invalid(&table.transact("checks", &checks).await, "a check counts as a write");
    assert!(table.query(&all("")).await.unwrap().items.is_empty());
    table.transact("100", &many[..MAX_WRITES]).await.unwrap();
    assert_eq!(table.query(&all("")).await.unwrap().items.len(), MAX_WRITES);
    let twice = [
        [put("a", 1, "x", Condition::Always), put("a", 2, "y", Condition::Always)],
        [put("a", 1, "x", Condition::Always), delete("a", Condition::Always)],
        [check("a", Condition::Absent), put("a", 1, "x", Condition::Absent)],
    ];
    for (number, writes) in twice.iter().enumerate() {
        assert_invalid(&table.transact(&format!("twice-{number}"), writes).await, "two writes of an item");
    }
    assert_eq!(read(table, "a").await, None);
}

pub(super) async fn byte_limits(table: &impl Table) {
    assert_invalid(&table.transact("item", &[sized("a", MAX_ITEM_BYTES + 1)]).await, "an item too large");
    let count = MAX_TRANSACTION_BYTES / MAX_ITEM_BYTES;
    let rest = MAX_TRANSACTION_BYTES - count * MAX_ITEM_BYTES;
    let mut writes: Vec<_> = (0..count).map(|n| sized(&format!("{n:02}"), MAX_ITEM_BYTES)).collect();
    writes.push(sized("rest", rest + 1));
    assert_invalid(&table.transact("all", &writes).await, "a transaction too large");
    writes.pop();
    writes.push(sized("rest", rest - 4));
    writes.push(check("long", Condition::Absent));
    assert_invalid(&table.transact("keys", &writes).await, "the keys of checks count");
    assert!(table.query(&all("")).await.unwrap().items.is_empty());
}

pub(super) async fn sizes_at_the_limit(table: &impl Table, transaction_bytes: usize) {
    let count = transaction_bytes / MAX_ITEM_BYTES;
    let rest = transaction_bytes - count * MAX_ITEM_BYTES;
    let mut writes: Vec<_> = (0..count).map(|n| sized(&format!("{n:02}"), MAX_ITEM_BYTES)).collect();
    writes.push(sized("rest", rest));
    table.transact("largest", &writes).await.unwrap();
    table.flush().await.unwrap();
    for write in &writes {
        let Write::Put { key, body, .. } = write else { unreachable!() };
        let stored = table.get(key).await.unwrap().expect("it was just written");
        assert!(stored.body == body, "{} reads back as written", key.sk);
    }
    assert_eq!(walk(table, &all("")).await.len(), writes.len());
}

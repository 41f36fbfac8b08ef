//! Order, prefixes, pages.

use bytes::Bytes;
use control::limits::MAX_PAGE_BYTES;
use control::ports::{Condition, Key, MAX_ITEM_BYTES, MAX_READS, Query, Table, Write};

use super::{all, assert_invalid, delete, fill, key, places, put, read, sized, walk};

/// Several items at once: in the order of their keys, also across partitions, and more than a page of them.
pub(super) async fn many(table: &impl Table) {
    fill(table, "p", &PLACES).await;
    fill(table, "q", &["a", "z"]).await;
    assert_eq!(table.get_many(&[]).await.unwrap(), []);
    let mut keys: Vec<_> = PLACES.iter().rev().map(|sk| key("p", sk)).collect();
    keys.extend([key("q", "z"), key("p", "none"), key("q", "a"), key("none", "a")]);
    let found = table.get_many(&keys).await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (key, found) in keys.iter().zip(found) {
        let body = found.map(|stored| stored.body);
        let there = key.sk != "none" && key.pk != "none";
        assert_eq!(body.as_deref(), there.then_some(key.sk.as_bytes()), "{key:?}");
    }
    assert_invalid(&table.get_many(&[key("p", "a"), key("p", "")]).await, "getting a bad key among others");
    let large: Vec<_> = (0..MAX_READS).map(|n| key("large", &format!("{n:03}"))).collect();
    for (number, keys) in large.chunks(7).enumerate() {
        let body = Bytes::from(vec![b'x'; MAX_ITEM_BYTES - 10]);
        let put =
            |key: &Key| Write::Put { key: key.clone(), revision: 7, body: body.clone(), condition: Condition::Absent };
        table.transact(&format!("large-{number}"), &keys.iter().map(put).collect::<Vec<_>>()).await.unwrap();
    }
    let found = table.get_many(&large).await.unwrap();
    assert!(found.iter().all(|found| found.as_ref().is_some_and(|stored| stored.revision == 7)), "all are found");
}

/// A partition never shows another's items, also where one's name begins with the other's.
pub(super) async fn partitions(table: &impl Table) {
    for (pk, sks) in [("a", ["b", "c"]), ("a/b", ["c", "d"]), ("b", ["a", "b"]), ("a\u{1}", ["x", "y"])] {
        fill(table, pk, &sks).await;
    }
    for (pk, sks) in [("a", ["b", "c"]), ("a/b", ["c", "d"]), ("b", ["a", "b"]), ("a\u{1}", ["x", "y"])] {
        for backward in [false, true] {
            let mut found = walk(table, &Query { pk: pk.into(), backward, limit: 1, ..all("") }).await;
            if backward {
                found.reverse();
            }
            assert_eq!(found, sks, "partition {pk:?}");
        }
    }
    assert!(walk(table, &Query { pk: "c".into(), ..all("") }).await.is_empty());
}

const PLACES: [&str; 16] = [
    "\0",
    "\0\0",
    "!",
    "a",
    "a\0",
    "a\0b",
    "a/",
    "a/1",
    "a/1/x",
    "a/10",
    "a/2",
    "b",
    "é",
    "\u{7ff}",
    "\u{ffff}",
    "\u{10ffff}",
];

/// The order is that of UTF-8's bytes, not that of UTF-16 or of any language.
pub(super) async fn order_of_bytes(table: &impl Table) {
    let mut shuffled = PLACES;
    shuffled.reverse();
    shuffled.swap(2, 9);
    fill(table, "p", &shuffled).await;
    let mut expected = PLACES.to_vec();
    expected.sort_unstable_by_key(|sk| sk.as_bytes());
    assert_eq!(walk(table, &all("")).await, expected);
    expected.reverse();
    assert_eq!(walk(table, &Query { backward: true, ..all("") }).await, expected);
}

pub(super) async fn prefixes(table: &impl Table) {
    fill(table, "p", &PLACES).await;
    for prefix in ["", "a", "a/", "a/1", "a/1/x", "a/1/xx", "a\0", "\0", "z", "é", "\u{7ff}", "\u{ffff}", "\u{10ffff}"]
    {
        let expected: Vec<_> = PLACES.into_iter().filter(|sk| sk.starts_with(prefix)).collect();
        for limit in [1, 2, 1000] {
            let forward = walk(table, &Query { limit, ..all(prefix) }).await;
            assert_eq!(forward, expected, "prefix {prefix:?}, pages of {limit}");
            let mut backward = walk(table, &Query { limit, backward: true, ..all(prefix) }).await;
            backward.reverse();
            assert_eq!(backward, expected, "prefix {prefix:?}, backward, pages of {limit}");
        }
    }
}

pub(super) async fn paging(table: &impl Table) {
    let names: Vec<String> = (0..250).map(|n| format!("k/{n:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fill(table, "p", &names).await;
    fill(table, "q", &["k/0000", "k/9999"]).await;
    for limit in [1, 7, 50, 249, 250, 251] {
        let query = Query { limit, ..all("k/") };
        assert_eq!(walk(table, &query).await, names, "pages of {limit}");
        let mut backward = walk(table, &Query { backward: true, ..query }).await;
        backward.reverse();
        assert_eq!(backward, names, "pages of {limit}, backward");
    }
    for (limit, more) in [(249, true), (250, false), (251, false)] {
        for backward in [false, true] {
            let page = table.query(&Query { limit, backward, ..all("k/") }).await.unwrap();
            assert_eq!((page.items.len(), page.more), (limit.min(250), more), "a page of {limit}, backward {backward}");
        }
    }
    let page = table.query(&Query { limit: 3, after: Some("k/0009".into()), ..all("k/") }).await.unwrap();
    assert_eq!(places(&page), ["k/0010", "k/0011", "k/0012"]);
    assert!(page.more);
    let page = table.query(&Query { limit: 3, backward: true, after: Some("k/0002".into()), ..all("k/") }).await;
    assert_eq!(places(&page.unwrap()), ["k/0001", "k/0000"]);
}

/// `after` need not exist, nor lie within the prefix.
pub(super) async fn after_anywhere(table: &impl Table) {
    fill(table, "p", &PLACES).await;
    for prefix in ["", "a/", "b", "z"] {
        for after in ["\0", "0", "a", "a/", "a/1", "a/1/y", "a/3", "b", "zz", "\u{10ffff}", "\u{10ffff}x"] {
            for backward in [false, true] {
                let mut expected: Vec<_> = PLACES
                    .into_iter()
                    .filter(|sk| sk.starts_with(prefix) && if backward { *sk < after } else { *sk > after })
                    .collect();
                if backward {
                    expected.reverse();
                }
                let found = walk(table, &Query { after: Some(after.into()), backward, limit: 2, ..all(prefix) }).await;
                assert_eq!(found, expected, "prefix {prefix:?} after {after:?}, backward {backward}");
            }
        }
    }
}

/// A page ends early rather than grow without bound.
pub(super) async fn pages_of_bytes(table: &impl Table) {
    for n in 0..6 {
        table.transact(&format!("{n}"), &[sized(&format!("{n}"), MAX_ITEM_BYTES)]).await.unwrap();
    }
    let page = table.query(&all("")).await.unwrap();
    assert!(page.more, "six items of {MAX_ITEM_BYTES} bytes do not fit a page");
    assert!(page.items.len() <= MAX_PAGE_BYTES / MAX_ITEM_BYTES + 1);
    assert_eq!(walk(table, &all("")).await, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(walk(table, &Query { backward: true, ..all("") }).await, ["5", "4", "3", "2", "1", "0"]);
}

/// Every acknowledged change shows at once, also between flushes and over items written long before.
pub(super) async fn queries_see_writes(table: &impl Table) {
    let mut model = std::collections::BTreeMap::new();
    for round in 0..60_u64 {
        let mut writes = Vec::new();
        for step in 0..7_u64 {
            let sk = format!("k{:02}", (round * 13 + step * 5) % 41);
            if (round + step) % 3 == 0 {
                model.remove(&sk);
                writes.push(delete(&sk, Condition::Always));
            } else {
                model.insert(sk.clone(), round);
                writes.push(put(&sk, round + 1, &format!("{round}"), Condition::Always));
            }
        }
        table.transact(&format!("round-{round}"), &writes).await.unwrap();
        if round % 7 == 6 {
            table.flush().await.unwrap();
        }
        let expected: Vec<_> = model.iter().map(|(sk, round)| (sk.clone(), *round + 1)).collect();
        for backward in [false, true] {
            let page = table.query(&Query { backward, ..all("k") }).await.unwrap();
            let mut found: Vec<_> = page.items.iter().map(|(key, stored)| (key.sk.clone(), stored.revision)).collect();
            if backward {
                found.reverse();
            }
            assert_eq!(found, expected, "round {round}, backward {backward}");
            let paged = walk(table, &Query { backward, limit: 4, ..all("k") }).await;
            assert_eq!(paged.len(), expected.len(), "round {round}, backward {backward}, in pages");
        }
        let one = format!("k{:02}", round % 41);
        assert_eq!(read(table, &one).await.map(|(revision, _)| revision), model.get(&one).map(|round| *round + 1));
    }
}

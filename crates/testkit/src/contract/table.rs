//! What every table must do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a contract suite is a test: a panic is its verdict")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use control::limits::{MAX_PAGE_BYTES, MAX_PK_BYTES, MAX_SK_BYTES};
use control::ports::{
    Condition, Key, MAX_ITEM_BYTES, MAX_TRANSACTION_BYTES, MAX_WRITES, Page, PortError, Query, Stored, Table, Write,
};
use futures::future::join_all;

/// Runs the whole suite; `make` gives an empty table each time.
///
/// # Panics
/// Where the table breaks the contract.
pub async fn table<T: Table>(make: impl Fn() -> T) {
    conditions(&make()).await;
    check_only(&make()).await;
    atomic(&make()).await;
    revisions(&make()).await;
    deletes(&make()).await;
    tokens(&make()).await;
    tokens_after_refusal(&make()).await;
    key_limits(&make()).await;
    write_limits(&make()).await;
    byte_limits(&make()).await;
    sizes_at_the_limit(&make()).await;
    partitions(&make()).await;
    order_of_bytes(&make()).await;
    prefixes(&make()).await;
    paging(&make()).await;
    after_anywhere(&make()).await;
    pages_of_bytes(&make()).await;
    queries_see_writes(&make()).await;
    one_winner(&make()).await;
    counters(&make()).await;
    flushes(&make()).await;
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

/// Each condition, on an item that is there (at revision 3) and on one that is not, for each kind of write.
async fn conditions(table: &impl Table) {
    let cases = [
        (Condition::Absent, false, true),
        (Condition::Present, true, false),
        (Condition::Always, true, true),
        (Condition::Revision(3), true, false),
        (Condition::Revision(2), false, false),
        (Condition::Revision(4), false, false),
        (Condition::Revision(0), false, false),
    ];
    for (number, (condition, when_present, when_absent)) in cases.into_iter().enumerate() {
        for (present, holds) in [(true, when_present), (false, when_absent)] {
            for kind in ["put", "delete", "check"] {
                let sk = format!("{number}-{present}-{kind}");
                if present {
                    table.transact(&format!("before-{sk}"), &[put(&sk, 3, "old", Condition::Always)]).await.unwrap();
                }
                let write = match kind {
                    "put" => put(&sk, 4, "new", condition),
                    "delete" => delete(&sk, condition),
                    _ => check(&sk, condition),
                };
                let answer = table.transact(&format!("write-{sk}"), &[write]).await;
                let what = format!("{kind} if {condition:?} where present is {present}");
                let old = present.then(|| (3, "old".to_string()));
                if holds {
                    assert!(answer.is_ok(), "{what}: {answer:?}");
                    let expected = match kind {
                        "put" => Some((4, "new".to_string())),
                        "delete" => None,
                        _ => old,
                    };
                    assert_eq!(read(table, &sk).await, expected, "{what}");
                } else {
                    assert_conflict(&answer, &what);
                    assert_eq!(read(table, &sk).await, old, "{what}");
                }
            }
        }
    }
}

async fn check_only(table: &impl Table) {
    table.transact("1", &[put("a", 1, "a", Condition::Absent)]).await.unwrap();
    let holds = [check("a", Condition::Revision(1)), check("b", Condition::Absent)];
    table.transact("2", &holds).await.unwrap();
    let fails = [check("a", Condition::Revision(1)), check("b", Condition::Present)];
    assert_conflict(&table.transact("3", &fails).await, "a transaction of checks");
    assert_eq!(read(table, "a").await, Some((1, "a".into())));
    assert_eq!(read(table, "b").await, None);
    table.transact("4", &[]).await.expect("a transaction without writes does nothing");
}

/// A refused transaction changes nothing, wherever the condition that fails stands.
async fn atomic(table: &impl Table) {
    table.transact("before", &[put("kept", 1, "old", Condition::Absent)]).await.unwrap();
    for position in 0..5 {
        let mut writes = vec![
            put("new-1", 1, "x", Condition::Absent),
            put("kept", 2, "changed", Condition::Revision(1)),
            put("new-2", 1, "x", Condition::Always),
            delete("absent", Condition::Always),
        ];
        writes.insert(position.min(writes.len()), check("missing", Condition::Present));
        assert_conflict(&table.transact(&format!("at-{position}"), &writes).await, "one condition fails");
        assert_eq!(read(table, "kept").await, Some((1, "old".into())));
        assert_eq!(places(&table.query(&all("")).await.unwrap()), ["kept"]);
    }
    let writes = [
        put("new-1", 1, "x", Condition::Absent),
        delete("kept", Condition::Revision(1)),
        check("missing", Condition::Absent),
    ];
    table.transact("all", &writes).await.unwrap();
    assert_eq!(places(&table.query(&all("")).await.unwrap()), ["new-1"]);
}

/// The revision is the one given, whatever lay there before.
async fn revisions(table: &impl Table) {
    for (token, revision) in [("1", 1), ("2", 2), ("3", 7), ("4", u64::from(u32::MAX) + 5), ("5", 1)] {
        table.transact(token, &[put("a", revision, token, Condition::Always)]).await.unwrap();
        assert_eq!(read(table, "a").await, Some((revision, token.into())));
        let page = table.query(&all("a")).await.unwrap();
        assert_eq!(page.items[0].1, Stored { revision, body: Bytes::copy_from_slice(token.as_bytes()) });
    }
    table.transact("empty", &[put("empty", 1, "", Condition::Absent)]).await.unwrap();
    assert_eq!(read(table, "empty").await, Some((1, String::new())), "an empty body is an item");
}

async fn deletes(table: &impl Table) {
    table.transact("1", &[delete("a", Condition::Always)]).await.expect("removing what is not there is no error");
    table.transact("2", &[put("a", 1, "a", Condition::Absent)]).await.unwrap();
    table.transact("3", &[delete("a", Condition::Revision(1))]).await.unwrap();
    assert_eq!(read(table, "a").await, None);
    assert!(table.query(&all("")).await.unwrap().items.is_empty(), "what was removed is not found");
    table.transact("4", &[put("a", 1, "again", Condition::Absent)]).await.expect("what was removed is absent");
    assert_eq!(read(table, "a").await, Some((1, "again".into())));
}

async fn tokens(table: &impl Table) {
    let first = [put("a", 1, "a", Condition::Absent), put("b", 1, "b", Condition::Absent)];
    table.transact("t", &first).await.unwrap();
    table.transact("t", &first).await.expect("the same request again is no conflict");
    table.transact("u", &[put("a", 2, "later", Condition::Revision(1))]).await.unwrap();
    table.transact("t", &first).await.unwrap();
    assert_eq!(read(table, "a").await, Some((2, "later".into())), "the same request again does nothing");
    let others: [&[Write]; 7] = [
        &[],
        &first[..1],
        &[first[1].clone(), first[0].clone()],
        &[put("a", 1, "other", Condition::Absent), first[1].clone()],
        &[put("a", 9, "a", Condition::Absent), first[1].clone()],
        &[put("a", 1, "a", Condition::Always), first[1].clone()],
        &[delete("a", Condition::Absent), first[1].clone()],
    ];
    for other in others {
        assert_invalid(&table.transact("t", other).await, "the same token for other writes");
    }
    assert_eq!(read(table, "a").await, Some((2, "later".into())));
    assert_eq!(read(table, "b").await, Some((1, "b".into())));
}

/// A refused request leaves no trace: its token may be tried again once its conditions hold.
async fn tokens_after_refusal(table: &impl Table) {
    let writes = [put("a", 2, "second", Condition::Revision(1))];
    assert_conflict(&table.transact("t", &writes).await, "nothing lies there");
    table.transact("u", &[put("a", 1, "first", Condition::Absent)]).await.unwrap();
    table.transact("t", &writes).await.unwrap();
    assert_eq!(read(table, "a").await, Some((2, "second".into())));
}

async fn key_limits(table: &impl Table) {
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

async fn write_limits(table: &impl Table) {
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

fn sized(sk: &str, bytes: usize) -> Write {
    let key = key("p", sk);
    let body = Bytes::from(vec![b'x'; bytes - key.pk.len() - key.sk.len()]);
    Write::Put { key, revision: 1, body, condition: Condition::Absent }
}

async fn byte_limits(table: &impl Table) {
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

async fn sizes_at_the_limit(table: &impl Table) {
    let count = MAX_TRANSACTION_BYTES / MAX_ITEM_BYTES;
    let rest = MAX_TRANSACTION_BYTES - count * MAX_ITEM_BYTES;
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

/// A partition never shows another's items, also where one's name begins with the other's.
async fn partitions(table: &impl Table) {
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
async fn order_of_bytes(table: &impl Table) {
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

async fn prefixes(table: &impl Table) {
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

async fn paging(table: &impl Table) {
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
    let page = table.query(&Query { limit: 3, after: Some("k/0009".into()), ..all("k/") }).await.unwrap();
    assert_eq!(places(&page), ["k/0010", "k/0011", "k/0012"]);
    assert!(page.more);
    let page = table.query(&Query { limit: 3, backward: true, after: Some("k/0002".into()), ..all("k/") }).await;
    assert_eq!(places(&page.unwrap()), ["k/0001", "k/0000"]);
}

/// `after` need not exist, nor lie within the prefix.
async fn after_anywhere(table: &impl Table) {
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
async fn pages_of_bytes(table: &impl Table) {
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
async fn queries_see_writes(table: &impl Table) {
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

/// Of many writers with the same condition exactly one wins.
async fn one_winner(table: &impl Table) {
    for round in 0..5_u64 {
        let condition = if round == 0 { Condition::Absent } else { Condition::Revision(round) };
        let attempts = (0..10).map(|writer| async move {
            pause().await;
            let body = format!("{writer}");
            let writes = [
                put("contended", round + 1, &body, condition),
                put(&format!("trace-{round}-{writer}"), 1, &body, Condition::Absent),
            ];
            match table.transact(&format!("{round}-{writer}"), &writes).await {
                Ok(()) => Some(body),
                Err(PortError::Conflict) => None,
                Err(other) => panic!("a writer that loses gets a conflict, not {other:?}"),
            }
        });
        let won: Vec<String> = join_all(attempts).await.into_iter().flatten().collect();
        // Implementations may refuse every one of several transactions in flight at once; then nothing changed.
        assert!(won.len() <= 1, "{} writers won", won.len());
        let winner = if let Some(winner) = won.first() {
            winner.clone()
        } else {
            let writes = [
                put("contended", round + 1, "late", condition),
                put(&format!("trace-{round}-late"), 1, "late", Condition::Absent),
            ];
            table.transact(&format!("{round}-late"), &writes).await.unwrap();
            "late".into()
        };
        assert_eq!(read(table, "contended").await, Some((round + 1, winner)));
        let traces = walk(table, &all(&format!("trace-{round}-"))).await;
        assert_eq!(traces.len(), 1, "losers leave nothing: {traces:?}");
    }
}

/// Read, add, write on condition, again on conflict: no addition is lost.
async fn counters(table: &impl Table) {
    const WRITERS: u64 = 5;
    const ADDITIONS: u64 = 6;
    let writers = (0..WRITERS).map(|writer| async move {
        for addition in 0..ADDITIONS {
            for attempt in 0.. {
                let before = table.get(&key("p", "counter")).await.unwrap();
                pause().await;
                let (revision, condition) = match &before {
                    None => (0, Condition::Absent),
                    Some(stored) => (stored.revision, Condition::Revision(stored.revision)),
                };
                let write = put("counter", revision + 1, "", condition);
                match table.transact(&format!("{writer}-{addition}-{attempt}"), &[write]).await {
                    Ok(()) => break,
                    Err(PortError::Conflict | PortError::Throttled) => pause().await,
                    Err(other) => panic!("a counter's write: {other:?}"),
                }
            }
        }
    });
    join_all(writers).await;
    assert_eq!(read(table, "counter").await, Some((WRITERS * ADDITIONS, String::new())));
}

async fn flushes(table: &impl Table) {
    table.flush().await.expect("flushing when nothing was written");
    table.transact("1", &[put("a", 1, "a", Condition::Absent)]).await.unwrap();
    let both = join_all([table.flush(), table.flush(), table.flush()]).await;
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    table.flush().await.unwrap();
    assert_eq!(read(table, "a").await, Some((1, "a".into())));
}

/// Lets the other futures of a `join_all` go on.
async fn pause() {
    struct Pause(bool);
    impl Future for Pause {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Pause(false).await;
}

//! Transactions: conditions, atomicity, revisions, tokens.

use bytes::Bytes;
use control::ports::{Condition, MAX_WRITES, Stored, Table, Write};

use super::{all, assert_conflict, assert_invalid, check, delete, places, put, read};

/// Each condition, on an item that is there (at revision 3) and on one that is not, for each kind of write.
pub(super) async fn conditions(table: &impl Table) {
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

pub(super) async fn check_only(table: &impl Table) {
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
pub(super) async fn atomic(table: &impl Table) {
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
pub(super) async fn revisions(table: &impl Table) {
    for (token, revision) in [("1", 1), ("2", 2), ("3", 7), ("4", u64::from(u32::MAX) + 5), ("5", 1)] {
        table.transact(token, &[put("a", revision, token, Condition::Always)]).await.unwrap();
        assert_eq!(read(table, "a").await, Some((revision, token.into())));
        let page = table.query(&all("a")).await.unwrap();
        assert_eq!(page.items[0].1, Stored { revision, body: Bytes::copy_from_slice(token.as_bytes()) });
    }
    table.transact("empty", &[put("empty", 1, "", Condition::Absent)]).await.unwrap();
    assert_eq!(read(table, "empty").await, Some((1, String::new())), "an empty body is an item");
}

/// A body is bytes, not text.
pub(super) async fn bodies(table: &impl Table) {
    let bytes: Vec<u8> = (0..=u8::MAX).chain([0, 0xff, 0xc0, 0]).collect();
    let at = |sk: &str, body: &[u8]| {
        let Write::Put { key, revision, condition, .. } = put(sk, 1, "", Condition::Absent) else { unreachable!() };
        Write::Put { key, revision, body: Bytes::copy_from_slice(body), condition }
    };
    let writes: Vec<_> = (0..bytes.len()).map(|n| at(&format!("{n:03}"), &bytes[n..])).collect();
    for (number, writes) in writes.chunks(MAX_WRITES).enumerate() {
        table.transact(&format!("{number}"), writes).await.unwrap();
    }
    for (n, (key, stored)) in table.query(&all("")).await.unwrap().items.into_iter().enumerate() {
        assert_eq!(stored.body, bytes[n..], "{}", key.sk);
        assert_eq!(table.get(&key).await.unwrap(), Some(stored), "{}", key.sk);
    }
}

pub(super) async fn deletes(table: &impl Table) {
    table.transact("1", &[delete("a", Condition::Always)]).await.expect("removing what is not there is no error");
    table.transact("2", &[put("a", 1, "a", Condition::Absent)]).await.unwrap();
    table.transact("3", &[delete("a", Condition::Revision(1))]).await.unwrap();
    assert_eq!(read(table, "a").await, None);
    assert!(table.query(&all("")).await.unwrap().items.is_empty(), "what was removed is not found");
    table.transact("4", &[put("a", 1, "again", Condition::Absent)]).await.expect("what was removed is absent");
    assert_eq!(read(table, "a").await, Some((1, "again".into())));
}

pub(super) async fn tokens(table: &impl Table) {
    let first = [put("a", 1, "a", Condition::Absent), put("b", 1, "b", Condition::Absent)];
    table.transact("t", &first).await.unwrap();
    table.transact("t", &first).await.expect("the same request again is no conflict");
    table.transact("u", &[put("a", 2, "later", Condition::Revision(1))]).await.unwrap();
    table.transact("t", &first).await.unwrap();
    assert_eq!(read(table, "a").await, Some((2, "later".into())), "the same request again does nothing");
    // A request without writes need not be asked of anybody: it is not among them.
    let others: [&[Write]; 6] = [
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
pub(super) async fn tokens_after_refusal(table: &impl Table) {
    let writes = [put("a", 2, "second", Condition::Revision(1))];
    assert_conflict(&table.transact("t", &writes).await, "nothing lies there");
    table.transact("u", &[put("a", 1, "first", Condition::Absent)]).await.unwrap();
    table.transact("t", &writes).await.unwrap();
    assert_eq!(read(table, "a").await, Some((2, "second".into())));
}

//! The in-memory ports keep their contracts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use control::ports::{Artifacts, Bus, Clock, Condition, Entropy, Key, PortError, PublicEvent, Table, Write};
use model::Timestamp;
use testkit::artifacts::MemoryArtifacts;
use testkit::bus::MemoryBus;
use testkit::clock::ManualClock;
use testkit::entropy::SeededEntropy;
use testkit::memory::{Fault, Faults, MemoryTable, Operation};

fn put(sk: &str, revision: u64, condition: Condition) -> Write {
    Write::Put { key: Key { pk: "p".into(), sk: sk.into() }, revision, body: Bytes::from_static(b"x"), condition }
}

#[tokio::test]
async fn memory_table_keeps_the_contract() {
    testkit::contract::table(MemoryTable::new).await;
}

#[tokio::test]
async fn crash_loses_what_was_not_flushed_and_no_more() {
    let table = MemoryTable::new();
    table.transact("1", &[put("a", 1, Condition::Absent), put("b", 1, Condition::Absent)]).await.unwrap();
    table.flush().await.unwrap();
    let flushed = table.items();
    let lost = [
        put("a", 2, Condition::Revision(1)),
        Write::Delete { key: Key { pk: "p".into(), sk: "b".into() }, condition: Condition::Present },
        put("c", 1, Condition::Absent),
    ];
    table.transact("2", &lost).await.unwrap();
    table.transact("3", &[put("a", 3, Condition::Revision(2))]).await.unwrap();
    table.crash();
    assert_eq!(table.items(), flushed);
    table.transact("2", &lost).await.expect("the token was lost with its transaction");
    assert_eq!(table.items().len(), 2);
    table.crash();
    assert_eq!(table.items(), flushed);
}

#[tokio::test]
async fn snapshots_bring_everything_back() {
    let table = MemoryTable::new();
    table.transact("1", &[put("a", 1, Condition::Absent)]).await.unwrap();
    let then = table.snapshot();
    table.transact("2", &[put("a", 2, Condition::Always)]).await.unwrap();
    table.restore(then);
    assert_eq!(table.items()[0].1.revision, 1);
    assert_eq!(table.commits(), 1);
}

#[tokio::test]
async fn items_in_commit_order() {
    let table = MemoryTable::new();
    for (token, sk) in [("1", "b"), ("2", "a"), ("3", "c"), ("4", "b")] {
        table.transact(token, &[put(sk, 1, Condition::Always)]).await.unwrap();
    }
    let order: Vec<_> = table.items_in_commit_order("p", "").into_iter().map(|(key, _)| key.sk).collect();
    assert_eq!(order, ["a", "c", "b"]);
}

/// Fails the first transaction before it is carried out, and the second after.
#[derive(Default)]
struct Twice(AtomicUsize);

impl Faults for Twice {
    fn before(&self, operation: Operation<'_>) -> Option<Fault> {
        let Operation::Transact { .. } = operation else { return None };
        (self.0.fetch_add(1, Ordering::SeqCst) == 0).then_some(Fault::Throttled)
    }

    fn after(&self, operation: Operation<'_>) -> Option<Fault> {
        let Operation::Transact { .. } = operation else { return None };
        (self.0.load(Ordering::SeqCst) == 2).then_some(Fault::Unavailable)
    }
}

#[tokio::test]
async fn faults_strike_before_or_after() {
    let table = MemoryTable::with_faults(Arc::new(Twice::default()));
    let writes = [put("a", 1, Condition::Absent)];
    assert!(matches!(table.transact("1", &writes).await, Err(PortError::Throttled)));
    assert!(table.items().is_empty());
    assert!(matches!(table.transact("1", &writes).await, Err(PortError::Unavailable(_))));
    assert_eq!(table.items().len(), 1, "it was carried out, only the caller does not know");
    table.transact("1", &writes).await.expect("repeated byte for byte it does nothing more");
    assert_eq!(table.commits(), 1);
}

#[test]
fn clock_moves_by_hand_only() {
    let clock = ManualClock::at(Timestamp(1_000));
    assert_eq!(clock.now(), Timestamp(1_000));
    assert_eq!(clock.advance_millis(-400), Timestamp(600));
    clock.set(Timestamp(7));
    assert_eq!(clock.now(), Timestamp(7));
}

#[test]
fn entropy_follows_from_its_seed() {
    let seeds = |from| {
        let entropy = SeededEntropy::new(from);
        (0..100).map(|_| entropy.seed()).collect::<Vec<_>>()
    };
    assert_eq!(seeds(1), seeds(1));
    assert_ne!(seeds(1), seeds(2));
    let all = seeds(3);
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
    let entropy = SeededEntropy::new(4);
    assert!((0..1000).all(|_| entropy.below(7) < 7));
    assert_eq!(entropy.below(0), 0);
    let hits = (0..1000).filter(|_| entropy.chance(30)).count();
    assert!((200..400).contains(&hits), "{hits} of 1000 at 30 percent");
}

#[tokio::test]
async fn bus_remembers_what_it_accepted() {
    let event = |n: u32| PublicEvent { envelope: serde_json::json!({ "id": n }) };
    let bus = MemoryBus::new();
    bus.refuse([1]);
    bus.fail();
    bus.accept_then_fail();
    assert_eq!(bus.publish(&[event(1), event(2), event(3)]).await.unwrap(), [1]);
    assert!(bus.publish(&[event(4)]).await.is_err());
    assert!(bus.publish(&[event(5)]).await.is_err());
    assert!(bus.publish(&[event(6)]).await.unwrap().is_empty());
    assert_eq!(bus.accepted(), [event(1), event(3), event(5), event(6)]);
    assert_eq!(bus.calls(), 4);
    let eleven: Vec<_> = (0..11).map(event).collect();
    assert!(matches!(bus.publish(&eleven).await, Err(PortError::Invalid(_))));
}

#[tokio::test]
async fn memory_artifacts_keep_the_contract() {
    let directory = std::env::temp_dir().join(format!("penstock-testkit-contract-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    testkit::contract::artifacts(&MemoryArtifacts::new(), "bucket", &directory).await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn memory_bus_keeps_the_contract() {
    let bus = MemoryBus::new();
    let seen = AtomicUsize::new(0);
    testkit::contract::bus(&bus, "test", async |count| {
        let from = seen.fetch_add(count, Ordering::SeqCst);
        bus.accepted()[from..].iter().map(|event| event.envelope.clone()).collect()
    })
    .await;
}

#[tokio::test]
async fn artifacts_come_back_as_stored() {
    let directory = std::env::temp_dir().join(format!("penstock-testkit-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (from, to) = (directory.join("from"), directory.join("to"));
    std::fs::write(&from, "abc").unwrap();
    let store = MemoryArtifacts::new();
    let (digest, size) = store.store("bucket", "a/b", &from).await.unwrap();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(size, 3);
    store.fetch("bucket", "a/b", &to).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"abc");
    assert!(matches!(store.fetch("bucket", "a/b", &to).await, Err(PortError::Invalid(_))), "never overwritten");
    assert!(matches!(store.fetch("bucket", "a", &to).await, Err(PortError::NotFound(_))));
    assert_eq!(store.keys("bucket"), ["a/b"]);
    std::fs::remove_dir_all(directory).unwrap();
}

//! The table on redb: the contract, crashes, a full disk, opening and closing.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests and benchmarks fail by panicking and say what they skip or measure"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use control::ports::{Condition, Key, PortError, Query, Table, Write};
use local::table::{OpenError, Options, RedbTable};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const DIRECTORY: &str = "PENSTOCK_TEST_DIRECTORY";

fn key(pk: &str, sk: &str) -> Key {
    Key { pk: pk.into(), sk: sk.into() }
}

fn put(pk: &str, sk: &str, revision: u64, body: impl Into<Bytes>) -> Write {
    Write::Put { key: key(pk, sk), revision, body: body.into(), condition: Condition::Always }
}

fn delete(pk: &str, sk: &str) -> Write {
    Write::Delete { key: key(pk, sk), condition: Condition::Always }
}

fn open(directory: &Path) -> RedbTable {
    RedbTable::open(directory, Options::default()).unwrap()
}

/// So small that every few transactions end in a checkpoint.
fn open_small(directory: &Path) -> RedbTable {
    RedbTable::open(directory, Options { journal_bytes: 20_000, ..Options::default() }).unwrap()
}

async fn contents(table: &RedbTable, pk: &str) -> BTreeMap<String, (u64, Bytes)> {
    let mut found = BTreeMap::new();
    let mut query = Query { pk: pk.into(), prefix: String::new(), after: None, limit: 100, backward: false };
    loop {
        let page = table.query(&query).await.unwrap();
        query.after = page.items.last().map(|(key, _)| key.sk.clone());
        found.extend(page.items.into_iter().map(|(key, stored)| (key.sk, (stored.revision, stored.body))));
        if !page.more {
            return found;
        }
    }
}

/// As a program does that a killed process was starting: for a moment it has all files of that process open.
#[test]
fn files_that_are_locked_for_a_moment_are_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let held = std::fs::File::open(directory.path().join("table.journal-0")).unwrap();
    held.try_lock().unwrap();
    let held = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(held);
    });
    drop(open(directory.path()));
    held.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    for journal_bytes in [Options::default().journal_bytes, 2_000] {
        let directory = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        testkit::contract::table(|| {
            let name = made.fetch_add(1, Ordering::SeqCst).to_string();
            RedbTable::open(&directory.path().join(name), Options { journal_bytes, ..Options::default() }).unwrap()
        })
        .await;
    }
}

/// What a writer's partition holds after its transaction of this number: a counter and the rows of the last ten.
fn model(number: u64) -> BTreeMap<String, (u64, Bytes)> {
    let mut expected = BTreeMap::new();
    if number > 0 {
        expected.insert("counter".into(), (number, Bytes::from(format!("{number}"))));
    }
    for recent in number.saturating_sub(9).max(1)..=number {
        for half in ["a", "b"] {
            expected.insert(format!("row/{:04}/{half}", recent % 1000), (1, row(recent)));
        }
    }
    expected
}

/// From a few bytes to several pages.
fn row(number: u64) -> Bytes {
    Bytes::from(format!("{number} ").repeat(1 + usize::try_from(number * 37 % 900).unwrap()))
}

/// The transaction that leads from `model(number - 1)` to `model(number)`.
fn step(pk: &str, number: u64) -> Vec<Write> {
    let condition = if number == 1 { Condition::Absent } else { Condition::Revision(number - 1) };
    let mut writes = vec![Write::Put {
        key: key(pk, "counter"),
        revision: number,
        body: Bytes::from(format!("{number}")),
        condition,
    }];
    for half in ["a", "b"] {
        writes.push(put(pk, &format!("row/{:04}/{half}", number % 1000), 1, row(number)));
        if number > 10 {
            writes.push(delete(pk, &format!("row/{:04}/{half}", (number - 10) % 1000)));
        }
    }
    writes
}

/// The counter of a partition, after checking that everything else in it belongs to the same transaction.
async fn whole(table: &RedbTable, pk: &str) -> u64 {
    let found = contents(table, pk).await;
    let number = found.get("counter").map_or(0, |(revision, _)| *revision);
    assert!(found == model(number), "{pk} at {number} is not whole: {:?}", found.keys());
    number
}

const WRITERS: [&str; 4] = ["w0", "w1", "w2", "w3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_loses_nothing_flushed_and_splits_no_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = u64::from(std::process::id());
    let mut flushed: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..30 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = again("child_that_writes", directory.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut seen = BTreeMap::new();
            let mut line = String::new();
            while lines.read_line(&mut line).unwrap() > 0 {
                // The last line may be cut off.
                if let Some((pk, number)) =
                    line.strip_prefix("flushed ").and_then(|rest| rest.trim_end().split_once(' '))
                    && line.ends_with('\n')
                {
                    seen.insert(pk.to_string(), number.parse::<u64>().unwrap());
                }
                line.clear();
            }
            seen
        });
        tokio::time::sleep(Duration::from_millis(5 + (random >> 33) % 150)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        flushed.extend(reader.join().unwrap());
        let table = open_small(directory.path());
        for pk in WRITERS {
            let number = whole(&table, pk).await;
            let expected = flushed.get(pk).copied().unwrap_or(0);
            assert!(number >= expected, "round {round}: {pk} was flushed at {expected} and came back at {number}");
        }
    }
    assert!(flushed.values().sum::<u64>() > 100, "hardly anything was written: {flushed:?}");
}

fn again(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env(DIRECTORY, directory);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child process of another test"]
async fn child_that_writes() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let table = Arc::new(open_small(Path::new(&directory)));
    let writers: Vec<_> = WRITERS
        .into_iter()
        .map(|pk| {
            let table = Arc::clone(&table);
            tokio::spawn(async move {
                for number in whole(&table, pk).await + 1.. {
                    table.transact(&format!("{pk}-{number}"), &step(pk, number)).await.unwrap();
                    if number % 3 == 0 {
                        table.flush().await.unwrap();
                        let line = format!("flushed {pk} {number}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// What a power failure leaves of the journal's last writes: a part, or rubbish.
#[tokio::test]
async fn torn_journal_brings_back_whole_transactions() {
    let scratch = tempfile::tempdir().unwrap();
    let original = scratch.path().join("original");
    let table = RedbTable::open(&original, Options { journal_bytes: 60_000, ..Options::default() }).unwrap();
    for number in 1..=40 {
        table.transact(&format!("{number}"), &step("w", number)).await.unwrap();
        table.flush().await.unwrap();
    }
    table.close().await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for file in ["table.journal-0", "table.journal-1"] {
        let whole_file = std::fs::read(original.join(file)).unwrap();
        for part in 0..24 {
            let cut = whole_file.len() * part / 24;
            let copy = scratch.path().join("copy");
            copy_directory(&original, &copy);
            let mut torn = whole_file.clone();
            torn[cut..].fill(if part % 2 == 0 { 0 } else { 0xAA });
            std::fs::write(copy.join(file), torn).unwrap();
            // Where the older of two files is torn, transactions are missing: then it must not open.
            match RedbTable::open(&copy, Options::default()) {
                Ok(table) => drop(seen.insert(whole(&table, "w").await)),
                Err(OpenError::Failed { reason, .. }) => assert!(reason.contains("are missing"), "{reason}"),
                Err(other) => panic!("{other}"),
            }
            std::fs::remove_dir_all(copy).unwrap();
        }
    }
    assert!(seen.len() > 3 && seen.contains(&40), "{seen:?}");
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let table = Arc::new(open_small(directory.path()));
    let tasks: Vec<_> = (0..8)
        .map(|writer| {
            let table = Arc::clone(&table);
            tokio::spawn(async move {
                for addition in 0..100 {
                    for attempt in 0.. {
                        let revision =
                            table.get(&key("p", "counter")).await.unwrap().map_or(0, |stored| stored.revision);
                        let condition = if revision == 0 { Condition::Absent } else { Condition::Revision(revision) };
                        let writes = [
                            Write::Put {
                                key: key("p", "counter"),
                                revision: revision + 1,
                                body: Bytes::from(vec![0; 500]),
                                condition,
                            },
                            put("p", &format!("trace/{writer}/{addition}"), revision + 1, Bytes::new()),
                        ];
                        match table.transact(&format!("{writer}-{addition}-{attempt}"), &writes).await {
                            Ok(()) => break,
                            Err(PortError::Conflict) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                    table.flush().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let found = contents(&table, "p").await;
    assert_eq!(found["counter"].0, 800);
    let mut numbers: Vec<_> = found.iter().filter(|(sk, _)| *sk != "counter").map(|(_, (number, _))| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=800).collect::<Vec<_>>());
    let statistics = table.statistics();
    assert!(statistics.journal_syncs < 800, "flushes are shared: {statistics:?}");
    assert!(statistics.checkpoints > 1, "{statistics:?}");
}

#[tokio::test]
async fn flush_when_nothing_is_new_does_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let table = open(directory.path());
    table.flush().await.unwrap();
    table.transact("1", &[put("p", "a", 1, "x")]).await.unwrap();
    table.flush().await.unwrap();
    table.flush().await.unwrap();
    let check = Write::Check { key: key("p", "a"), condition: Condition::Present };
    table.transact("2", &[check]).await.unwrap();
    table.flush().await.unwrap();
    assert_eq!(table.statistics().journal_syncs, 1);
}

#[tokio::test]
async fn observer_sees_transactions_in_commit_order() {
    let directory = tempfile::tempdir().unwrap();
    let seen: Arc<Mutex<Vec<Vec<Write>>>> = Arc::default();
    let record = Arc::clone(&seen);
    let observer: local::table::Observer = Box::new(move |writes| record.lock().unwrap().push(writes.to_vec()));
    let options = Options { observer: Some(observer), ..Options::default() };
    let table = RedbTable::open(directory.path(), options).unwrap();
    let first = [put("p", "a", 1, "x"), put("p", "b", 1, "x")];
    let second = [delete("p", "b")];
    table.transact("1", &first).await.unwrap();
    table.transact("1", &first).await.unwrap();
    let refused = [Write::Check { key: key("p", "a"), condition: Condition::Absent }, put("p", "c", 1, "x")];
    assert!(matches!(table.transact("2", &refused).await, Err(PortError::Conflict)));
    table.transact("3", &second).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [first.to_vec(), second.to_vec()]);
}

#[tokio::test]
async fn rows_come_in_commit_order_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let expected = ["b", "d", "a", "c"];
    for (round, reopen) in [open, open_small, open].into_iter().enumerate() {
        let table = reopen(directory.path());
        if round == 0 {
            for (number, sk) in ["a", "b", "c", "d", "a", "c"].into_iter().enumerate() {
                let writes = [put("p", &format!("row/{sk}"), 1, vec![0; 9_000]), put("p", sk, 1, "other")];
                table.transact(&format!("{number}"), &writes).await.unwrap();
            }
            table.transact("x", &[delete("p", "row/x"), put("q", "row/z", 1, "z")]).await.unwrap();
        }
        let rows = table.rows_in_commit_order("p", "row/").unwrap();
        let order: Vec<_> = rows.iter().map(|(_, key, _)| key.sk.trim_start_matches("row/")).collect();
        assert_eq!(order, expected, "opened {round} times before");
        table.close().await.unwrap();
    }
}

#[tokio::test]
async fn unflushed_writes_survive_a_clean_close_and_a_drop() {
    let directory = tempfile::tempdir().unwrap();
    let table = open(directory.path());
    table.transact("1", &[put("p", "a", 1, "x")]).await.unwrap();
    table.close().await.unwrap();
    assert!(matches!(table.get(&key("p", "a")).await, Err(PortError::Unavailable(_))));
    assert!(matches!(table.transact("2", &[put("p", "b", 1, "x")]).await, Err(PortError::Unavailable(_))));
    table.close().await.expect("closing twice is no error");
    let table = open(directory.path());
    table.transact("3", &[put("p", "b", 1, "x")]).await.unwrap();
    drop(table);
    assert_eq!(contents(&open(directory.path()), "p").await.len(), 2);
}

#[tokio::test]
async fn second_process_is_told_who_has_the_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("data");
    let table = open(&directory);
    let output = again("child_that_opens", &directory).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("in use by another penstock (data directory {})", directory.display());
    assert!(said.contains(&expected), "{said}");
    table.close().await.unwrap();
    let output = again("child_that_opens", &directory).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("opened"), "{output:?}");
}

#[test]
#[ignore = "a child process of another test"]
fn child_that_opens() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    match RedbTable::open(Path::new(&directory), Options::default()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("deep/data");
    let table = open(&directory);
    table.transact("1", &[put("p", "a", 1, "secret")]).await.unwrap();
    table.close().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn newer_format_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).close().await.unwrap();
    let path = directory.path().join("table.redb");
    {
        let database = redb::Database::open(&path).unwrap();
        let write = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        write.open_table(meta).unwrap().insert("format", 2).unwrap();
        write.commit().unwrap();
    }
    let error = RedbTable::open(directory.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn rubbish_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table.redb");
    std::fs::write(&path, "this is no database".repeat(1000)).unwrap();
    let error = RedbTable::open(directory.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = RedbTable::open(&file, Options::default()).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

/// Fills the table until the disk refuses, gives room, and goes on.
async fn run_out_of_space(directory: &Path, exhaust: impl Fn(), relieve: impl Fn(), expected: &str) {
    let table = open_small(directory);
    let mut acknowledged = 0;
    while table.statistics().checkpoints < 3 {
        acknowledged += 1;
        table.transact(&format!("{acknowledged}"), &step("w", acknowledged)).await.unwrap();
        table.flush().await.unwrap();
    }
    exhaust();
    let mut refused = None;
    while refused.is_none() {
        let next = acknowledged + 1;
        match table.transact(&format!("{next}"), &step("w", next)).await {
            Ok(()) => acknowledged = next,
            Err(error) => refused = Some(error.to_string()),
        }
        match table.flush().await {
            Ok(()) => {}
            Err(PortError::Unavailable(reason)) => {
                assert!(reason.contains(expected), "{reason}");
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(whole(&table, "w").await, acknowledged, "what was acknowledged stays visible");
        assert!(acknowledged < 100_000, "the disk never refused");
    }
    // The journal may have room in its files still: then only the checkpoint fails, and at last there is no room for
    // more in memory.
    let refused = refused.unwrap_or_default();
    assert!(refused.contains(expected), "{refused}");
    relieve();
    for next in acknowledged + 1..acknowledged + 60 {
        let write = async || table.transact(&format!("{next}"), &step("w", next)).await;
        // The checkpoint that made room scarce may be tried again only a second later.
        if write().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            write().await.unwrap();
        }
        table.flush().await.unwrap();
    }
    assert_eq!(whole(&table, "w").await, acknowledged + 59);
    drop(table);
    assert_eq!(whole(&open_small(directory), "w").await, acknowledged + 59);
}

/// A limit on the size of files stands for a full disk: it needs no privileges.
#[test]
fn full_disk_loses_nothing_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_with_a_limit", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("healed"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_with_a_limit() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let before = getrlimit(Resource::Fsize);
    let limit = |current| setrlimit(Resource::Fsize, Rlimit { current, maximum: before.maximum }).unwrap();
    // Nothing can be written at all: each file is as large already.
    run_out_of_space(Path::new(&directory), || limit(Some(4096)), || limit(before.current), "File too large").await;
    println!("healed");
}

/// The real thing, where this process may mount a small file system.
#[tokio::test]
async fn full_file_system_loses_nothing_and_heals() {
    let Some(mounted) = Mounted::new() else {
        println!("SKIPPED: a small tmpfs cannot be mounted here");
        return;
    };
    let ballast = mounted.0.join("ballast");
    let exhaust = || {
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    let relieve = || std::fs::remove_file(&ballast).unwrap();
    run_out_of_space(&mounted.0.join("data"), exhaust, relieve, "No space left on device").await;
}

struct Mounted(PathBuf, tempfile::TempDir);

impl Mounted {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self(directory.path().to_path_buf(), directory))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.1.path()).status();
    }
}

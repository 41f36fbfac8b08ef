//! What a transaction costs on the table, beside one `fdatasync` of the same disk.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and benchmarks fail by panicking and say what they skip or measure"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use control::ports::{Condition, Key, Query, Table, Write};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use local::table::{Options, RedbTable};
use tokio::runtime::Runtime;

/// On the disk that builds, not in memory: `/tmp` may be a tmpfs.
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");
const CALLERS: u64 = 64;
const TRANSACTS: u64 = 4;

static TOKENS: AtomicU64 = AtomicU64::new(0);

fn key(sk: String) -> Key {
    Key { pk: "123456789012/eu-west-1/pipeline/0f8fad5b-d9cb-469f-a165-70867728950e".into(), sk }
}

fn put(sk: String, condition: Condition, revision: u64) -> Write {
    Write::Put { key: key(sk), revision, body: Bytes::from(vec![b'x'; 800]), condition }
}

/// What an action's completion writes: one item changed, one row made, one removed.
fn completion(number: u64) -> [Write; 3] {
    [
        put(format!("action/{:06}", number % 1000), Condition::Always, number + 1),
        put(format!("work/{number:020}"), Condition::Absent, 1),
        Write::Delete { key: key(format!("work/{:020}", number.wrapping_sub(100))), condition: Condition::Always },
    ]
}

async fn transact(table: &RedbTable) {
    let number = TOKENS.fetch_add(1, Ordering::Relaxed);
    table.transact(&number.to_string(), &completion(number)).await.unwrap();
}

/// A table that holds ten thousand executions' items already.
fn filled(runtime: &Runtime, directory: &Path) -> RedbTable {
    let table = RedbTable::open(directory, Options::default()).unwrap();
    runtime.block_on(async {
        for chunk in 0..1_200 {
            let writes: Vec<_> =
                (0..100).map(|n| put(format!("history/{chunk:06}/{n:02}"), Condition::Always, 1)).collect();
            table.transact(&format!("fill-{chunk}"), &writes).await.unwrap();
        }
        table.flush().await.unwrap();
    });
    table
}

fn disk(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in(SCRATCH).unwrap();
    let file = File::create(directory.path().join("file")).unwrap();
    file.write_all_at(&vec![0; 1 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut offset = 0;
    criterion.bench_function("disk/write 4 KiB and fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all_at(&[1; 4096], offset).unwrap();
            file.sync_data().unwrap();
            offset = (offset + 4096) % (1 << 20);
        });
    });
}

fn table(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir_in(SCRATCH).unwrap();
    let table = Arc::new(filled(&runtime, directory.path()));

    criterion.bench_function("table/transact (3 writes)", |bencher| {
        bencher.iter(|| runtime.block_on(transact(&table)));
    });
    criterion.bench_function("table/transact and flush, one caller", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                transact(&table).await;
                table.flush().await.unwrap();
            });
        });
    });
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(CALLERS * TRANSACTS)).sample_size(20);
    let before = (table.statistics(), TOKENS.load(Ordering::Relaxed));
    group.bench_function("64 callers, 4 transacts and a flush each", |bencher| {
        bencher.iter_custom(|rounds| runtime.block_on(callers(&table, rounds)));
    });
    group.finish();
    let after = table.statistics();
    let transactions = after.transactions - before.0.transactions;
    let syncs = after.journal_syncs - before.0.journal_syncs;
    let checkpoints = after.checkpoints - before.0.checkpoints;
    println!("{transactions} transactions, {syncs} fdatasyncs, {checkpoints} checkpoints");

    criterion.bench_function("table/get", |bencher| {
        let key = key("history/000600/50".into());
        bencher.iter(|| runtime.block_on(table.get(&key)).unwrap().unwrap());
    });
    criterion.bench_function("table/query of 50", |bencher| {
        let query =
            Query { pk: key(String::new()).pk, prefix: "history/0007".into(), after: None, limit: 50, backward: false };
        bencher.iter(|| runtime.block_on(table.query(&query)).unwrap());
    });
}

async fn callers(table: &Arc<RedbTable>, rounds: u64) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|_| {
            let table = Arc::clone(table);
            tokio::spawn(async move {
                for _ in 0..rounds {
                    for _ in 0..TRANSACTS {
                        transact(&table).await;
                    }
                    table.flush().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

/// The time to open a table of ten thousand executions, as a crash and as a clean stop left it.
fn open(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let scratch = tempfile::tempdir_in(SCRATCH).unwrap();
    let (crashed, closed, copy) =
        (scratch.path().join("crashed"), scratch.path().join("closed"), scratch.path().join("copy"));
    let table = filled(&runtime, &closed);
    // Flushed but not closed: what `kill -9` leaves.
    copy_directory(&closed, &crashed);
    runtime.block_on(table.close()).unwrap();
    let mut group = criterion.benchmark_group("open");
    group.sample_size(10);
    for (name, original) in [("after kill -9", &crashed), ("after a clean stop", &closed)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                (0..rounds)
                    .map(|_| {
                        copy_directory(original, &copy);
                        let start = Instant::now();
                        let table = RedbTable::open(&copy, Options::default()).unwrap();
                        let time = start.elapsed();
                        drop(table);
                        std::fs::remove_dir_all(&copy).unwrap();
                        time
                    })
                    .sum()
            });
        });
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = to.join(entry.file_name());
        std::fs::copy(entry.path(), &path).unwrap();
        // Else the opening's first fsync would write the copy out.
        File::open(path).unwrap().sync_all().unwrap();
    }
}

criterion_group!(benches, disk, table, open);
criterion_main!(benches);

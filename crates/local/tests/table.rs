//! The table on redb.

use local::table::{Options, RedbTable};
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redb_table_keeps_the_contract() {
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

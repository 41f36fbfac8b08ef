use super::*;

async fn open() -> (tempfile::TempDir, LocalArtifacts) {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalArtifacts::open(dir.path().join("artifacts"), Durability::Synced).unwrap();
    (dir, store)
}

#[tokio::test]
async fn keeps_the_contract() {
    let (dir, store) = open().await;
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    testkit::contract::artifacts(&store, "bucket", &scratch).await;
}

#[tokio::test]
async fn what_is_stored_is_fetched_and_never_written_over() {
    let (dir, store) = open().await;
    let file = dir.path().join("file");
    fs::write(&file, "abc").unwrap();
    let (digest, size) = store.store("bucket", "p/a/1", &file).await.unwrap();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(size, 3);
    fs::write(&file, "abcd").unwrap();
    store.fetch("bucket", "p/a/1", &dir.path().join("out")).await.unwrap();
    assert_eq!(fs::read(dir.path().join("out")).unwrap(), b"abc");
    assert!(matches!(store.fetch("bucket", "p/a/1", &file).await, Err(PortError::Invalid(_))));
    assert_eq!(fs::read(&file).unwrap(), b"abcd", "a file that is there stays");
    let absent = store.fetch("bucket", "p/a/2", &dir.path().join("none")).await;
    assert!(matches!(absent, Err(PortError::NotFound(_))), "{absent:?}");
    assert!(!dir.path().join("none").exists());
    let gone = store.store("bucket", "p/a/3", &dir.path().join("gone")).await;
    assert!(matches!(gone, Err(PortError::NotFound(_))), "{gone:?}");
}

#[tokio::test]
async fn sharing_copies_nothing_and_outlives_the_first() {
    use std::os::unix::fs::MetadataExt;
    let (_dir, store) = open().await;
    let made = store.incoming();
    fs::write(&made, "zip").unwrap();
    store.adopt("b", "p/a/1", &made).await.unwrap();
    assert!(!made.exists());
    let first = store.path("b", "p/a/1").unwrap();
    store.share(&first, "b", "p/a/2").await.unwrap();
    let second = store.path("b", "p/a/2").unwrap();
    assert_eq!(fs::metadata(&first).unwrap().ino(), fs::metadata(&second).unwrap().ino());
    assert_eq!(fs::metadata(&second).unwrap().mode() & 0o777, 0o444);
    fs::remove_file(&first).unwrap();
    assert_eq!(fs::read(&second).unwrap(), b"zip");
    assert!(matches!(store.share(&first, "b", "p/a/3").await, Err(PortError::NotFound(_))));
}

#[tokio::test]
async fn keys_and_buckets_that_lead_out_are_refused() {
    let (dir, store) = open().await;
    let file = dir.path().join("file");
    fs::write(&file, "abc").unwrap();
    for (bucket, key) in [
        ("b", ""),
        ("b", "../x"),
        ("b", "a/../../x"),
        ("b", "/etc/x"),
        ("b", "a/"),
        ("b", "a\0b"),
        ("", "a"),
        ("..", "a"),
        (".incoming", "a"),
        ("a/b", "c"),
        ("a/", "c"),
        ("/", "c"),
    ] {
        let stored = store.store(bucket, key, &file).await;
        assert!(matches!(stored, Err(PortError::Invalid(_))), "{bucket:?} {key:?}: {stored:?}");
        let fetched = store.fetch(bucket, key, &dir.path().join("out")).await;
        assert!(matches!(fetched, Err(PortError::Invalid(_))), "{bucket:?} {key:?}: {fetched:?}");
    }
}

#[tokio::test]
async fn many_at_once_all_arrive_and_leave_nothing_behind() {
    let (dir, store) = open().await;
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let (store, file) = (store.clone(), dir.path().join(number.to_string()));
            tokio::spawn(async move {
                fs::write(&file, number.to_string()).unwrap();
                store.store("b", &format!("p{}/a/{number}", number % 7), &file).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for number in 0..60 {
        let path = store.path("b", &format!("p{}/a/{number}", number % 7)).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), number.to_string());
    }
    assert_eq!(fs::read_dir(dir.path().join("artifacts").join(INCOMING)).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed() {
    let (dir, store) = open().await;
    fs::write(store.incoming(), "half").unwrap();
    drop(store);
    let store = LocalArtifacts::open(dir.path().join("artifacts"), Durability::Buffered).unwrap();
    assert!(!store.incoming().exists());
}

/// A store with one artifact, `b/p0/a/0`, and names of it in as many other directories.
async fn shared(directories: usize) -> (tempfile::TempDir, LocalArtifacts) {
    let (dir, store) = open().await;
    let made = store.incoming();
    fs::write(&made, "zip").unwrap();
    store.adopt("b", "p0/a/0", &made).await.unwrap();
    let first = store.path("b", "p0/a/0").unwrap();
    // The directories become durable one by one, and are listed from then on.
    for number in 0..directories {
        store.share(&first, "b", &format!("p{number}/a/first")).await.unwrap();
    }
    share_everywhere(&store, directories, 0..1).await;
    (dir, store)
}

/// Shares `b/p0/a/0` with every directory, all at once.
async fn share_everywhere(store: &LocalArtifacts, directories: usize, rounds: std::ops::Range<usize>) {
    let first = store.path("b", "p0/a/0").unwrap();
    let keys = rounds.flat_map(|round| (0..directories).map(move |number| format!("p{number}/a/round{round}")));
    let shares = keys.map(|key| {
        let (store, first) = (store.clone(), first.clone());
        tokio::spawn(async move { store.share(&first, "b", &key).await.unwrap() })
    });
    for share in shares.collect::<Vec<_>>() {
        share.await.unwrap();
    }
}

/// The names listed in a closed store, as they stand in its file.
fn listed(root: &Path) -> Vec<(String, String)> {
    let text = fs::read(root.join(".names")).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
}

#[tokio::test]
async fn names_that_a_loss_of_power_took_are_put_back() {
    let (dir, store) = shared(20).await;
    share_everywhere(&store, 20, 1..3).await;
    drop(store);
    let root = dir.path().join("artifacts");
    let names = listed(&root);
    assert!(names.len() > 20, "{names:?}");
    // What is listed may be lost: the directories are not synced yet.
    for (to, _) in &names {
        fs::remove_file(root.join(to)).unwrap();
    }
    let store = LocalArtifacts::open(&root, Durability::Synced).unwrap();
    for (to, from) in &names {
        let (bucket, key) = to.split_once('/').unwrap();
        let out = dir.path().join("out");
        store.fetch(bucket, key, &out).await.unwrap();
        assert_eq!(fs::read(&out).unwrap(), b"zip", "{to} from {from}");
        fs::remove_file(&out).unwrap();
    }
    // Their directories are synced from now on: nothing stays listed, also where nothing more is shared.
    for _ in 0..500 {
        if listed(&root).is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("still listed: {:?}", listed(&root));
}

#[tokio::test]
async fn a_list_torn_in_its_last_flush_is_read_up_to_there() {
    let (dir, store) = shared(3).await;
    drop(store);
    let root = dir.path().join("artifacts");
    let whole = r#"["b/p1/a/whole","b/p0/a/0"]"#;
    let torn = r#"["b/p1/a/torn","b/p0/a/0"]"#;
    for torn in ["", &format!("{}\0\0\0", &torn[..20]), torn, &format!("\0\n{torn}\n")] {
        let _ = fs::remove_file(root.join("b/p1/a/whole"));
        fs::write(root.join(".names"), format!("{whole}\n{torn}")).unwrap();
        let store = LocalArtifacts::open(&root, Durability::Buffered).unwrap();
        assert!(store.path("b", "p1/a/whole").unwrap().exists(), "{torn}");
        assert!(!store.path("b", "p1/a/torn").unwrap().exists(), "{torn}");
    }
}

#[tokio::test]
async fn a_list_never_leads_out_of_the_store_nor_writes_over_what_is_there() {
    let (dir, store) = shared(3).await;
    let file = dir.path().join("other");
    fs::write(&file, "other").unwrap();
    store.store("b", "p1/a/taken", &file).await.unwrap();
    drop(store);
    let root = dir.path().join("artifacts");
    let lines = [
        r#"["b/p1/a/taken","b/p0/a/0"]"#,
        r#"["b/p1/a/of-nothing","b/p0/a/gone"]"#,
        r#"["../escaped","b/p0/a/0"]"#,
        r#"["b/p1/a/after","b/p0/a/0"]"#,
    ];
    fs::write(root.join(".names"), lines.join("\n") + "\n").unwrap();
    let store = LocalArtifacts::open(&root, Durability::Buffered).unwrap();
    assert_eq!(fs::read(store.path("b", "p1/a/taken").unwrap()).unwrap(), b"other");
    assert!(!store.path("b", "p1/a/of-nothing").unwrap().exists());
    assert!(!dir.path().join("escaped").exists());
    assert!(!store.path("b", "p1/a/after").unwrap().exists(), "nothing after what no store has written");
}

#[tokio::test]
async fn a_name_that_was_taken_is_replaced() {
    let (dir, store) = shared(3).await;
    let file = dir.path().join("other");
    fs::write(&file, "other").unwrap();
    store.store("b", "p1/a/taken", &file).await.unwrap();
    store.share(&store.path("b", "p0/a/0").unwrap(), "b", "p1/a/taken").await.unwrap();
    assert_eq!(fs::read(store.path("b", "p1/a/taken").unwrap()).unwrap(), b"zip");
}

#[tokio::test]
async fn a_long_list_is_settled() {
    let (dir, store) = shared(40).await;
    share_everywhere(&store, 40, 1..60).await;
    let names = listed(&dir.path().join("artifacts"));
    assert!(names.len() <= 1_000, "{} names are still listed", names.len());
    for number in 0..40 {
        assert!(store.path("b", &format!("p{number}/a/round59")).unwrap().exists());
    }
}

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

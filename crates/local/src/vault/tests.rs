//! Secrets come back as they were put, and are nobody else's.

use std::os::unix::fs::PermissionsExt;

use control::connections::Vault;
use control::ports::PortError;

use control::sealing::Sealer;

use super::{FileVault, KeySealer};

#[tokio::test]
async fn secrets_are_kept_replaced_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let vault = FileVault::new(dir.path().join("secrets"));
    assert_eq!(vault.get("connection/1/token").await.unwrap(), None);
    vault.put("connection/1/token", "one").await.unwrap();
    vault.put("connection/1/token", "two\n").await.unwrap();
    vault.put("connection/1/webhook", "other").await.unwrap();
    assert_eq!(vault.get("connection/1/token").await.unwrap().as_deref(), Some("two\n"));
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("secrets"), mode("secrets/connection/1")), (0o700, 0o700));
    assert_eq!(mode("secrets/connection/1/token"), 0o600);
    vault.delete("connection/1/token").await.unwrap();
    vault.delete("connection/1/token").await.unwrap();
    assert_eq!(vault.get("connection/1/token").await.unwrap(), None);
    assert_eq!(vault.get("connection/1/webhook").await.unwrap().as_deref(), Some("other"));
}

#[tokio::test]
async fn names_do_not_lead_out() {
    let dir = tempfile::tempdir().unwrap();
    let vault = FileVault::new(dir.path().join("secrets"));
    for name in ["../x", "/etc/x", "a//b", "", "a/../b", "a.b"] {
        assert!(matches!(vault.put(name, "s").await, Err(PortError::Invalid(_))), "{name}");
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn secrets_are_sealed_by_a_key_that_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let sealer = || KeySealer::new(FileVault::new(dir.path().join("secrets")));
    let early = sealer().open("place", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert!(matches!(early, Err(PortError::Corrupt(_))));
    assert!(!dir.path().join("secrets").exists(), "no key is made to open by");
    testkit::contract::sealing(&sealer()).await;
    testkit::contract::sealing_tells_changes(&sealer()).await;
    let sealed = sealer().seal("place", "hush").await.unwrap();
    assert_eq!(sealer().open("place", &sealed).await.unwrap(), "hush");
    let key = dir.path().join("secrets/sealing/key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&key, "short").unwrap();
    assert!(matches!(sealer().seal("place", "hush").await, Err(PortError::Corrupt(_))));
}

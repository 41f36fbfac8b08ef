//! What every artifact store must do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a contract suite is a test: a panic is its verdict")]

use std::fs;
use std::path::{Path, PathBuf};

use control::ports::{Artifacts, PortError};

use crate::artifacts::hexadecimal;

/// Sizes around those at which a store may go another way.
const SIZES: [usize; 8] = [0, 1, 4095, 65_536, 128 * 1024 + 1, 8 * MIB - 1, 8 * MIB, 17 * MIB + 11];
const MIB: usize = 1024 * 1024;

/// Runs the whole suite on a bucket of the store, with scratch files in an empty directory.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn artifacts(store: &impl Artifacts, bucket: &str, scratch: &Path) {
    let suite = Suite { store, bucket, scratch };
    suite.sizes().await;
    suite.keys().await;
    suite.replaces().await;
    suite.never_writes_over().await;
    suite.missing().await;
    suite.many_at_once().await;
}

struct Suite<'a, A> {
    store: &'a A,
    bucket: &'a str,
    scratch: &'a Path,
}

/// Bytes that repeat nowhere near a part's size.
fn content(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..size).map(|_| next()).collect()
}

impl<A: Artifacts> Suite<'_, A> {
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.scratch.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    async fn fetched(&self, key: &str) -> Vec<u8> {
        let path = self.scratch.join("fetched");
        self.store.fetch(self.bucket, key, &path).await.unwrap();
        let content = fs::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        content
    }

    /// Every size comes back as stored, with its digest and size.
    async fn sizes(&self) {
        for (number, size) in SIZES.into_iter().enumerate() {
            let stored = content(size, u8::try_from(number).unwrap());
            let path = self.file("stored", &stored);
            let key = format!("sizes/{size}");
            let answer = self.store.store(self.bucket, &key, &path).await.unwrap();
            assert_eq!(answer, (hexadecimal(&stored), size as u64), "{size} bytes");
            assert!(self.fetched(&key).await == stored, "{size} bytes come back as stored");
            assert_eq!(fs::read(&path).unwrap().len(), size, "the file that was stored stays");
        }
    }

    async fn keys(&self) {
        let keys = ["k", "deep/er/and/deeper", "with space", "plus+and%20percent", "é/ü", "a.b/c=d,e@f(g)'h"];
        for key in keys {
            let path = self.file("stored", key.as_bytes());
            self.store.store(self.bucket, key, &path).await.unwrap();
        }
        for key in keys {
            assert_eq!(self.fetched(key).await, key.as_bytes(), "{key:?}");
        }
    }

    async fn replaces(&self) {
        for text in ["first", "second, which is longer", "3"] {
            let path = self.file("stored", text.as_bytes());
            self.store.store(self.bucket, "replaced", &path).await.unwrap();
            assert_eq!(self.fetched("replaced").await, text.as_bytes());
        }
    }

    async fn never_writes_over(&self) {
        let path = self.file("stored", b"stored");
        self.store.store(self.bucket, "kept", &path).await.unwrap();
        let there = self.file("there", b"was here before");
        let answer = self.store.fetch(self.bucket, "kept", &there).await;
        assert!(matches!(answer, Err(PortError::Invalid(_))), "fetching over a file: {answer:?}");
        assert_eq!(fs::read(&there).unwrap(), b"was here before");
    }

    async fn missing(&self) {
        let to = self.scratch.join("missing");
        for (bucket, key) in [(self.bucket, "nothing"), (self.bucket, "sizes"), ("no-such-bucket-0f3a", "nothing")] {
            let answer = self.store.fetch(bucket, key, &to).await;
            assert!(matches!(answer, Err(PortError::NotFound(_))), "fetching {bucket}/{key}: {answer:?}");
            assert!(!to.exists(), "what is not there leaves no file");
        }
        let answer = self.store.store(self.bucket, "missing", &self.scratch.join("gone")).await;
        assert!(matches!(answer, Err(PortError::NotFound(_))), "storing a file that is not there: {answer:?}");
        let answer = self.store.fetch(self.bucket, "missing", &to).await;
        assert!(matches!(answer, Err(PortError::NotFound(_))), "then nothing is stored: {answer:?}");
    }

    /// Writers of one key: the last one's content is there, whole.
    async fn many_at_once(&self) {
        let contents: Vec<_> = (0..6).map(|n| content(200_000 + usize::from(n), n)).collect();
        let paths: Vec<_> = (0..).zip(&contents).map(|(n, content)| self.file(&format!("{n}"), content)).collect();
        let stores = paths.iter().map(|path| self.store.store(self.bucket, "contended", path));
        for (answer, content) in futures::future::join_all(stores).await.into_iter().zip(&contents) {
            assert_eq!(answer.unwrap().0, hexadecimal(content));
        }
        let found = self.fetched("contended").await;
        assert!(contents.contains(&found), "what lies there was stored by one of them");
        let own = paths.iter().enumerate().map(|(n, path)| async move {
            let key = format!("own/{n}");
            self.store.store(self.bucket, &key, path).await.expect("another key");
            key
        });
        for (key, content) in futures::future::join_all(own).await.iter().zip(&contents) {
            assert!(self.fetched(key).await == *content, "{key}");
        }
    }
}

//! The parts of the table that a crash at a chosen byte must not break.

use std::time::{Duration, Instant};

use bytes::Bytes;
use control::ports::{Condition, Key, Query, Write};

use super::journal::{Journal, RecordWriter, Recovered};
use super::overlay::{Entry, Overlay, Stretch, encode};
use super::tokens::{Known, MOST, Tokens};

/// A transaction that puts `a` at its own number as revision, and removes the one before's trace.
fn record(commit: u64, body: &str) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut record = RecordWriter::new(&mut buffer, commit);
    record.put(b"p\0a", commit, body.as_bytes());
    record.put(format!("p\0t{commit}").as_bytes(), 1, b"");
    record.delete(format!("p\0t{}", commit - 1).as_bytes());
    record.finish();
    buffer
}

fn revision(overlay: &Overlay) -> Option<u64> {
    overlay.look(b"p\0a").and_then(|(entry, _)| entry).map(|entry| entry.revision)
}

fn recover(directory: &std::path::Path, checkpoint: u64) -> (Journal, Recovered) {
    let mut journal = Journal::open(directory).unwrap();
    let recovered = journal.recover(checkpoint).unwrap();
    (journal, recovered)
}

fn file(directory: &std::path::Path, number: u8) -> std::path::PathBuf {
    directory.join(format!("table.journal-{number}"))
}

#[test]
fn journal_cut_anywhere_keeps_whole_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let mut ends = vec![0];
    {
        let (mut journal, _) = recover(directory.path(), 0);
        for commit in 1..=3 {
            journal.append(&record(commit, "body")).unwrap();
            ends.push(usize::try_from(journal.bytes()).unwrap());
        }
    }
    let whole = std::fs::read(file(directory.path(), 0)).unwrap();
    for length in (0..=ends[3]).filter(|length| length % 5 == 0 || ends.contains(length)) {
        for damage in ["cut", "zeroed", "flipped"] {
            let mut damaged = whole.clone();
            match damage {
                "cut" => damaged.truncate(length),
                "zeroed" => damaged[length..].fill(0),
                _ => damaged[length.min(ends[3] - 1)] ^= 0x10,
            }
            std::fs::write(file(directory.path(), 0), &damaged).unwrap();
            let (_, recovered) = recover(directory.path(), 0);
            let at = if damage == "flipped" { length.min(ends[3] - 1) } else { length };
            let expected = ends.iter().filter(|end| **end <= at && **end > 0).count() as u64;
            assert_eq!(recovered.last_commit, expected, "{damage} at {length}");
            assert_eq!(revision(&recovered.recent).unwrap_or(0), expected, "{damage} at {length}");
        }
    }
}

#[test]
fn journal_never_revives_what_a_crash_lost() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = recover(directory.path(), 0);
        for commit in 1..=4 {
            journal.append(&record(commit, "old")).unwrap();
        }
    }
    // A power failure lost the second record but not those behind it.
    let path = file(directory.path(), 0);
    let mut torn = std::fs::read(&path).unwrap();
    torn[record(1, "old").len() + 20] ^= 1;
    std::fs::write(&path, torn).unwrap();
    {
        let (mut journal, recovered) = recover(directory.path(), 0);
        assert_eq!(recovered.last_commit, 1);
        journal.append(&record(2, "new")).unwrap();
    }
    let (_, recovered) = recover(directory.path(), 0);
    assert_eq!(recovered.last_commit, 2, "the third record is one of a lost past");
    assert_eq!(revision(&recovered.recent), Some(2));
}

#[test]
fn journal_files_take_turns() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = recover(directory.path(), 10);
        for commit in 11..=16 {
            journal.append(&record(commit, "first turn")).unwrap();
        }
        journal.rotate();
        for commit in 17..=19 {
            journal.append(&record(commit, "second turn")).unwrap();
        }
    }
    {
        // The crash came before the checkpoint: both files count.
        let (_, recovered) = recover(directory.path(), 10);
        assert_eq!(revision(recovered.frozen.as_ref().unwrap()), Some(16));
        assert_eq!(recovered.frozen.as_ref().unwrap().last_commit(), 16);
        assert_eq!((revision(&recovered.recent), recovered.last_commit), (Some(19), 19));
    }
    // The checkpoint was made: the first file is used again from its start. The new record is as long as the one it
    // overwrites, so that those behind it are whole.
    let (mut journal, _) = recover(directory.path(), 10);
    journal.rotate();
    journal.append(&record(20, "third turn")).unwrap();
    drop(journal);
    let (_, recovered) = recover(directory.path(), 19);
    assert!(recovered.frozen.is_none());
    assert_eq!((revision(&recovered.recent), recovered.last_commit), (Some(20), 20));
}

#[test]
fn journal_behind_its_checkpoint_is_not_needed() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = recover(directory.path(), 0);
        journal.append(&record(1, "x")).unwrap();
    }
    let (mut journal, recovered) = recover(directory.path(), 8);
    assert_eq!((revision(&recovered.recent), recovered.last_commit), (None, 8));
    journal.append(&record(9, "x")).unwrap();
    drop(journal);
    assert_eq!(recover(directory.path(), 8).1.last_commit, 9);
}

#[test]
fn journal_has_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path()).unwrap();
    assert_eq!(Journal::open(directory.path()).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    Journal::open(directory.path()).unwrap();
}

#[test]
fn journal_says_when_transactions_are_missing() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (mut journal, _) = recover(directory.path(), 4);
        journal.append(&record(5, "x")).unwrap();
    }
    let error = Journal::open(directory.path()).unwrap().recover(2).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("transactions from 3 on are missing"), "{error}");
}

#[test]
fn journal_overwrites_its_files_without_growing_them() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = recover(directory.path(), 0);
    let mut commit = 0;
    let mut lengths = Vec::new();
    for _ in 0..6 {
        while journal.bytes() < 300_000 {
            commit += 1;
            journal.append(&record(commit, &"x".repeat(50_000))).unwrap();
        }
        lengths.push(std::fs::metadata(file(directory.path(), 0)).unwrap().len());
        journal.rotate();
    }
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[test]
fn overlay_counts_what_it_holds() {
    let entry = |body: &'static str| Entry { revision: 1, commit: 1, body: Bytes::from_static(body.as_bytes()) };
    let mut overlay = Overlay::default();
    overlay.put(b"ab".to_vec(), entry("12345"), false);
    overlay.put(b"cd".to_vec(), entry("1"), true);
    assert_eq!(overlay.bytes(), 10);
    overlay.put(b"ab".to_vec(), entry("1"), false);
    assert_eq!(overlay.bytes(), 6);
    overlay.remove(b"cd".to_vec(), 2, true);
    assert_eq!(overlay.look(b"cd").map(|(entry, _)| entry.is_some()), Some(false), "it hides what lies below");
    assert_eq!(overlay.bytes(), 5);
    overlay.remove(b"ab".to_vec(), 3, false);
    overlay.remove(b"ef".to_vec(), 3, false);
    assert!(overlay.look(b"ab").is_none(), "nothing lies below: no trace is needed");
    assert_eq!((overlay.bytes(), overlay.rows().count(), overlay.last_commit()), (2, 1, 3));
}

#[test]
fn stretch_holds_the_prefix_and_nothing_else() {
    let stretch = Stretch::of("p", "a/");
    let inside = |sk: &str| stretch.lower <= encode("p", sk) && encode("p", sk) < stretch.upper;
    for (sk, expected) in [("a", false), ("a/", true), ("a/\0", true), ("a/\u{10ffff}", true), ("a0", false)] {
        assert_eq!(inside(sk), expected, "{sk:?}");
    }
    let query = |after: &str, backward| Query {
        pk: "p".into(),
        prefix: "b".into(),
        after: Some(after.into()),
        limit: 1,
        backward,
    };
    assert!(Stretch::of_query(&query("c", false)).is_empty());
    assert!(Stretch::of_query(&query("b", true)).is_empty());
    assert!(!Stretch::of_query(&query("b", false)).is_empty());
    assert_eq!(Stretch::of_query(&query("a", false)), Stretch::of("p", "b"));
}

#[test]
fn tokens_are_forgotten_after_ten_minutes() {
    let write = |sk: &str| [Write::Delete { key: Key { pk: "p".into(), sk: sk.into() }, condition: Condition::Always }];
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut tokens = Tokens::default();
    assert_eq!(tokens.look("t", &write("a"), at(0)), Known::New);
    tokens.remember("t", &write("a"), at(0));
    tokens.remember("u", &write("a"), at(300));
    assert_eq!(tokens.look("t", &write("a"), at(600)), Known::Same);
    assert_eq!(tokens.look("t", &write("b"), at(600)), Known::Other);
    assert_eq!(tokens.look("t", &write("b"), at(601)), Known::New);
    tokens.remember("t", &write("b"), at(601));
    assert_eq!(tokens.look("t", &write("b"), at(601)), Known::Same);
    assert_eq!(tokens.look("u", &write("a"), at(601)), Known::Same);
}

#[test]
fn tokens_have_a_bound() {
    let mut tokens = Tokens::default();
    let now = Instant::now();
    for number in 0..=MOST {
        tokens.remember(&format!("{number}"), &[], now);
    }
    assert_eq!(tokens.look("0", &[], now), Known::New);
    assert_eq!(tokens.look("1", &[], now), Known::Same);
}

//! What becomes of output on its way to the log.

use engine::Slot;
use model::ExecutionId;

use super::*;

fn key() -> ActionKey {
    ActionKey {
        execution: ExecutionId(uuid::Uuid::from_u128(7)),
        stage: "Build".into(),
        slot: Slot::RunOrder(1),
        name: "Run".into(),
        attempt: 1,
    }
}

struct Written {
    directory: tempfile::TempDir,
    sink: LogSink,
}

fn sink(secrets: &[&str], cap: u64) -> Written {
    let directory = tempfile::tempdir().unwrap();
    let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    let sink = LogSink::new(directory.path().join("a/b/run.log"), key(), &secrets, cap, None).unwrap();
    Written { directory, sink }
}

impl Written {
    fn text(&self) -> String {
        self.sink.finish();
        fs::read_to_string(self.directory.path().join("a/b/run.log")).unwrap()
    }
}

#[test]
fn an_action_that_says_nothing_has_no_log() {
    let written = sink(&[], 1 << 20);
    written.sink.write(b"");
    written.sink.finish();
    assert!(!written.directory.path().join("a").exists());
    written.sink.write(b"x");
    assert_eq!(written.text(), "x\n");
}

#[test]
fn a_secret_is_masked_wherever_the_output_was_cut() {
    let text = b"the token is s3cr3t-t0k3n, see\nover s3cr3t-\nt0k3n\n";
    for cut in 0..text.len() {
        let written = sink(&["s3cr3t-t0k3n"], 1 << 20);
        let (first, rest) = text.split_at(cut);
        written.sink.write(first);
        written.sink.write(rest);
        assert_eq!(written.text(), "the token is ***, see\nover s3cr3t-\nt0k3n\n", "cut at {cut}");
    }
}

#[test]
fn long_lines_are_split_and_secrets_at_the_split_are_masked() {
    let secret = "s3cr3t-t0k3n";
    for before in LONGEST_LINE_BYTES - 14..LONGEST_LINE_BYTES + 2 {
        let written = sink(&[secret], 1 << 20);
        written.sink.write("x".repeat(before).as_bytes());
        written.sink.write(secret.as_bytes());
        written.sink.write("y".repeat(LONGEST_LINE_BYTES).as_bytes());
        let text = written.text();
        assert!(text.lines().all(|line| line.len() <= LONGEST_LINE_BYTES + secret.len()), "{before}");
        let whole: String = text.lines().collect();
        assert_eq!(whole, format!("{}***{}", "x".repeat(before), "y".repeat(LONGEST_LINE_BYTES)), "{before}");
    }
}

#[test]
fn a_secret_longer_than_a_line_is_masked() {
    let secret = "abcdefghij".repeat(LONGEST_LINE_BYTES / 4);
    let written = sink(&[&secret], 1 << 20);
    for piece in format!("before {secret} after\n").as_bytes().chunks(1000) {
        written.sink.write(piece);
    }
    assert_eq!(written.text(), "before *** after\n");
}

#[test]
fn characters_are_not_split() {
    let written = sink(&[], 1 << 20);
    written.sink.write(format!("x{}\n", "ä".repeat(LONGEST_LINE_BYTES)).as_bytes());
    let text = written.text();
    assert!(!text.contains('\u{fffd}'));
    assert_eq!(text.matches('ä').count(), LONGEST_LINE_BYTES);
}

#[test]
fn carriage_returns_show_what_a_terminal_would() {
    for (text, expected) in
        [("a\r\nb\r\n", "a\nb\n"), ("10%\r20%\r100%\n", "100%\n"), ("10%\r", "10%\n"), ("\r\r\n", "\n")]
    {
        let written = sink(&[], 1 << 20);
        for byte in text.as_bytes() {
            written.sink.write(&[*byte]);
        }
        assert_eq!(written.text(), expected, "{text:?}");
    }
}

#[test]
fn what_is_no_text_is_replaced() {
    let written = sink(&[], 1 << 20);
    written.sink.write(b"a\xff\xc3");
    written.sink.write(b"\xa4b\n");
    assert_eq!(written.text(), "a\u{fffd}äb\n");
    assert_eq!(log_cut_at(&written.sink.path), None);
}

#[test]
fn beyond_the_cap_nothing_is_kept_but_the_last_lines_are_known() {
    let written = sink(&[], 12);
    for number in 0..100 {
        written.sink.write(format!("{number:03}\n").as_bytes());
    }
    assert_eq!(written.text(), "000\n001\n002\n[penstock] The output exceeds 12 bytes; the rest was dropped.\n");
    assert_eq!(log_cut_at(&written.sink.path), Some(12));
    let tail = written.sink.tail();
    assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "080", "099"));
}

#[test]
fn watchers_get_masked_lines_and_slow_ones_miss_some() {
    let directory = tempfile::tempdir().unwrap();
    let (sender, mut receiver) = broadcast::channel(2);
    let sink = LogSink::new(directory.path().join("log"), key(), &["hunter22".into()], 1 << 20, Some(sender)).unwrap();
    sink.write(b"one\ntwo hunter22\nthree");
    assert_eq!(receiver.try_recv().unwrap(), OutputLine { key: key(), line: "one".into() });
    assert_eq!(receiver.try_recv().unwrap().line, "two ***");
    sink.write(b"\nfour\nfive\n");
    assert_eq!(receiver.try_recv(), Err(broadcast::error::TryRecvError::Lagged(1)));
    assert_eq!(receiver.try_recv().unwrap().line, "four");
}

#[test]
fn a_log_is_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    for line in ["first\n", "second\n"] {
        LogSink::new(directory.path().join("log"), key(), &[], 100, None).unwrap().write(line.as_bytes());
    }
    assert_eq!(fs::read_to_string(directory.path().join("log")).unwrap(), "first\nsecond\n");
}

#[test]
fn every_action_rule_and_attempt_has_a_log_of_its_own() {
    let path = |pipeline: &str, key: &ActionKey| log_location(&pipeline.into(), key).display().to_string();
    let execution = key().execution;
    assert_eq!(path("shop", &key()), format!("logs/shop/{execution}/Build.Run.1.log"));
    let rule = ActionKey { slot: Slot::Rule(model::ConditionSlot::BeforeEntry), ..key() };
    assert_eq!(path("shop", &rule), format!("logs/shop/{execution}/Build.BEFORE_ENTRY.Run.1.log"));
    let one = ActionKey { stage: "A.B".into(), name: "C".into(), ..key() };
    let other = ActionKey { stage: "A".into(), name: "B.C".into(), ..key() };
    assert_ne!(path("shop", &one), path("shop", &other));
    assert!(!path("..", &key()).contains(".."), "a pipeline may have this name");
}

#[test]
fn a_log_is_read_piece_by_piece_without_splitting_characters() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let text = "aä€𝄞\n".repeat(10);
    fs::write(&path, &text).unwrap();
    let (mut read, mut offset) = (String::new(), 0);
    loop {
        let chunk = read_log(&path, offset, 5).unwrap();
        assert!(!chunk.text.contains('\u{fffd}'));
        read.push_str(&chunk.text);
        offset = chunk.next;
        if chunk.at_end {
            break;
        }
    }
    assert_eq!((read, offset), (text.clone(), text.len() as u64));
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more\n").unwrap();
    let chunk = read_log(&path, offset, 100).unwrap();
    assert_eq!((chunk.text.as_str(), chunk.at_end), ("more\n", true));
    assert!(read_log(&directory.path().join("none"), 0, 10).is_err());
}

//! An action's output: into its log file, capped and without secrets, and on to whoever watches.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::ActionKey;
use model::PipelineName;
use tokio::sync::broadcast;

use super::Masker;

/// How much of an action's output is kept by default.
pub const LOG_CAP_BYTES: u64 = 10 * 1024 * 1024;
/// Longer lines are written as several.
const LONGEST_LINE_BYTES: usize = 16 * 1024;
/// The length of the longest character in UTF-8.
const LONGEST_CHARACTER_BYTES: usize = 4;
/// How many of the last lines are kept for failure messages.
const TAIL_LINES: usize = 20;

/// The last line of a log that was cut, around the number of bytes that are kept.
const CUT_BEFORE: &str = "[penstock] The output exceeds ";
const CUT_BEHIND: &str = " bytes; the rest was dropped.\n";

/// One line of an action's output, as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// The action.
    pub key: ActionKey,
    /// The line without its end, secrets masked. May hold a terminal's control sequences.
    pub line: String,
}

/// Where an action's log lies, relative to the data directory.
pub fn log_location(pipeline: &PipelineName, key: &ActionKey) -> PathBuf {
    control::logs::log_location(pipeline, key).into()
}

/// Where an action's log lies.
pub fn log_path(data: &Path, pipeline: &PipelineName, key: &ActionKey) -> PathBuf {
    data.join(log_location(pipeline, key))
}

/// Takes an action's output.
pub struct LogSink {
    path: PathBuf,
    key: ActionKey,
    masker: Masker,
    cap: u64,
    watchers: Option<broadcast::Sender<OutputLine>>,
    state: Mutex<State>,
}

struct State {
    /// Made with the first line: an action that says nothing has no log.
    file: Option<File>,
    /// What of the current line came so far. Secrets in it may be masked already, where it was split.
    line: Vec<u8>,
    /// The last byte was a carriage return: the next one that is no line feed begins the line anew.
    returned: bool,
    written: u64,
    full: bool,
    tail: VecDeque<String>,
}

impl LogSink {
    /// Appends to a file, which is made with its directories where there is something to write. At most `cap` bytes are
    /// kept. Lines go to `watchers` as well; those who read too slowly miss some, and nothing waits for them.
    ///
    /// # Errors
    /// The secrets are too large.
    pub fn new(
        path: PathBuf,
        key: ActionKey,
        secrets: &[String],
        cap: u64,
        watchers: Option<broadcast::Sender<OutputLine>>,
    ) -> io::Result<Self> {
        let masker = Masker::new(secrets).map_err(io::Error::other)?;
        let (line, tail) = (Vec::new(), VecDeque::new());
        let state = State { file: None, line, returned: false, written: 0, full: false, tail };
        Ok(Self { path, key, masker, cap, watchers, state: Mutex::new(state) })
    }

    /// Takes a piece of output as it was written, wherever it was cut.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.state();
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    state.returned = false;
                    lines.push(std::mem::take(&mut state.line));
                }
                b'\r' => state.returned = true,
                byte => {
                    if std::mem::take(&mut state.returned) {
                        state.line.clear();
                    }
                    state.line.push(*byte);
                    if state.line.len() >= LONGEST_LINE_BYTES + LONGEST_CHARACTER_BYTES + self.masker.longest() {
                        lines.extend(self.split(&mut state.line));
                    }
                }
            }
        }
        self.emit(&mut state, lines);
    }

    /// Writes a line of Penstock's own.
    pub fn remark(&self, text: &str) {
        self.write(format!("[penstock] {text}\n").as_bytes());
    }

    /// Writes what remains of a line without end.
    pub fn finish(&self) {
        let mut state = self.state();
        state.returned = false;
        if !state.line.is_empty() {
            let line = std::mem::take(&mut state.line);
            self.emit(&mut state, vec![line]);
        }
    }

    /// The last lines, masked, the oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.state().tail.iter().cloned().collect()
    }

    /// A text for people, with the secrets in it masked.
    pub fn mask(&self, text: &str) -> String {
        self.masker.mask_text(text)
    }

    /// Whether a text has a secret in it.
    pub fn holds_secret(&self, text: &str) -> bool {
        self.masker.finds(text)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the beginning off a line that is too long. What may be the beginning of a secret stays in the rest; when that
    /// is all there is, nothing is cut off yet.
    fn split(&self, line: &mut Vec<u8>) -> Option<Vec<u8>> {
        let masked = self.masker.mask(line).into_owned();
        let keep = self.masker.longest().saturating_sub(1);
        let most = LONGEST_LINE_BYTES.min(masked.len().saturating_sub(keep));
        // Not within a character: its continuing bytes, at most three, begin with the bits 10.
        let continues = |at: &usize| masked.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let cut = (most.saturating_sub(3)..=most).rev().find(|at| !continues(at)).unwrap_or(most);
        let (first, rest) = masked.split_at(cut);
        *line = rest.to_vec();
        (cut > 0).then(|| first.to_vec())
    }

    fn append(&self, file: &mut Option<File>, text: &[u8]) -> io::Result<()> {
        match file {
            Some(file) => file.write_all(text),
            none => none.insert(open(&self.path)?).write_all(text),
        }
    }

    fn emit(&self, state: &mut State, lines: Vec<Vec<u8>>) {
        let mut text = String::new();
        for line in lines {
            let line = String::from_utf8_lossy(&self.masker.mask(&line)).into_owned();
            if !state.full {
                state.written += line.len() as u64 + 1;
                if state.written > self.cap {
                    state.full = true;
                    text.push_str(&format!("{CUT_BEFORE}{}{CUT_BEHIND}", self.cap));
                } else {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            if let Some(watchers) = self.watchers.as_ref().filter(|watchers| watchers.receiver_count() > 0) {
                // Without receivers there is nobody to tell.
                let _ = watchers.send(OutputLine { key: self.key.clone(), line: line.clone() });
            }
            if state.tail.len() == TAIL_LINES {
                state.tail.pop_front();
            }
            state.tail.push_back(line);
        }
        if !text.is_empty()
            && let Err(error) = self.append(&mut state.file, text.as_bytes())
        {
            state.full = true;
            tracing::warn!(action = %self.key.name, %error, "the log cannot be written; the rest of the output is dropped");
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).append(true).open(path);
    match (open(), path.parent()) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            open()
        }
        (opened, _) => opened,
    }
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Whole characters; what is no UTF-8 is replaced.
    pub text: String,
    /// Where to read on.
    pub next: u64,
    /// Whether there was nothing behind it when it was read.
    pub at_end: bool,
}

/// Reads a log from `offset`, at most `limit` bytes (at least 4). A log that grows is followed by reading on from `next`.
///
/// # Errors
/// The log cannot be read; there is none as long as its action has said nothing.
pub fn read_log(path: &Path, offset: u64, limit: usize) -> io::Result<LogChunk> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let limit = limit.max(4);
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    let at_end = bytes.len() <= limit;
    bytes.truncate(limit);
    if let Err(error) = std::str::from_utf8(&bytes)
        && error.error_len().is_none()
    {
        // The last character goes on behind the piece.
        bytes.truncate(error.valid_up_to());
    }
    let next = offset + bytes.len() as u64;
    Ok(LogChunk { text: String::from_utf8_lossy(&bytes).into_owned(), next, at_end })
}

/// How many bytes of the output a log holds, where it was cut; none where it holds all, or cannot be read.
pub fn log_cut_at(path: &Path) -> Option<u64> {
    let longest = CUT_BEFORE.len() + CUT_BEHIND.len() + u64::MAX.to_string().len();
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(longest as u64))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    let (_, cap) = end.strip_suffix(CUT_BEHIND)?.rsplit_once(CUT_BEFORE)?;
    cap.parse().ok()
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;

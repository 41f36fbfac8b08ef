//! `penstock validate`: every fault of every file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use model::{Finding, Severity};
use serde::Serialize;

use crate::args::{Format, ValidateArgs};
use crate::declaration::Checked;
use crate::exit::Exit;
use crate::input;
use crate::output::{ATTENTION, BAD, GOOD, Look};
use crate::snippet::{self, Lines};

/// One line of `--format json`.
#[derive(Serialize)]
struct Line<'a> {
    file: Cow<'a, str>,
    accepted: bool,
    findings: Vec<LineFinding<'a>>,
}

#[derive(Serialize)]
struct LineFinding<'a> {
    path: &'a str,
    severity: Severity,
    code: &'a str,
    message: &'a str,
}

impl<'a> LineFinding<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self { path: &finding.path, severity: finding.severity, code: finding.code.as_str(), message: &finding.message }
    }
}

/// The code of the finding for a file that cannot be read.
const UNREADABLE: &str = "UnreadableFile";

/// Validates each file; unusable when any is not accepted.
pub fn run(args: &ValidateArgs) -> anyhow::Result<Exit> {
    let mut tally = Tally::default();
    let look = Look::of_stdout();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for file in &args.files {
        let text = match args.format {
            Format::Json => json(file, &mut tally)?,
            Format::Text => text(file, &mut tally, look),
        };
        out.write_all(text.as_bytes())?;
    }
    if args.format == Format::Text {
        writeln!(out, "{}", tally.summary(look))?;
    }
    out.flush()?;
    Ok(if tally.refused == 0 { Exit::Succeeded } else { Exit::Unusable })
}

fn json(file: &Path, tally: &mut Tally) -> anyhow::Result<String> {
    let name = file.to_string_lossy();
    let mut text = match input::read(file) {
        Ok(bytes) => {
            let checked = Checked::of(bytes, file);
            tally.count(&checked);
            let findings = checked.findings.iter().map(LineFinding::of).collect();
            serde_json::to_string(&Line { file: name, accepted: checked.is_accepted(), findings })?
        }
        Err(message) => {
            tally.count_unreadable();
            let finding = LineFinding { path: "$", severity: Severity::Error, code: UNREADABLE, message: &message };
            serde_json::to_string(&Line { file: name, accepted: false, findings: vec![finding] })?
        }
    };
    text.push('\n');
    Ok(text)
}

fn text(file: &Path, tally: &mut Tally, look: Look) -> String {
    let name = input::shown(file);
    match input::read(file) {
        Ok(bytes) => {
            let checked = Checked::of(bytes, file);
            tally.count(&checked);
            let mut text = render(&name, &checked, look);
            if checked.is_accepted() {
                let _ = writeln!(text, "{name}: {}", look.paint(GOOD, "accepted"));
            }
            text
        }
        Err(message) => {
            tally.count_unreadable();
            format!("{}: {name} {message}\n\n", look.paint(BAD, &format!("error[{UNREADABLE}]")))
        }
    }
}

/// Every finding with its place in the file, an empty line after each.
pub fn render(name: &str, checked: &Checked, look: Look) -> String {
    let mut text = String::new();
    let lines = Lines::of(&checked.text);
    for (finding, span) in checked.located() {
        text.push_str(&snippet::render(name, &lines, finding, span, look));
        text.push_str("\n\n");
    }
    text
}

#[derive(Default)]
struct Tally {
    files: usize,
    refused: usize,
    errors: usize,
    warnings: usize,
}

impl Tally {
    fn count(&mut self, checked: &Checked) {
        let errors = checked.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        self.files += 1;
        self.refused += usize::from(!checked.is_accepted());
        self.errors += errors;
        self.warnings += checked.findings.len() - errors;
    }

    fn count_unreadable(&mut self) {
        self.files += 1;
        self.refused += 1;
        self.errors += 1;
    }

    fn summary(&self, look: Look) -> String {
        let accepted = match self.files - self.refused {
            all if all == self.files => look.paint(GOOD, &format!("{} accepted", plural(all, "file"))),
            some => look.paint(BAD, &format!("{some} of {} accepted", plural(self.files, "file"))),
        };
        let mut text = format!("{accepted}: {}, ", plural(self.errors, "error"));
        let warnings = plural(self.warnings, "warning");
        text.push_str(&if self.warnings == 0 { warnings } else { look.paint(ATTENTION, &warnings) });
        text
    }
}

fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

//! What is told of the conditions that engaged: which rule of which stage, why, and what to do.

use std::fmt::Write;

use model::{ConditionResult, ConditionSlot};

use crate::output::{ATTENTION, BAD, Look};

use super::summary::{QUOTED_OUTPUT, push_log, push_output};
use super::text::clean;

/// A condition of a stage that did not hold.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// The stage.
    pub stage: String,
    /// Which condition.
    pub slot: ConditionSlot,
    /// Its status: Failed or Errored.
    pub status: &'static str,
    /// What it does then.
    pub result: Option<ConditionResult>,
    /// Its rules that did not succeed.
    pub rules: Vec<UnmetRule>,
}

/// A rule that did not succeed.
#[derive(Clone, Debug)]
pub struct UnmetRule {
    /// Its name.
    pub name: String,
    /// Why: code and message.
    pub error: Option<(String, String)>,
    /// The file with its whole output.
    pub log: Option<String>,
}

/// Every condition that did not hold: its rules, why, their last lines, what to do.
pub fn unmet_conditions(conditions: &[Unmet], look: Look) -> String {
    let mut text = String::new();
    for unmet in conditions {
        let is_skip = unmet.result == Some(ConditionResult::Skip);
        let what = if is_skip { "; the stage was skipped" } else { "" };
        let title = format!("{}: its {} condition {}{what}", unmet.stage, unmet.slot.field(), unmet.status);
        let _ = writeln!(text, "\n{}", look.paint(if is_skip { ATTENTION } else { BAD }, &title));
        for rule in &unmet.rules {
            push_rule(&mut text, rule, look);
        }
        let _ = writeln!(text, "  {}", advice(unmet));
    }
    text
}

fn push_rule(text: &mut String, rule: &UnmetRule, look: Look) {
    let name = &rule.name;
    match &rule.error {
        Some((code, message)) => {
            let lines: Vec<String> = message.lines().map(clean).collect();
            let (said, output) = match lines.iter().position(|line| line == QUOTED_OUTPUT) {
                Some(at) => (&lines[..at], &lines[at + 1..]),
                None => (&lines[..], &[][..]),
            };
            let _ = writeln!(text, "  rule {name}: {}: {}", clean(code), said.join("\n  "));
            push_output(text, output.iter().map(|line| line.strip_prefix("  ").unwrap_or(line)), look);
        }
        None => {
            let _ = writeln!(text, "  rule {name}: was left before it ended");
        }
    }
    push_log(text, rule.log.as_deref());
}

fn advice(unmet: &Unmet) -> &'static str {
    let is_code = |code: &str| unmet.rules.iter().any(|rule| rule.error.as_ref().is_some_and(|(of, _)| of == code));
    if unmet.result == Some(ConditionResult::Skip) {
        "what to do: nothing, if the stage was to be left out; else mend what the rule checks"
    } else if is_code("ConfigurationError") {
        "what to do: mend the rule in the pipeline file or penstock.toml, then run again"
    } else if is_code("Timeout") || is_code("TimedOut") {
        "what to do: raise the rule's timeoutInMinutes, or find what it waited for; then run again"
    } else {
        "what to do: mend what the rule checks, or the rule; then run again"
    }
}

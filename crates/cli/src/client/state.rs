//! Where a pipeline stands, and why an execution is not moving.

use std::fmt::Write;

use jiff::Timestamp;
use model::ConditionSlot;
use serde_json::{Value, json};

use crate::args::{ExecutionArgs, Format, StateArgs};
use crate::exit::Exit;
use crate::output::{ATTENTION, DIM, Look, STRONG};
use crate::progress::{State, clean, first_line, pad, width};

use super::table::{ago, paint_state};
use super::{Api, execution_or_newest, show};

/// `penstock state`.
pub fn state(args: &StateArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let answer = api.call("GetPipelineState", &json!({ "name": args.pipeline }))?;
    show(&args.common, &answer, |look| render(&answer, look, Timestamp::now()))?;
    Ok(Exit::Succeeded)
}

fn render(answer: &Value, look: Look, now: Timestamp) -> String {
    let name = answer["pipelineName"].as_str().unwrap_or_default();
    let mut text = format!("{} version {}\n", look.paint(STRONG, name), answer["pipelineVersion"]);
    let stages = answer["stageStates"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns = stages.iter().flat_map(names).map(|(indent, name)| width(name) + indent).max().unwrap_or(0);
    for stage in stages {
        push_stage(&mut text, stage, columns, look, now);
    }
    text
}

fn names(stage: &Value) -> impl Iterator<Item = (usize, &str)> {
    let actions =
        stage["actionStates"].as_array().into_iter().flatten().filter_map(|action| action["actionName"].as_str());
    let inside = actions.chain(conditions(stage).map(|(slot, _)| slot)).map(|name| (2, name));
    stage["stageName"].as_str().into_iter().map(|name| (0, name)).chain(inside)
}

fn push_stage(text: &mut String, stage: &Value, columns: usize, look: Look, now: Timestamp) {
    let transition = &stage["inboundTransitionState"];
    if transition["enabled"] == false {
        let reason = clean(transition["disabledReason"].as_str().unwrap_or_default());
        let by = clean(transition["lastChangedBy"].as_str().unwrap_or_default());
        let line = format!("-- transition disabled {} by {by}: {reason}", ago(&transition["lastChangedAt"], now));
        let _ = writeln!(text, "{}", look.paint(ATTENTION, &line));
    }
    for waiting in stage["inboundExecutions"].as_array().into_iter().flatten() {
        let id = waiting["pipelineExecutionId"].as_str().unwrap_or_default();
        let _ = writeln!(text, "{}", look.paint(DIM, &format!("-- {id} waits to enter")));
    }
    let latest = &stage["latestExecution"];
    let name = pad(&clean(stage["stageName"].as_str().unwrap_or_default()), columns);
    let id = latest["pipelineExecutionId"].as_str().unwrap_or_default();
    let _ = writeln!(
        text,
        "{}",
        format!("{}  {}  {id}", look.paint(STRONG, &name), status(&latest["status"], look)).trim_end()
    );
    for action in stage["actionStates"].as_array().into_iter().flatten() {
        let latest = &action["latestExecution"];
        let name = pad(&clean(action["actionName"].as_str().unwrap_or_default()), columns.saturating_sub(2));
        let when = pad(&ago(&latest["lastStatusChange"], now), 12);
        let error = &latest["errorDetails"];
        let note = error["message"].as_str().or(latest["summary"].as_str()).unwrap_or_default();
        let note = first_line(note);
        let line = format!("  {name}  {}  {when}  {note}", status(&latest["status"], look));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for (slot, condition) in conditions(stage) {
        let latest = &condition["latestExecution"];
        let name = pad(slot, columns.saturating_sub(2));
        let when = pad(&ago(&condition["conditionStates"][0]["latestExecution"]["lastStatusChange"], now), 12);
        let note = first_line(latest["summary"].as_str().unwrap_or_default());
        let line = format!("  {name}  {}  {when}  {note}", status(&latest["status"], look));
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The conditions of a stage that were evaluated, by what the declaration calls them.
fn conditions(stage: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ConditionSlot::ALL.iter().filter_map(|slot| {
        let name = slot.field();
        let condition = &stage[format!("{name}ConditionState")];
        condition["latestExecution"]["status"].is_string().then_some((name, condition))
    })
}

fn status(value: &Value, look: Look) -> String {
    let word = value.as_str().unwrap_or_default();
    let padded = pad(word, 10);
    State::parse(word).map_or(padded.clone(), |state| paint_state(look, state, &padded))
}

/// How many executions are told of: the one that was asked for, and who stands in the way of whom.
const MOST_TOLD: usize = 5;

/// `penstock why`.
pub fn why(args: &ExecutionArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let id = execution_or_newest(&api, &args.pipeline, args.execution.as_deref())?;
    let asked = Explained::ask(&api, &args.pipeline, id)?;
    let mut told = Vec::new();
    if args.common.format == Format::Text {
        while told.len() + 1 < MOST_TOLD {
            let Some(next) = told.last().unwrap_or(&asked).waits_for(&asked, &told) else { break };
            told.push(Explained::ask(&api, &args.pipeline, next)?);
        }
    }
    show(&args.common, &asked.answer, |look| {
        std::iter::once(&asked).chain(&told).map(|explained| explained.text(look)).collect()
    })?;
    Ok(Exit::Succeeded)
}

/// What the server says of an execution.
struct Explained {
    id: String,
    status: String,
    answer: Value,
    /// Why it ended so: what became of it, the actions that failed, the conditions that ended it or skipped a stage.
    causes: Vec<String>,
}

impl Explained {
    fn ask(api: &Api, pipeline: &str, id: String) -> anyhow::Result<Self> {
        let input = json!({ "pipelineName": pipeline, "pipelineExecutionId": id });
        let answer = api.extension("ExplainPipelineExecution", &input)?;
        let execution = api.call("GetPipelineExecution", &input)?;
        let status = execution["pipelineExecution"]["status"].as_str().unwrap_or_default().to_owned();
        let is_over = answer["reasons"].as_array().is_none_or(Vec::is_empty);
        let mut causes = Vec::new();
        if is_over {
            let summary = execution["pipelineExecution"]["statusSummary"].as_str().filter(|text| !text.is_empty());
            causes.extend(summary.map(first_line));
            causes.extend(failed_actions(api, pipeline, &id)?);
            causes.extend(unmet_conditions(api, pipeline, &id)?);
        }
        Ok(Self { id, status, answer, causes })
    }

    fn reasons(&self) -> &[Value] {
        self.answer["reasons"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The execution in its way, unless it was told of already.
    fn waits_for(&self, asked: &Self, told: &[Self]) -> Option<String> {
        let by = |reason: &Value| match reason["reason"]["waitsFor"].as_str() {
            Some("occupiedStage") => reason["reason"]["by"].as_str().map(str::to_owned),
            _ => None,
        };
        let new = |id: &String| *id != asked.id && told.iter().all(|other| other.id != *id);
        self.reasons().iter().filter_map(by).find(new)
    }

    fn text(&self, look: Look) -> String {
        if self.reasons().is_empty() {
            let causes: String = self.causes.iter().map(|line| format!("  {line}\n")).collect();
            return format!("{} has ended: {}\n{causes}", self.id, self.status);
        }
        let mut text = format!("{} {}\n", look.paint(STRONG, &self.id), self.status);
        for reason in self.reasons() {
            let _ = writeln!(text, "  {}", clean(reason["text"].as_str().unwrap_or_default()));
        }
        text
    }
}

/// The actions whose last attempt in an execution failed.
fn failed_actions(api: &Api, pipeline: &str, id: &str) -> anyhow::Result<Vec<String>> {
    let latest = json!({ "pipelineExecutionId": id, "startTimeRange": "Latest" });
    let mut details = super::action_executions(api, pipeline, &json!({ "latestInPipelineExecution": latest }))?;
    super::in_order_of_start(&mut details);
    let failed = details.iter().filter(|detail| detail["status"] == "Failed");
    let text = |value: &Value| first_line(value.as_str().unwrap_or_default());
    let line = |detail: &Value| {
        let (stage, action) = (text(&detail["stageName"]), text(&detail["actionName"]));
        let message = text(&detail["output"]["executionResult"]["errorDetails"]["message"]);
        format!("{stage}/{action} Failed: {message}")
    };
    Ok(failed.map(line).collect())
}

/// What did not hold in an execution that has ended: its conditions, where it is the last in their stage, else its rules.
pub(super) fn unmet_conditions(api: &Api, pipeline: &str, id: &str) -> anyhow::Result<Vec<String>> {
    let state = api.call("GetPipelineState", &json!({ "name": pipeline }))?;
    let of_id = |stage: &&Value| stage["latestExecution"]["pipelineExecutionId"] == id;
    let last: Vec<&Value> = state["stageStates"].as_array().into_iter().flatten().filter(of_id).collect();
    let is_unmet = |status: &Value| matches!(status.as_str(), Some("Failed" | "Errored"));
    let text = |value: &Value| first_line(value.as_str().unwrap_or_default());
    let mut lines = Vec::new();
    for stage in &last {
        for (slot, condition) in conditions(stage) {
            let latest = &condition["latestExecution"];
            if is_unmet(&latest["status"]) {
                let (name, status) = (text(&stage["stageName"]), text(&latest["status"]));
                let outcome = if stage["latestExecution"]["status"] == "Skipped" {
                    ", and the stage was skipped"
                } else if slot == ConditionSlot::OnFailure.field() {
                    ", and its result did not apply"
                } else {
                    ""
                };
                lines.push(format!("{name}: its {slot} condition {status}{outcome}: {}", text(&latest["summary"])));
            }
        }
    }
    for rule in super::rule_executions(api, pipeline, id)?.iter().rev() {
        if is_unmet(&rule["status"]) && last.iter().all(|stage| stage["stageName"] != rule["stageName"]) {
            let message = text(&rule["output"]["executionResult"]["errorDetails"]["message"]);
            lines.push(format!("{}: the rule {} Failed: {message}", text(&rule["stageName"]), text(&rule["ruleName"])));
        }
    }
    Ok(lines)
}

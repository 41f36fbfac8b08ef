//! Where a pipeline stands, and why an execution is not moving.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{ExecutionArgs, Format, StateArgs};
use crate::exit::Exit;
use crate::output::{ATTENTION, DIM, Look, STRONG};
use crate::progress::{State, clean, pad, width};

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
    stage["stageName"].as_str().into_iter().map(|name| (0, name)).chain(actions.map(|name| (2, name)))
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
        let note = clean(note.lines().next().unwrap_or_default());
        let line = format!("  {name}  {}  {when}  {note}", status(&latest["status"], look));
        let _ = writeln!(text, "{}", line.trim_end());
    }
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
}

impl Explained {
    fn ask(api: &Api, pipeline: &str, id: String) -> anyhow::Result<Self> {
        let input = json!({ "pipelineName": pipeline, "pipelineExecutionId": id });
        let answer = api.extension("ExplainPipelineExecution", &input)?;
        let execution = api.call("GetPipelineExecution", &input)?;
        let status = execution["pipelineExecution"]["status"].as_str().unwrap_or_default().to_owned();
        Ok(Self { id, status, answer })
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
            return format!("{} has ended: {}\n", self.id, self.status);
        }
        let mut text = format!("{} {}\n", look.paint(STRONG, &self.id), self.status);
        for reason in self.reasons() {
            let _ = writeln!(text, "  {}", clean(reason["text"].as_str().unwrap_or_default()));
        }
        text
    }
}

//! Follows an execution to its end: the same tree and lines as `penstock run`, made from what the API answers.

use std::io::Write;
use std::time::Duration;

use model::Timestamp;
use serde_json::{Value, json};

use crate::args::{Format, WatchArgs};
use crate::exit::Exit;
use crate::output::{self, Look};
use crate::progress::{self, Board, Frame, News, Plain, Screen, Span, State};

use super::state::unmet_conditions;
use super::table::millis;
use super::{Api, execution_or_newest};

const POLL: Duration = Duration::from_millis(500);
/// How often a live tree is redrawn between two polls.
const REDRAW: Duration = Duration::from_millis(100);

/// `penstock watch`.
pub fn watch(args: &WatchArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let id = execution_or_newest(&api, &args.pipeline, args.execution.as_deref())?;
    follow(&api, &args.pipeline, &id, args.common.format)
}

/// Shows an execution until it ends; how it ended.
pub fn follow(api: &Api, pipeline: &str, id: &str, format: Format) -> anyhow::Result<Exit> {
    let mut watched = Watched::open(api, pipeline, id)?;
    let state = match format {
        Format::Json => watched.lines(|changed| Ok(writeln!(std::io::stdout(), "{changed}")?))?,
        Format::Text if output::is_live() => watched.live()?,
        Format::Text => watched.plain()?,
    };
    if matches!(format, Format::Text) {
        let unmet = unmet_conditions(api, pipeline, id)?;
        let text: String = unmet.iter().map(|line| format!("{line}\n")).collect();
        std::io::stdout().write_all(text.as_bytes())?;
    }
    Ok(exit_of(state))
}

/// The exit status of an execution's end.
pub fn exit_of(state: State) -> Exit {
    match state {
        State::Succeeded => Exit::Succeeded,
        State::Failed => Exit::Failed,
        _ => Exit::Ended,
    }
}

struct Watched<'a> {
    api: &'a Api,
    board: Board,
    /// The answers last seen: of the execution, then of each action execution.
    seen: Vec<(String, Value)>,
}

impl<'a> Watched<'a> {
    fn open(api: &'a Api, pipeline: &str, id: &str) -> anyhow::Result<Self> {
        let input = json!({ "pipelineName": pipeline, "pipelineExecutionId": id });
        let execution = api.call("GetPipelineExecution", &input)?;
        let version = &execution["pipelineExecution"]["pipelineVersion"];
        let declared = api.call("GetPipeline", &json!({ "name": pipeline, "version": version }))?;
        let declared: model::Pipeline = serde_json::from_value(declared["pipeline"].clone())?;
        let mut board = Board::new(&declared, id, now());
        board.span.started = None;
        Ok(Self { api, board, seen: Vec::new() })
    }

    /// Asks once; every answer that changed, and what news it is.
    fn poll(&mut self) -> anyhow::Result<Vec<(Value, News)>> {
        let input = json!({ "pipelineName": self.board.pipeline, "pipelineExecutionId": self.board.execution });
        let execution = self.api.call("GetPipelineExecution", &input)?;
        let filter = json!({ "pipelineExecutionId": self.board.execution });
        let actions = super::action_executions(self.api, &self.board.pipeline, &filter)?;
        let mut changed = Vec::new();
        // An execution begins before its actions and ends after them.
        let is_new = self.is_new("", &execution);
        if is_new {
            self.take_execution(&execution["pipelineExecution"]);
        }
        if is_new && !self.board.state.is_over() {
            changed.push((execution.clone(), News::Execution));
        }
        for detail in actions.iter().rev() {
            let id = detail["actionExecutionId"].as_str().unwrap_or_default();
            if self.is_new(id, detail) {
                let news = self.take_action(detail);
                changed.push((json!({ "actionExecutionDetail": detail }), news));
            }
        }
        if is_new && self.board.state.is_over() {
            self.take_execution(&execution["pipelineExecution"]);
            changed.push((execution, News::Execution));
        }
        Ok(changed)
    }

    fn is_new(&mut self, id: &str, answer: &Value) -> bool {
        match self.seen.iter_mut().find(|(seen, _)| seen == id) {
            Some((_, last)) if last == answer => false,
            Some((_, last)) => {
                *last = answer.clone();
                true
            }
            None => {
                self.seen.push((id.into(), answer.clone()));
                true
            }
        }
    }

    fn take_action(&mut self, detail: &Value) -> News {
        let text = |field: &str| detail[field].as_str().unwrap_or_default().to_owned();
        let names = (text("stageName"), text("actionName"));
        let Some(stage) = self.board.stages.iter().position(|row| row.name == names.0) else { return News::Nothing };
        let Some(action) = self.board.stages[stage].actions.iter().position(|row| row.name == names.1) else {
            return News::Nothing;
        };
        let result = &detail["output"]["executionResult"];
        let row = &mut self.board.stages[stage].actions[action];
        if row.id.as_deref() != Some(&text("actionExecutionId")) {
            row.attempt += 1;
        }
        row.id = Some(text("actionExecutionId"));
        row.state = State::parse(&text("status")).unwrap_or(State::InProgress);
        row.span.started = millis(&detail["startTime"]).map(Timestamp);
        row.span.ended = millis(&detail["lastUpdateTime"]).map(Timestamp).filter(|_| row.state.is_over());
        row.note = progress::first_line(result["externalExecutionSummary"].as_str().unwrap_or_default());
        let error = &result["errorDetails"];
        row.error = None;
        if let Some(code) = error["code"].as_str() {
            row.fail(code, error["message"].as_str().unwrap_or_default());
        }
        self.board.fold_stage(stage);
        News::Action(stage, action)
    }

    fn take_execution(&mut self, execution: &Value) {
        if let Some(state) = execution["status"].as_str().and_then(State::parse) {
            self.board.state = state;
            let started = self.board.actions().filter_map(|(_, action)| action.span.started).min();
            let ended = self.board.actions().filter_map(|(_, action)| action.span.ended).max();
            self.board.span.started = started.or(self.board.span.started);
            self.board.span.ended = if state.is_over() { ended.or_else(|| Some(now())) } else { None };
        }
    }

    fn lines(&mut self, mut tell: impl FnMut(&Value) -> anyhow::Result<()>) -> anyhow::Result<State> {
        loop {
            for (changed, _) in self.poll()? {
                tell(&changed)?;
            }
            if self.board.state.is_over() {
                return Ok(self.board.state);
            }
            std::thread::sleep(POLL);
        }
    }

    fn plain(&mut self) -> anyhow::Result<State> {
        loop {
            let mut text = String::new();
            for (_, news) in self.poll()? {
                text.push_str(&Plain.lines(&self.board, news, self.happened(news)));
            }
            if self.board.state.is_over() {
                text.push_str(&format!("{} {}\n", self.board.execution, self.board.state.as_str()));
            }
            std::io::stdout().write_all(text.as_bytes())?;
            if self.board.state.is_over() {
                return Ok(self.board.state);
            }
            std::thread::sleep(POLL);
        }
    }

    /// When news happened: that may be long ago.
    fn happened(&self, news: News) -> Timestamp {
        let span = match news {
            News::Action(stage, action) => self.board.stages[stage].actions[action].span,
            News::Execution if !self.board.state.is_over() => Span { ended: None, ..self.board.span },
            News::Execution | News::Stage(_) | News::Nothing => self.board.span,
        };
        span.ended.or(span.started).unwrap_or_else(now)
    }

    fn live(&mut self) -> anyhow::Result<State> {
        let look = Look::of_stdout();
        let mut screen = Screen::new();
        loop {
            self.poll()?;
            if self.board.state.is_over() {
                let (columns, _) = Screen::room();
                screen.finish(&progress::frame(&self.board, Frame { now: now(), columns, rows: None, look }))?;
                return Ok(self.board.state);
            }
            let polled = std::time::Instant::now();
            while polled.elapsed() < POLL {
                let (columns, rows) = Screen::room();
                screen.draw(&progress::frame(&self.board, Frame { now: now(), columns, rows: Some(rows), look }))?;
                std::thread::sleep(REDRAW);
            }
        }
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

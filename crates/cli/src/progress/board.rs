//! What is known of one execution: its stages and actions, as events and output tell.

use std::collections::VecDeque;

use model::{Pipeline, Timestamp};
use serde_json::Value;

use super::text::{clean, clean_output, first_line};

/// The last lines of an action's output that are kept.
const TAIL: usize = 20;

/// The status of an execution, stage or action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not started.
    Waiting,
    /// Running.
    InProgress,
    /// Running, asked to stop.
    Stopping,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped.
    Stopped,
    /// Left by a stop.
    Abandoned,
    /// Cancelled.
    Cancelled,
    /// Overtaken.
    Superseded,
    /// Skipped by its condition.
    Skipped,
}

impl State {
    /// The word as CodePipeline writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "",
            Self::InProgress => "InProgress",
            Self::Stopping => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::Abandoned => "Abandoned",
            Self::Cancelled => "Cancelled",
            Self::Superseded => "Superseded",
            Self::Skipped => "Skipped",
        }
    }

    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::InProgress | Self::Stopping)
    }

    /// From an event's `state` or an API status.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "STARTED" | "RESUMED" | "InProgress" => Self::InProgress,
            "STOPPING" | "Stopping" => Self::Stopping,
            "SUCCEEDED" | "Succeeded" => Self::Succeeded,
            "FAILED" | "Failed" => Self::Failed,
            "STOPPED" | "Stopped" => Self::Stopped,
            "ABANDONED" | "Abandoned" => Self::Abandoned,
            "CANCELED" | "Cancelled" => Self::Cancelled,
            "SUPERSEDED" | "Superseded" => Self::Superseded,
            "Skipped" => Self::Skipped,
            _ => return None,
        })
    }
}

/// When something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Since when.
    pub started: Option<Timestamp>,
    /// Until when.
    pub ended: Option<Timestamp>,
}

impl Span {
    /// How long, in milliseconds; none before it started.
    pub fn millis(&self, now: Timestamp) -> Option<u64> {
        self.started.map(|started| self.ended.unwrap_or(now).millis_since(started))
    }

    fn note(&mut self, state: State, at: Timestamp) {
        if state.is_over() {
            self.ended = Some(at);
        } else if self.started.is_none() || self.ended.is_some() {
            // Running again, as after a retry.
            *self = Self { started: Some(at), ended: None };
        }
    }
}

/// One action.
#[derive(Clone, Debug)]
pub struct ActionRow {
    /// Its name.
    pub name: String,
    /// Whether it waits for a person.
    pub is_approval: bool,
    /// Its status.
    pub state: State,
    /// When it ran.
    pub span: Span,
    /// How often it was started.
    pub attempt: u32,
    /// What to tell of it: its summary, an approval's link.
    pub note: String,
    /// Why it failed: code and the lines of the message.
    pub error: Option<(String, Vec<String>)>,
    /// The last lines of output of its newest attempt, cleaned.
    pub tail: VecDeque<String>,
    /// Which attempt that was.
    tail_attempt: u32,
    /// Its execution's id.
    pub id: Option<String>,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct StageRow {
    /// Its name.
    pub name: String,
    /// Its status.
    pub state: State,
    /// When it ran.
    pub span: Span,
    /// Its actions, in the order of the declaration.
    pub actions: Vec<ActionRow>,
}

/// One execution.
#[derive(Clone, Debug)]
pub struct Board {
    /// The pipeline.
    pub pipeline: String,
    /// The execution.
    pub execution: String,
    /// Its status.
    pub state: State,
    /// When it ran.
    pub span: Span,
    /// Its stages, in order.
    pub stages: Vec<StageRow>,
    /// What to say below it.
    pub footer: Option<String>,
}

/// What changed, for those who tell it line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that is told.
    Nothing,
    /// The execution.
    Execution,
    /// A stage, by place.
    Stage(usize),
    /// An action, by the places of its stage and of itself.
    Action(usize, usize),
}

impl Board {
    /// Of an execution that has just been started.
    pub fn new(pipeline: &Pipeline, execution: &str, now: Timestamp) -> Self {
        let stages = pipeline.stages.iter().map(|stage| StageRow {
            name: stage.name.to_string(),
            state: State::Waiting,
            span: Span::default(),
            actions: stage.actions.iter().map(ActionRow::of).collect(),
        });
        Self {
            pipeline: pipeline.name.to_string(),
            execution: execution.into(),
            state: State::InProgress,
            span: Span { started: Some(now), ended: None },
            stages: stages.collect(),
            footer: None,
        }
    }

    /// Takes in a state-change event in EventBridge's envelope; those of other executions change nothing.
    pub fn apply(&mut self, event: &Value, now: Timestamp) -> News {
        let detail = &event["detail"];
        let is_ours = detail["execution-id"].as_str() == Some(&self.execution);
        let Some(state) = detail["state"].as_str().and_then(State::parse).filter(|_| is_ours) else {
            return News::Nothing;
        };
        match (self.place(&detail["stage"]), &detail["action"]) {
            (None, _) if detail["stage"].is_string() => News::Nothing,
            (None, _) => {
                self.state = state;
                self.span.note(state, now);
                News::Execution
            }
            (Some(stage), Value::String(action)) => {
                match self.stages[stage].actions.iter().position(|row| row.name == *action) {
                    Some(place) => {
                        self.stages[stage].actions[place].apply(detail, state, now);
                        News::Action(stage, place)
                    }
                    None => News::Nothing,
                }
            }
            (Some(stage), _) => {
                let row = &mut self.stages[stage];
                // The end of a stage that its condition skipped is published as SUCCEEDED.
                let is_skipped = state == State::Succeeded && row.actions.iter().all(ActionRow::has_not_run);
                row.state = if is_skipped { State::Skipped } else { state };
                row.span.note(state, now);
                News::Stage(stage)
            }
        }
    }

    /// Takes in a line of an action's output, which may come before the event that its attempt was started.
    pub fn output(&mut self, stage: &str, action: &str, attempt: u32, line: &str) {
        if let Some(row) = self.action_mut(stage, action) {
            if attempt > row.tail_attempt {
                row.tail.clear();
                row.tail_attempt = attempt;
            }
            let line = clean_output(line);
            if line.trim().is_empty() {
                return;
            }
            if row.tail.len() == TAIL {
                row.tail.pop_front();
            }
            row.tail.push_back(line);
        }
    }

    /// Judges a stage by its actions, where no event tells its status.
    pub fn fold_stage(&mut self, place: usize) {
        let stage = &mut self.stages[place];
        let any = |state: State| stage.actions.iter().any(|action| action.state == state);
        stage.state = if any(State::Failed) {
            State::Failed
        } else if any(State::InProgress) {
            State::InProgress
        } else if any(State::Abandoned) {
            State::Stopped
        } else if stage.actions.iter().all(|action| action.state == State::Succeeded) {
            State::Succeeded
        } else {
            State::InProgress
        };
        stage.span.started = stage.actions.iter().filter_map(|action| action.span.started).min();
        let ended = stage.actions.iter().filter_map(|action| action.span.ended).max();
        stage.span.ended = ended.filter(|_| stage.state.is_over());
    }

    /// An action, by name.
    pub fn action_mut(&mut self, stage: &str, action: &str) -> Option<&mut ActionRow> {
        let stage = self.stages.iter_mut().find(|row| row.name == stage)?;
        stage.actions.iter_mut().find(|row| row.name == action)
    }

    /// Every action with its stage.
    pub fn actions(&self) -> impl Iterator<Item = (&StageRow, &ActionRow)> {
        self.stages.iter().flat_map(|stage| stage.actions.iter().map(move |action| (stage, action)))
    }

    fn place(&self, stage: &Value) -> Option<usize> {
        let name = stage.as_str()?;
        self.stages.iter().position(|row| row.name == name)
    }
}

impl ActionRow {
    fn of(action: &model::Action) -> Self {
        Self {
            name: action.name.to_string(),
            is_approval: action.action_type_id.category == model::Category::Approval,
            state: State::Waiting,
            span: Span::default(),
            attempt: 0,
            note: String::new(),
            error: None,
            tail: VecDeque::new(),
            tail_attempt: 0,
            id: None,
        }
    }

    fn has_not_run(&self) -> bool {
        self.state == State::Waiting
    }

    fn apply(&mut self, detail: &Value, state: State, now: Timestamp) {
        if state == State::InProgress {
            self.attempt += 1;
            self.error = None;
            self.note.clear();
        }
        self.state = state;
        self.span.note(state, now);
        self.id = detail["action-execution-id"].as_str().map(str::to_owned).or(self.id.take());
        let result = &detail["execution-result"];
        let summary = result["external-execution-summary"].as_str().unwrap_or_default();
        match result["error-code"].as_str() {
            Some(code) => self.fail(code, summary),
            None if state.is_over() => self.note = first_line(summary),
            None => {}
        }
    }

    /// Takes in why it failed.
    pub fn fail(&mut self, code: &str, message: &str) {
        self.error = Some((clean(code), message.lines().map(clean).collect()));
    }

    /// What stands behind it in the tree: why it failed, its note, or its last line of output.
    pub fn remark(&self) -> String {
        if let Some((code, message)) = &self.error {
            return match message.first() {
                Some(first) => format!("{code}: {first}"),
                None => code.clone(),
            };
        }
        match self.tail.back() {
            Some(line) if self.note.is_empty() && !self.state.is_over() => line.clone(),
            _ => self.note.clone(),
        }
    }
}

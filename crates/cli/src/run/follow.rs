//! Starts the execution and follows it to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::rows::PipelineRef;
use control::{Control, ControlError};
use engine::{ActionExecution, Start, Stop, TriggerDetail};
use local::host::{Host, Published};
use local::process::OutputLine;
use model::{ExecutionId, Ordinal, Pipeline, TriggerType};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc};

use crate::args::Format;
use crate::client::exit_of;
use crate::exit::Exit;
use crate::progress::{self, Board, News, Places, State};

use super::approvals::{Attendant, Attended};
use super::begin::{declare, end_leftovers, refused};
use super::conditions::{log_path, unmet};
use super::prepare::Prepared;
use super::signals::{Ask, Signals};
use super::view::View;

/// The account that ARNs and events of a run name.
const ACCOUNT: &str = "123456789012";
/// How often a live tree is redrawn.
const REDRAW: Duration = Duration::from_millis(100);
/// After how many of them a pipe is told why nothing runs.
const TICKS_OF_REST: u32 = 10;

/// Runs what was prepared; how its execution ended.
///
/// # Errors
/// This machine fails: the data directory, a port, a signal handler.
pub async fn execute(prepared: Prepared, format: Format) -> anyhow::Result<Exit> {
    let signals = Signals::new()?;
    let config = prepared.config.clone();
    let host = crate::host::open(&prepared.data, config, ACCOUNT, &prepared.region).await?;
    let outcome = Run::start(&host, &prepared, format, signals).await;
    let outcome = match outcome {
        Ok(run) => run.follow().await,
        Err(error) => Err(error),
    };
    let closed = host.close().await;
    let exit = outcome?;
    closed.context("the data directory could not be closed properly")?;
    Ok(exit)
}

/// Whom what is done here is done by.
pub fn principal(control: &Control) -> String {
    format!("arn:aws:iam::{}:user/{}", control.place().account, crate::environment::user())
}

struct Run {
    control: Arc<Control>,
    data: PathBuf,
    pipeline: Pipeline,
    reference: PipelineRef,
    /// What is followed: the execution started, then rollbacks that it caused.
    boards: Vec<Board>,
    /// Of the execution started.
    ordinal: Ordinal,
    view: View,
    attendant: Attendant,
    events: mpsc::UnboundedReceiver<Arc<Value>>,
    output: broadcast::Receiver<OutputLine>,
    signals: Signals,
    /// What it was asked for by signals.
    asked: Option<Ask>,
    /// Why nothing runs, and for how many ticks that has been so.
    rest: Option<(String, u32)>,
}

impl Run {
    async fn start(host: &Host, prepared: &Prepared, format: Format, signals: Signals) -> anyhow::Result<Self> {
        let control = host.control().clone();
        end_leftovers(&control).await?;
        let name = prepared.pipeline.name.clone();
        declare(&control, &prepared.pipeline).await?;
        let (events, output) = (forwarded(host.events()), host.output());
        let start = Start {
            trigger: TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: principal(&control) },
            origin: None,
            variables: prepared.variables.clone(),
            overrides: Vec::new(),
        };
        let id = control.start_pipeline_execution(&name, start, None).await.map_err(refused)?;
        let reference = control.pipeline_ref(&name).await?;
        let execution = control.execution(reference.id, id).await?.context("the execution started is not there")?;
        let board = Board::new(&prepared.pipeline, &id.to_string(), control.now());
        Ok(Self {
            attendant: Attendant::new(
                control.clone(),
                reference.clone(),
                prepared.data.clone(),
                prepared.approve.clone(),
            ),
            control,
            data: prepared.data.clone(),
            pipeline: prepared.pipeline.clone(),
            reference,
            boards: vec![board],
            ordinal: execution.ordinal,
            view: View::new(format),
            events,
            output,
            signals,
            asked: None,
            rest: None,
        })
    }

    async fn follow(mut self) -> anyhow::Result<Exit> {
        let mut tick = tokio::time::interval(REDRAW);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let event = event.context("the events of the host ended")?;
                    if self.take_event(&event).await? {
                        break;
                    }
                }
                ask = self.signals.recv() => self.interrupt(ask).await?,
                line = self.output.recv() => if let Ok(line) = line { self.take_output(&line) },
                _ = tick.tick() => self.tick().await?,
            }
        }
        self.finish().await
    }

    /// Takes in an event; whether nothing more is to come.
    async fn take_event(&mut self, event: &Value) -> anyhow::Result<bool> {
        // The output of an action that ended lies there already.
        while let Ok(line) = self.output.try_recv() {
            self.take_output(&line);
        }
        let now = self.control.now();
        if !self.is_ours(event).await? {
            return Ok(false);
        }
        self.view.event(event);
        let news = self.board().apply(event, now);
        self.view.news(self.boards.last().unwrap_or(&self.boards[0]), news, now);
        if let News::Action(stage, action) = news {
            let row = &self.board().stages[stage].actions[action];
            if row.is_approval && row.state == State::InProgress {
                self.attend().await?;
            }
        }
        if news == News::Execution && self.board().state.is_over() {
            return self.is_over().await;
        }
        Ok(false)
    }

    /// Whether an event is of the execution started here or of one after it: those are rollbacks, for nobody else starts
    /// anything in this data directory. What an interrupted run left may still be told.
    async fn is_ours(&mut self, event: &Value) -> anyhow::Result<bool> {
        let Some(id) = event["detail"]["execution-id"].as_str() else { return Ok(false) };
        if self.boards.iter().any(|board| board.execution == id) {
            return Ok(true);
        }
        let Ok(id) = id.parse() else { return Ok(false) };
        let found = self.control.execution(self.reference.id, id).await?;
        Ok(found.is_some_and(|execution| execution.ordinal > self.ordinal))
    }

    fn board(&mut self) -> &mut Board {
        let last = self.boards.len() - 1;
        &mut self.boards[last]
    }

    fn take_output(&mut self, line: &OutputLine) {
        let id = line.key.execution.to_string();
        if let Some(board) = self.boards.iter_mut().find(|board| board.execution == id) {
            board.output(line.key.stage.as_str(), line.key.name.as_str(), line.key.attempt, &line.line);
        }
    }

    /// Whether the execution has ended for good; a rollback that took its place is followed instead.
    async fn is_over(&mut self) -> anyhow::Result<bool> {
        let name = self.pipeline.name.clone();
        let (executions, _) = self.control.list_pipeline_executions(&name, None, 5, None).await?;
        let ours = self.board().execution.clone();
        if executions.iter().any(|execution| execution.id.to_string() == ours && !execution.status.is_terminal()) {
            // It runs again already: an automatic retry.
            return Ok(false);
        }
        let Some(rollback) = executions.into_iter().find(|execution| !execution.status.is_terminal()) else {
            return Ok(true);
        };
        let plan = self.control.get_pipeline_execution(&name, rollback.id).await?.plan;
        let now = self.control.now();
        let shown = self.board().clone();
        self.view.settle(&shown, now);
        self.view.say(&format!("{} {}: rolling back as execution {}", ours, shown.state.as_str(), rollback.id));
        let mut board = Board::new(&self.pipeline, &rollback.id.to_string(), now);
        board.stages.retain(|stage| plan.iter().any(|planned| planned.stage == stage.name.as_str()));
        self.boards.push(board);
        Ok(false)
    }

    async fn tick(&mut self) -> anyhow::Result<()> {
        let waits = |action: &progress::ActionRow| action.is_approval && action.state == State::InProgress;
        if self.board().actions().any(|(_, action)| waits(action) && action.note.is_empty()) {
            self.attend().await?;
        }
        let now = self.control.now();
        self.explain_rest().await?;
        let last = self.boards.len() - 1;
        self.view.draw(&self.boards[last], now);
        Ok(())
    }

    /// Says what an execution waits for in which no action runs: a condition, a transition.
    async fn explain_rest(&mut self) -> anyhow::Result<()> {
        if self.asked.is_some() {
            return Ok(());
        }
        let reason = self.why_it_rests().await?;
        let is_live = matches!(self.view, View::Live(..));
        match (&reason, &mut self.rest) {
            (Some(reason), Some((seen, ticks))) if reason == seen => *ticks += 1,
            _ => self.rest = reason.clone().map(|reason| (reason, 0)),
        }
        if is_live {
            self.board().footer = reason;
        } else if let Some((reason, TICKS_OF_REST)) = &self.rest {
            self.view.say(reason);
        }
        Ok(())
    }

    async fn why_it_rests(&mut self) -> anyhow::Result<Option<String>> {
        if self.board().actions().any(|(_, action)| action.state == State::InProgress) {
            return Ok(None);
        }
        let id: ExecutionId = self.board().execution.parse()?;
        let reasons = self.control.explain(&self.pipeline.name, id).await?;
        Ok(reasons.first().map(|why| progress::clean(&why.to_string())))
    }

    async fn attend(&mut self) -> anyhow::Result<()> {
        let actions = self.actions().await?;
        for attended in self.attendant.attend(&actions).await? {
            let (path, note, text) = match attended {
                Attended::Approved(path) => {
                    let text = format!("{path} approved by --approve");
                    (path, "approved by --approve".to_owned(), text)
                }
                Attended::Link(path, url) => {
                    let text = format!("{path} waits for an approval: {url}");
                    (path, "waits for an approval: open the link above".to_owned(), text)
                }
            };
            self.view.say(&text);
            if let Some(row) = self.board().action_mut(&path.stage, &path.action) {
                row.note = note;
            }
        }
        Ok(())
    }

    async fn actions(&mut self) -> anyhow::Result<Vec<ActionExecution>> {
        let id: ExecutionId = self.board().execution.parse()?;
        Ok(self.control.actions_of(self.reference.id, id).await?)
    }

    /// Ctrl-C once: stops when what runs has ended; again, or the end of the session: leaves it.
    async fn interrupt(&mut self, ask: Ask) -> anyhow::Result<()> {
        let again = self.asked.replace(ask).is_some();
        let abandon = ask == Ask::Abandon;
        let reason = match ask {
            Ask::Stop => "Ctrl-C",
            Ask::Abandon if again => "Ctrl-C twice",
            Ask::Abandon => "penstock run was told to end",
        };
        let stop = Stop { execution: self.board().execution.parse()?, abandon, reason: Some(reason.into()) };
        match self.control.stop_pipeline_execution(&self.pipeline.name, stop).await {
            // It has ended meanwhile, or is stopping already.
            Ok(()) | Err(ControlError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let text = if abandon {
            "stopping: the actions in progress are abandoned"
        } else {
            "stopping when the actions in progress have ended; Ctrl-C again abandons them"
        };
        self.board().footer = Some(text.into());
        if !matches!(self.view, View::Live(..)) {
            self.view.say(text);
        }
        Ok(())
    }

    async fn finish(mut self) -> anyhow::Result<Exit> {
        let now = self.control.now();
        self.board().footer = None;
        let last = self.boards.len() - 1;
        self.view.settle(&self.boards[last], now);
        let (mut text, mut logs) = (String::new(), None);
        for board in &self.boards {
            let id: ExecutionId = board.execution.parse()?;
            let actions = self.control.actions_of(self.reference.id, id).await?;
            let log = actions.first().and_then(|action| Some(self.data.join(&action.log.as_ref()?.location)));
            logs = logs.or_else(|| Some(log?.parent()?.to_path_buf()));
            text.push_str(&progress::failures(board, self.view.look(), |row| self.log_of(&actions, row)));
            let stages = self.control.stages_of(self.reference.id, id).await?;
            let order: Vec<String> = board.stages.iter().map(|stage| stage.name.clone()).collect();
            let unmet = unmet(&order, &stages, &actions, &self.data);
            text.push_str(&progress::unmet_conditions(&unmet, self.view.look()));
        }
        let (artifacts, logs) = (self.data.join("artifacts"), logs.unwrap_or_else(|| self.data.join("logs")));
        let logs = Some(logs.as_path()).filter(|logs| logs.exists());
        let places = Places { data: &self.data, artifacts: &artifacts, logs };
        text.push_str(&progress::summary(&self.boards[0], places, now, self.view.look()));
        for rollback in &self.boards[1..] {
            let stages: Vec<&str> = rollback.stages.iter().map(|stage| stage.name.as_str()).collect();
            let (stages, state) = (stages.join(", "), rollback.state.as_str());
            text.push_str(&format!("  rolled back {stages} as execution {}: {state}\n", rollback.execution));
        }
        self.view.close(&text);
        self.attendant.close().await;
        Ok(if self.asked.is_some() { Exit::Interrupted } else { exit_of(self.boards[0].state) })
    }

    fn log_of(&self, actions: &[ActionExecution], row: &progress::ActionRow) -> Option<String> {
        let id = row.id.as_deref()?;
        log_path(actions.iter().find(|action| action.id.to_string() == id)?, &self.data)
    }
}

/// Events in a queue without an end: a slow reader of standard output must not make any be missed.
fn forwarded(mut events: broadcast::Receiver<Published>) -> mpsc::UnboundedReceiver<Arc<Value>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(published) => {
                    if sender.send(published.envelope).is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    });
    receiver
}

//! The output of an execution's actions and rules.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::args::{Format, LogsArgs};
use crate::exit::{Exit, Unusable};
use crate::output::{Look, STRONG};
use crate::progress::State;

use super::{Api, execution_or_newest};

const POLL: Duration = Duration::from_millis(500);

/// `penstock logs`.
pub fn logs(args: &LogsArgs) -> anyhow::Result<Exit> {
    let api = Api::open_stored(args.data.as_deref(), &args.pipeline, &args.common.connect)?;
    let id = execution_or_newest(&api, &args.pipeline, args.execution.as_deref())?;
    let mut reader = Reader { api: &api, args, id: &id, shown: Vec::new(), last: None };
    loop {
        let is_over = reader.is_over()?;
        let found = reader.round()?;
        if !args.follow || is_over {
            if found == 0 {
                return Err(Unusable::new(reader.nothing()).into());
            }
            return Ok(Exit::Succeeded);
        }
        std::thread::sleep(POLL);
    }
}

struct Reader<'a> {
    api: &'a Api,
    args: &'a LogsArgs,
    id: &'a str,
    /// How far each action execution's log was printed.
    shown: Vec<(String, u64)>,
    /// Whose output was printed last.
    last: Option<String>,
}

impl Reader<'_> {
    /// Prints what is new of every action and rule; how many there are.
    fn round(&mut self) -> anyhow::Result<usize> {
        let filter = json!({ "pipelineExecutionId": self.id });
        let mut details = super::action_executions(self.api, &self.args.pipeline, &filter)?;
        details.extend(super::rule_executions(self.api, &self.args.pipeline, self.id)?);
        super::in_order_of_start(&mut details);
        details.retain(|detail| self.is_wanted(detail));
        for detail in &details {
            self.print_new(detail)?;
        }
        Ok(details.len())
    }

    fn is_wanted(&self, detail: &Value) -> bool {
        let Some(wanted) = &self.args.action else { return true };
        detail["stageName"] == wanted.stage.as_str() && super::name_of(detail) == wanted.action.as_str()
    }

    fn print_new(&mut self, detail: &Value) -> anyhow::Result<()> {
        let id = detail["actionExecutionId"].as_str().or(detail["ruleExecutionId"].as_str());
        let Some(action) = id else { return Ok(()) };
        let place = match self.shown.iter().position(|(id, _)| id == action) {
            Some(place) => place,
            None => {
                self.shown.push((action.into(), 0));
                self.shown.len() - 1
            }
        };
        loop {
            let from = self.shown[place].1;
            let input = json!({
                "pipelineName": self.args.pipeline, "pipelineExecutionId": self.id, "stageName": detail["stageName"],
                "actionName": super::name_of(detail), "actionExecutionId": action, "offset": from
            });
            let answer = self.api.extension("GetActionLog", &input)?;
            let next = answer["nextOffset"].as_u64().unwrap_or(from);
            if next == from {
                return Ok(());
            }
            self.shown[place].1 = next;
            self.print(detail, action, &answer)?;
        }
    }

    fn print(&mut self, detail: &Value, action: &str, answer: &Value) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.args.common.format == Format::Json {
            writeln!(out, "{answer}")?;
            return Ok(());
        }
        if self.last.as_deref() != Some(action) && self.args.action.is_none() {
            let text = |field: &str| detail[field].as_str().unwrap_or_default().to_owned();
            let title = format!("== {}/{} {}", text("stageName"), super::titled(detail), text("status"));
            writeln!(out, "{}", Look::of_stdout().paint(STRONG, &title))?;
        }
        self.last = Some(action.into());
        out.write_all(answer["text"].as_str().unwrap_or_default().as_bytes())?;
        Ok(out.flush()?)
    }

    fn is_over(&self) -> anyhow::Result<bool> {
        if !self.args.follow {
            return Ok(true);
        }
        let input = json!({ "pipelineName": self.args.pipeline, "pipelineExecutionId": self.id });
        let answer = self.api.call("GetPipelineExecution", &input)?;
        let status = answer["pipelineExecution"]["status"].as_str().and_then(State::parse);
        Ok(status.is_none_or(State::is_over))
    }

    fn nothing(&self) -> String {
        match &self.args.action {
            Some(wanted) => format!("{wanted} has not been started in execution {}", self.id),
            None => format!("no action of execution {} has been started", self.id),
        }
    }
}

//! The commands that talk to a server: each builds one or a few API calls and shows their answers.

mod api;
mod audit;
mod changes;
mod client_token;
mod connection;
mod credentials;
mod listing;
mod logs;
mod state;
mod stored;
mod table;
mod watch;

use std::io::Write;

use serde_json::{Value, json};

use crate::args::{ClientCommand, CommonArgs, Format};
use crate::exit::{Exit, Unusable};
use crate::output::Look;

pub use api::{Api, CallError, endpoint_url};
pub use credentials::find as find_credentials;
#[cfg(not(feature = "aws"))]
pub use credentials::find_for_aws;
pub use watch::exit_of;

/// Runs one of them.
///
/// # Errors
/// The server cannot be reached or refuses; the input cannot be used.
pub fn run(command: &ClientCommand) -> anyhow::Result<Exit> {
    match command {
        ClientCommand::Pipelines(args) => listing::pipelines(args),
        ClientCommand::Create(args) => changes::create(args),
        ClientCommand::Update(args) => changes::update(args),
        ClientCommand::Start(args) => changes::start(args),
        ClientCommand::Stop(args) => changes::stop(args),
        ClientCommand::Retry(args) => changes::retry(args),
        ClientCommand::Rollback(args) => changes::rollback(args),
        ClientCommand::Approve(args) => changes::approve(args),
        ClientCommand::Transition(args) => changes::transition(args),
        ClientCommand::State(args) => state::state(args),
        ClientCommand::History(args) => listing::history(args),
        ClientCommand::Logs(args) => logs::logs(args),
        ClientCommand::Watch(args) => watch::watch(args),
        ClientCommand::Connection(args) => connection::connection(args),
        ClientCommand::ClientToken(args) => client_token::client_token(args),
        ClientCommand::Audit(args) => audit::audit(args),
        ClientCommand::Why(args) => state::why(args),
    }
}

/// Prints an answer: as the API gave it, or the text made of it.
fn show(common: &CommonArgs, answer: &Value, text: impl FnOnce(Look) -> String) -> anyhow::Result<()> {
    let text = match common.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(answer)?),
        Format::Text => text(Look::of_stdout()),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The newest execution of a pipeline, or the one that is named.
fn execution_or_newest(api: &Api, pipeline: &str, named: Option<&str>) -> anyhow::Result<String> {
    if let Some(id) = named {
        return Ok(id.into());
    }
    let answer = api.call("ListPipelineExecutions", &json!({"pipelineName": pipeline, "maxResults": 1}))?;
    match answer["pipelineExecutionSummaries"][0]["pipelineExecutionId"].as_str() {
        Some(id) => Ok(id.into()),
        None => Err(Unusable::new(format!("{pipeline} was never started: `penstock start {pipeline}`")).into()),
    }
}

/// Every rule execution of an execution.
fn rule_executions(api: &Api, pipeline: &str, id: &str) -> anyhow::Result<Vec<Value>> {
    let filter = json!({ "pipelineExecutionId": id });
    all_details(api, "ListRuleExecutions", "ruleExecutionDetails", pipeline, &filter)
}

/// The action executions that pass an `ActionExecutionFilter`.
fn action_executions(api: &Api, pipeline: &str, filter: &Value) -> anyhow::Result<Vec<Value>> {
    all_details(api, "ListActionExecutions", "actionExecutionDetails", pipeline, filter)
}

/// The whole list of an operation's answers, page by page.
fn all_details(api: &Api, operation: &str, list: &str, pipeline: &str, filter: &Value) -> anyhow::Result<Vec<Value>> {
    let input = json!({ "pipelineName": pipeline, "filter": filter });
    let mut answer = pages(|input| Ok(api.call(operation, input)?), input, list, None)?;
    Ok(answer[list].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// People read from the first on; answers begin with the newest.
fn in_order_of_start(details: &mut [Value]) {
    details.reverse();
    details.sort_by(|left, right| {
        let started = |detail: &Value| detail["startTime"].as_f64().unwrap_or_default();
        started(left).total_cmp(&started(right))
    });
}

/// The name of an action or rule execution's action or rule.
fn name_of(detail: &Value) -> &str {
    detail["actionName"].as_str().or(detail["ruleName"].as_str()).unwrap_or_default()
}

/// The same as it is shown: rules are called so.
fn titled(detail: &Value) -> String {
    let kind = if detail["ruleName"].is_string() { "rule " } else { "" };
    format!("{kind}{}", name_of(detail))
}

/// Every page of a listing, up to `limit` entries, as one answer.
fn pages(
    call: impl Fn(&Value) -> anyhow::Result<Value>,
    mut input: Value,
    field: &str,
    limit: Option<usize>,
) -> anyhow::Result<Value> {
    const PAGE: usize = 100;
    let mut all: Vec<Value> = Vec::new();
    loop {
        let left = limit.map_or(PAGE, |limit| limit.saturating_sub(all.len()).min(PAGE));
        input["maxResults"] = json!(left);
        let mut answer = call(&input)?;
        if let Some(entries) = answer[field].as_array_mut() {
            all.append(entries);
        }
        let next = answer["nextToken"].take();
        let is_full = limit.is_some_and(|limit| all.len() >= limit);
        if next.is_null() || is_full {
            all.truncate(limit.unwrap_or(usize::MAX));
            return Ok(json!({ field: all }));
        }
        input["nextToken"] = next;
    }
}

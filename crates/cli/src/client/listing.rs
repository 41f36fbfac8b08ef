//! Commands that list: pipelines and history.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{HistoryArgs, PipelinesArgs};
use crate::exit::Exit;
use crate::output::Look;
use crate::progress::{State, first_line};

use super::table::{Table, ago, between, since};
use super::{Api, in_order_of_start, pages, rule_executions, show, titled};

/// `penstock pipelines`.
pub fn pipelines(args: &PipelinesArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let limit = args.limit.map(|limit| limit as usize);
    let answer = pages(|input| Ok(api.call("ListPipelines", input)?), json!({}), "pipelines", limit)?;
    show(&args.common, &answer, |look| {
        let now = Timestamp::now();
        let mut table = Table::new(look, &["NAME", "VERSION", "TYPE", "MODE", "UPDATED"]);
        for entry in entries(&answer, "pipelines") {
            let version = entry["version"].to_string();
            let updated = ago(&entry["updated"], now);
            table.row([
                text(&entry["name"]),
                &version,
                text(&entry["pipelineType"]),
                text(&entry["executionMode"]),
                &updated,
            ]);
        }
        table.render("no pipelines: `penstock create pipeline.json` makes one")
    })?;
    Ok(Exit::Succeeded)
}

/// `penstock history`.
pub fn history(args: &HistoryArgs) -> anyhow::Result<Exit> {
    let api = Api::open_stored(args.data.as_deref(), &args.pipeline, &args.common.connect)?;
    let call = |operation: &'static str| {
        let api = &api;
        move |input: &Value| Ok(api.call(operation, input)?)
    };
    let limit = Some(args.limit as usize);
    match &args.execution {
        None => {
            let input = json!({ "pipelineName": args.pipeline });
            let answer = pages(call("ListPipelineExecutions"), input, "pipelineExecutionSummaries", limit)?;
            show(&args.common, &answer, |look| executions(&answer, look))?;
        }
        Some(id) => {
            let input = json!({ "pipelineName": args.pipeline, "filter": { "pipelineExecutionId": id } });
            let mut answer = pages(call("ListActionExecutions"), input, "actionExecutionDetails", limit)?;
            let mut rules = rule_executions(&api, &args.pipeline, id)?;
            rules.truncate(args.limit as usize);
            if !rules.is_empty() {
                answer["ruleExecutionDetails"] = json!(rules);
            }
            show(&args.common, &answer, |look| actions(&answer, look))?;
        }
    }
    Ok(Exit::Succeeded)
}

fn executions(answer: &Value, look: Look) -> String {
    let now = Timestamp::now();
    let mut table = Table::new(look, &["EXECUTION", "STATUS", "STARTED", "TOOK", "TRIGGER", "REVISION"]);
    for entry in entries(answer, "pipelineExecutionSummaries") {
        let took = took(entry, now);
        let started = ago(&entry["startTime"], now);
        let revision = revision(&entry["sourceRevisions"][0]);
        let trigger = text(&entry["trigger"]["triggerType"]);
        table.row([text(&entry["pipelineExecutionId"]), text(&entry["status"]), &started, &took, trigger, &revision]);
    }
    table.render("no executions: `penstock start` makes one")
}

/// From an entry's start to its end, or until now: what waits is not updated.
fn took(entry: &Value, now: Timestamp) -> String {
    match entry["status"].as_str().and_then(State::parse) {
        Some(state) if !state.is_over() => since(&entry["startTime"], now),
        _ => between(&entry["startTime"], &entry["lastUpdateTime"]),
    }
}

fn revision(entry: &Value) -> String {
    let id: String = text(&entry["revisionId"]).chars().take(12).collect();
    [id, first_line(text(&entry["revisionSummary"]))].join(" ").trim().to_owned()
}

fn actions(answer: &Value, look: Look) -> String {
    let now = Timestamp::now();
    let mut table = Table::new(look, &["STAGE", "ACTION", "STATUS", "STARTED", "TOOK", "SUMMARY"]);
    let mut details: Vec<Value> = entries(answer, "actionExecutionDetails").cloned().collect();
    details.extend(entries(answer, "ruleExecutionDetails").cloned());
    in_order_of_start(&mut details);
    for entry in &details {
        let took = took(entry, now);
        let started = ago(&entry["startTime"], now);
        let result = &entry["output"]["executionResult"];
        let error = &result["errorDetails"];
        let summary = match error["code"].as_str() {
            Some(code) => format!("{code}: {}", text(&error["message"])),
            None => text(&result["externalExecutionSummary"]).to_owned(),
        };
        let summary = first_line(&summary);
        table.row([text(&entry["stageName"]), &titled(entry), text(&entry["status"]), &started, &took, &summary]);
    }
    table.render("no action has been started")
}

fn entries<'a>(answer: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    answer[field].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_keeps_its_id_whatever_its_message() {
        for message in ["Fix it\r\n\r\nbody\r\n", "Fix it\rbody", "Fix it"] {
            let answer = json!({ "pipelineExecutionSummaries": [
                { "sourceRevisions": [{ "revisionId": "0123456789abcdef", "revisionSummary": message }] }
            ] });
            let table = executions(&answer, Look::default());
            assert!(table.trim_end().ends_with("0123456789ab Fix it"), "{table}");
        }
    }

    #[test]
    fn what_waits_has_taken_until_now() {
        let now = Timestamp::from_millisecond(100_000).unwrap();
        let entry = |status| json!({ "status": status, "startTime": 10.0, "lastUpdateTime": 12.0 });
        assert_eq!(took(&entry("InProgress"), now), "1m 30s");
        assert_eq!(took(&entry("Succeeded"), now), "2.0 s");
    }
}

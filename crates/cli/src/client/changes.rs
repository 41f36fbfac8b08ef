//! Commands that change something: create, update, start, stop, retry, rollback, approve, transition.

use std::io::Write;

use model::parse::{Declared, Format as FileFormat, parse};
use serde_json::{Value, json};

use crate::args::{
    ActionPath, ApproveArgs, DeclarationArgs, RetryArgs, RetryModeArg, RollbackArgs, StartArgs, StopArgs,
    TransitionArgs, TransitionChange,
};
use crate::declaration::Checked;
use crate::exit::{Exit, Unusable};
use crate::input;
use crate::output::Look;
use crate::validate;

use super::{Api, show, watch};

/// `penstock create`.
pub fn create(args: &DeclarationArgs) -> anyhow::Result<Exit> {
    let Some(declared) = declared(args)? else { return Ok(Exit::Unusable) };
    let mut call = json!({ "pipeline": declared.pipeline });
    if !declared.tags.is_empty() {
        call["tags"] = declared.tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    }
    let answer = Api::open(&args.common.connect)?.call("CreatePipeline", &call)?;
    show(&args.common, &answer, |_| changed("created", &answer))?;
    Ok(Exit::Succeeded)
}

/// `penstock update`.
pub fn update(args: &DeclarationArgs) -> anyhow::Result<Exit> {
    let Some(declared) = declared(args)? else { return Ok(Exit::Unusable) };
    let answer = Api::open(&args.common.connect)?.call("UpdatePipeline", &json!({ "pipeline": declared.pipeline }))?;
    show(&args.common, &answer, |_| changed("updated", &answer))?;
    Ok(Exit::Succeeded)
}

fn changed(verb: &str, answer: &Value) -> String {
    let pipeline = &answer["pipeline"];
    let name = pipeline["name"].as_str().unwrap_or_default();
    format!("{verb} {name}, version {}\n", pipeline["version"])
}

/// What a file declares; none where it has faults, which are told.
fn declared(args: &DeclarationArgs) -> anyhow::Result<Option<Declared>> {
    let name = input::shown(&args.file);
    let bytes = input::read(&args.file).map_err(|message| Unusable::new(format!("{name} {message}")))?;
    let parsed = parse(&bytes, FileFormat::of(&args.file));
    let checked = Checked::of(bytes, &args.file);
    std::io::stderr().write_all(validate::render(&name, &checked, Look::of_stderr()).as_bytes())?;
    match parsed {
        Ok(declared) if checked.is_accepted() => Ok(Some(declared)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// `penstock start`.
pub fn start(args: &StartArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let variables: Vec<Value> =
        args.variable.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let revisions: Vec<Value> = args
        .source_revision
        .iter()
        .map(|given| json!({ "actionName": given.action, "revisionType": given.kind, "revisionValue": given.value }))
        .collect();
    let mut call = json!({ "name": args.pipeline });
    if !variables.is_empty() {
        call["variables"] = variables.into();
    }
    if !revisions.is_empty() {
        call["sourceRevisions"] = revisions.into();
    }
    let answer = api.call("StartPipelineExecution", &call)?;
    let id = answer["pipelineExecutionId"].as_str().unwrap_or_default();
    if args.watch {
        return watch::follow(&api, &args.pipeline, id, args.common.format);
    }
    show(&args.common, &answer, |_| format!("{id}\n"))?;
    Ok(Exit::Succeeded)
}

/// `penstock stop`.
pub fn stop(args: &StopArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let id = match &args.execution {
        Some(id) => id.clone(),
        None => newest_running(&api, &args.pipeline)?,
    };
    let mut call = json!({ "pipelineName": args.pipeline, "pipelineExecutionId": id, "abandon": args.abandon });
    if let Some(reason) = &args.reason {
        call["reason"] = json!(reason);
    }
    let answer = api.call("StopPipelineExecution", &call)?;
    let how =
        if args.abandon { "stopped, running actions abandoned" } else { "stopping, when running actions have ended" };
    show(&args.common, &answer, |_| format!("{id} {how}\n"))?;
    Ok(Exit::Succeeded)
}

fn newest_running(api: &Api, pipeline: &str) -> anyhow::Result<String> {
    let answer = api.call("ListPipelineExecutions", &json!({ "pipelineName": pipeline, "maxResults": 100 }))?;
    let is_running = |summary: &&Value| matches!(summary["status"].as_str(), Some("InProgress" | "Stopping"));
    let found = answer["pipelineExecutionSummaries"].as_array().into_iter().flatten().find(is_running);
    match found.and_then(|summary| summary["pipelineExecutionId"].as_str()) {
        Some(id) => Ok(id.into()),
        None => Err(Unusable::new(format!("no execution of {pipeline} is running")).into()),
    }
}

/// `penstock retry`.
pub fn retry(args: &RetryArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let id = match &args.execution {
        Some(id) => id.clone(),
        None => latest_in(&api, &args.pipeline, &args.stage)?,
    };
    let mode = match args.mode {
        RetryModeArg::FailedActions => "FAILED_ACTIONS",
        RetryModeArg::AllActions => "ALL_ACTIONS",
    };
    let call = json!({
        "pipelineName": args.pipeline, "stageName": args.stage, "pipelineExecutionId": id, "retryMode": mode
    });
    let answer = api.call("RetryStageExecution", &call)?;
    show(&args.common, &answer, |_| format!("{} of {id} runs again\n", args.stage))?;
    Ok(Exit::Succeeded)
}

fn latest_in(api: &Api, pipeline: &str, stage: &str) -> anyhow::Result<String> {
    let state = api.call("GetPipelineState", &json!({ "name": pipeline }))?;
    let stages = state["stageStates"].as_array().cloned().unwrap_or_default();
    let Some(found) = stages.iter().find(|found| found["stageName"] == stage) else {
        let names: Vec<&str> = stages.iter().filter_map(|stage| stage["stageName"].as_str()).collect();
        return Err(Unusable::new(format!("{pipeline} has no stage {stage}; it has {}", names.join(", "))).into());
    };
    match found["latestExecution"]["pipelineExecutionId"].as_str() {
        Some(id) => Ok(id.into()),
        None => Err(Unusable::new(format!("stage {stage} of {pipeline} was never entered")).into()),
    }
}

/// `penstock rollback`.
pub fn rollback(args: &RollbackArgs) -> anyhow::Result<Exit> {
    let call = json!({
        "pipelineName": args.pipeline, "stageName": args.stage, "targetPipelineExecutionId": args.execution
    });
    let answer = Api::open(&args.common.connect)?.call("RollbackStage", &call)?;
    show(&args.common, &answer, |_| format!("{}\n", answer["pipelineExecutionId"].as_str().unwrap_or_default()))?;
    Ok(Exit::Succeeded)
}

/// `penstock approve`.
pub fn approve(args: &ApproveArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let (action, token) = match (&args.action, &args.token) {
        (Some(action), Some(token)) => (action.clone(), token.clone()),
        (action, _) => pending(&api, &args.pipeline, action.as_ref())?,
    };
    if args.link {
        let call = json!({ "pipelineName": args.pipeline, "stageName": action.stage, "actionName": action.action });
        let answer = api.extension("GetApprovalLink", &call)?;
        show(&args.common, &answer, |_| format!("{}\n", answer["url"].as_str().unwrap_or_default()))?;
        return Ok(Exit::Succeeded);
    }
    let status = if args.reject { "Rejected" } else { "Approved" };
    let call = json!({
        "pipelineName": args.pipeline, "stageName": action.stage, "actionName": action.action,
        "result": { "summary": args.summary, "status": status }, "token": token
    });
    let answer = api.call("PutApprovalResult", &call)?;
    show(&args.common, &answer, |_| format!("{action} {}\n", status.to_ascii_lowercase()))?;
    Ok(Exit::Succeeded)
}

/// The approval that waits, with its token: the named one, or the only one.
fn pending(api: &Api, pipeline: &str, named: Option<&ActionPath>) -> anyhow::Result<(ActionPath, String)> {
    let state = api.call("GetPipelineState", &json!({ "name": pipeline }))?;
    let mut found = waiting_approvals(&state);
    let all: Vec<String> = found.iter().map(|(path, _)| path.to_string()).collect();
    if let Some(named) = named {
        found.retain(|(path, _)| path == named);
    }
    match (found.len(), named) {
        (1, _) => Ok(found.remove(0)),
        (0, Some(named)) if all.is_empty() => {
            Err(format!("{named} does not wait for an approval, and nothing else does"))
        }
        (0, Some(named)) => Err(format!("{named} does not wait for an approval; {} does", all.join(", "))),
        (0, None) => Err(format!("no approval of {pipeline} is pending (of a PARALLEL pipeline, give --token)")),
        _ => Err(format!("{} approvals are pending: name one of {}", all.len(), all.join(", "))),
    }
    .map_err(|message| Unusable::new(message).into())
}

/// Actions in progress that have a token: only approvals do.
fn waiting_approvals(state: &Value) -> Vec<(ActionPath, String)> {
    let mut found = Vec::new();
    for stage in state["stageStates"].as_array().into_iter().flatten() {
        for action in stage["actionStates"].as_array().into_iter().flatten() {
            let latest = &action["latestExecution"];
            if let (Some(stage), Some(action), Some("InProgress"), Some(token)) = (
                stage["stageName"].as_str(),
                action["actionName"].as_str(),
                latest["status"].as_str(),
                latest["token"].as_str(),
            ) {
                found.push((ActionPath { stage: stage.into(), action: action.into() }, token.into()));
            }
        }
    }
    found
}

/// `penstock transition`.
pub fn transition(args: &TransitionArgs) -> anyhow::Result<Exit> {
    let side = if args.outbound { "Outbound" } else { "Inbound" };
    let mut call = json!({ "pipelineName": args.pipeline, "stageName": args.stage, "transitionType": side });
    let (operation, verb) = match args.change {
        TransitionChange::Disable => {
            call["reason"] = json!(args.reason.as_deref().unwrap_or_default());
            ("DisableStageTransition", "disabled")
        }
        TransitionChange::Enable => ("EnableStageTransition", "enabled"),
    };
    let answer = Api::open(&args.common.connect)?.call(operation, &call)?;
    show(&args.common, &answer, |_| format!("{side} transition of {} {verb}\n", args.stage))?;
    Ok(Exit::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_actions_in_progress_with_a_token_wait_for_a_person() {
        let state = json!({ "stageStates": [{ "stageName": "Gate", "actionStates": [
            { "actionName": "Done", "latestExecution": { "status": "Succeeded", "token": "t0" } },
            { "actionName": "SignOff", "latestExecution": { "status": "InProgress", "token": "t1" } },
            { "actionName": "Build", "latestExecution": { "status": "InProgress" } },
        ] }] });
        let path = ActionPath { stage: "Gate".into(), action: "SignOff".into() };
        assert_eq!(waiting_approvals(&state), [(path, "t1".to_owned())]);
    }
}

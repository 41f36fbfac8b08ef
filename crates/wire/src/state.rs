//! `GetPipelineState`: every stage with its transition, who waits before it, and its latest execution.

use std::collections::BTreeMap;

use engine::{ActionExecution, Enabled, Execution, Hold, StageExecution};
use model::{ActionName, ConditionSlot, PipelineName, Stage, Version};
use serde_json::{Value, json};

use crate::actions::{action_execution, rule_execution};
use crate::fields::{Fields, cut};
use crate::pipelines::Times;

/// What is shown of a stage.
#[derive(Clone, Debug)]
pub struct StageView<'a> {
    /// What the current version declares.
    pub stage: &'a Stage,
    /// Executions that wait before it, the next first.
    pub waiting: Vec<&'a Execution>,
    /// What keeps executions out. The first stage has no transition: none.
    pub holds: Option<&'a [Hold]>,
    /// Who last enabled it.
    pub enabled: Option<&'a Enabled>,
    /// Its latest execution, with the pipeline execution.
    pub latest: Option<(&'a Execution, &'a StageExecution)>,
    /// The newest attempts of its actions and rules, of the latest execution.
    pub actions: Vec<&'a ActionExecution>,
    /// Where the subjects of actions are shown whose type says so.
    pub entity_urls: BTreeMap<ActionName, String>,
}

/// `GetPipelineStateOutput`; `stages` are in the order of the pipeline's declaration.
pub fn pipeline_state(name: &PipelineName, version: Version, times: Times, stages: &[StageView<'_>]) -> Value {
    let states: Vec<Value> = stages.iter().map(stage_state).collect();
    Fields::default()
        .with("pipelineName", name)
        .with("pipelineVersion", version)
        .with("stageStates", states)
        .time("created", times.created)
        .time("updated", times.updated)
        .done()
}

impl<'a> StageView<'a> {
    /// A stage without state: of a pipeline that never ran, or in PARALLEL mode.
    pub fn stateless(stage: &'a Stage) -> Self {
        Self {
            stage,
            waiting: Vec::new(),
            holds: None,
            enabled: None,
            latest: None,
            actions: Vec::new(),
            entity_urls: BTreeMap::new(),
        }
    }
}

/// `StageState`.
pub fn stage_state(view: &StageView<'_>) -> Value {
    let inbound: Vec<Value> = view.waiting.iter().map(|waiting| inbound_execution(waiting)).collect();
    let actions: Vec<Value> = view.stage.actions.iter().map(|action| action_state(&action.name, view)).collect();
    let latest = view.latest.map(|(execution, stage)| {
        json!({ "pipelineExecutionId": execution.id, "status": stage.status, "type": execution.kind })
    });
    Fields::default()
        .with("stageName", &view.stage.name)
        .maybe("inboundExecution", inbound.first())
        .with("inboundExecutions", &inbound)
        .maybe("inboundTransitionState", view.holds.map(|holds| transition_state(holds, view.enabled)))
        .with("actionStates", actions)
        .maybe("latestExecution", latest)
        .maybe("beforeEntryConditionState", condition_state(view, ConditionSlot::BeforeEntry))
        .maybe("onSuccessConditionState", condition_state(view, ConditionSlot::OnSuccess))
        .maybe("onFailureConditionState", condition_state(view, ConditionSlot::OnFailure))
        .object("retryStageMetadata", retry_metadata(view))
        .done()
}

fn inbound_execution(execution: &Execution) -> Value {
    let stopping = execution.stop.is_some();
    let status = if stopping { "Stopping" } else { "InProgress" };
    json!({ "pipelineExecutionId": execution.id, "status": status, "type": execution.kind })
}

/// `TransitionState`.
fn transition_state(holds: &[Hold], enabled: Option<&Enabled>) -> Value {
    let fields = Fields::default().with("enabled", holds.is_empty());
    match holds.last() {
        Some(hold) => fields
            .with("lastChangedBy", &hold.by)
            .time("lastChangedAt", hold.from)
            .text("disabledReason", Some(&hold.reason), 300)
            .done(),
        None => match enabled {
            Some(enabled) => fields.with("lastChangedBy", &enabled.by).time("lastChangedAt", enabled.at).done(),
            None => fields.done(),
        },
    }
}

fn action_state(name: &ActionName, view: &StageView<'_>) -> Value {
    let execution = view.actions.iter().find(|execution| !execution.is_rule() && execution.key.name == *name);
    let fields = Fields::default().with("actionName", name);
    let entity = view.entity_urls.get(name).map(String::as_str);
    match execution {
        Some(execution) => fields
            .object("currentRevision", current_revision(execution))
            .with("latestExecution", action_execution(execution))
            .url("entityUrl", entity.or(execution.external_url.as_deref()))
            .url("revisionUrl", execution.revision.as_ref().and_then(|revision| revision.url.as_deref()))
            .done(),
        None => fields.url("entityUrl", entity).done(),
    }
}

/// `ActionRevision`, for source actions.
fn current_revision(execution: &ActionExecution) -> Fields {
    let Some(revision) = &execution.revision else { return Fields::default() };
    Fields::default()
        .with("revisionId", cut(&revision.revision_id, 1500))
        .with("revisionChangeId", cut(&revision.revision_id, 100))
        .time("created", revision.created.unwrap_or(execution.updated_at))
}

/// `StageConditionState`; none where the stage declares no such condition.
fn condition_state(view: &StageView<'_>, slot: ConditionSlot) -> Option<Value> {
    let conditions = match slot {
        ConditionSlot::BeforeEntry => &view.stage.before_entry.as_ref()?.conditions,
        ConditionSlot::OnSuccess => &view.stage.on_success.as_ref()?.conditions,
        ConditionSlot::OnFailure => &view.stage.on_failure.as_ref()?.conditions,
    };
    if conditions.is_empty() {
        return None;
    }
    let evaluated = view.latest.and_then(|(_, stage)| stage.conditions.get(&slot));
    let latest = || match evaluated {
        Some(state) => Fields::default().with("status", state.status).text("summary", state.summary.as_deref(), 2048),
        None => Fields::default(),
    };
    let states: Vec<Value> = conditions
        .iter()
        .map(|condition| {
            let rules: Vec<Value> = condition.rules.iter().map(|rule| rule_state(&rule.name, slot, view)).collect();
            let latest = match evaluated {
                Some(state) => latest().time("lastStatusChange", state.changed_at),
                None => latest(),
            };
            Fields::default().object("latestExecution", latest).with("ruleStates", rules).done()
        })
        .collect();
    Some(Fields::default().object("latestExecution", latest()).with("conditionStates", states).done())
}

fn rule_state(name: &ActionName, slot: ConditionSlot, view: &StageView<'_>) -> Value {
    let of_rule =
        |execution: &&&ActionExecution| execution.key.slot == engine::Slot::Rule(slot) && execution.key.name == *name;
    let execution = view.actions.iter().find(of_rule);
    Fields::default()
        .with("ruleName", name)
        .maybe("latestExecution", execution.map(|execution| rule_execution(execution)))
        .url("entityUrl", execution.and_then(|execution| execution.external_url.as_deref()))
        .done()
}

/// `RetryStageMetadata`: a stage is retried automatically once at most, every other retry was by hand.
fn retry_metadata(view: &StageView<'_>) -> Fields {
    let Some((_, stage)) = view.latest else { return Fields::default() };
    let Some(last) = &stage.last_retry else { return Fields::default() };
    Fields::default()
        .maybe("autoStageRetryAttempt", (last.automatic > 0).then_some(last.automatic))
        .maybe("manualStageRetryAttempt", (last.by_hand > 0).then_some(last.by_hand))
        .with("latestRetryTrigger", last.trigger)
}

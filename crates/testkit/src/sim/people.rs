//! The people of a run: what they ask for, of whom, and when they repeat themselves.

use std::rc::Rc;

use control::{Control, ControlError};
use engine::{
    ActionExecution, ActionKey, ApprovalDecision, Execution, Item, ItemKey, Origin, Override, Retry, Rollback,
    SetTransition, StageExecution, Start, Stop, Success, TransitionSide, TriggerDetail,
};
use model::{ActionStatus, ConditionSlot, ExecutionId, PipelineName, RetryMode, StageName, StringMap, TriggerType};

use super::asked::Asked;
use super::declare;
use super::dice::Dice;
use super::history::{Items, Refused, Step};
use super::mutation::Mutation;
use super::outside::Around;

/// How often somebody repeats a question whose answer is not known.
const REPEATS: u32 = 3;

/// What of a pipeline people look at before they ask.
struct View<'a> {
    dice: &'a Dice,
    items: &'a Items,
}

/// What somebody asks next of this pipeline.
pub(super) fn choose(around: &Around, name: &PipelineName, rush: bool) -> Asked {
    let known = around.recorder.known();
    let dice = &around.dice;
    let items = known.names.get(name).and_then(|id| known.pipelines.get(id));
    let Some(items) = items else {
        return Asked::Create(Box::new(declare::pipeline(dice, name)));
    };
    let view = View { dice, items };
    if rush && dice.chance(95) {
        return view.start(false);
    }
    let asked = match dice.index(100) {
        0..=29 => None,
        30..=49 => view.approval(around),
        50..=59 => view.stop(),
        60..=73 => view.retry(),
        74..=80 => view.rollback(),
        81..=85 => view.override_condition(),
        86..=93 => view.transition(),
        94..=97 => Some(Asked::Update(Box::new(declare::pipeline(dice, name)))),
        _ => Some(Asked::Delete),
    };
    asked.unwrap_or_else(|| view.start(true))
}

impl View<'_> {
    fn executions(&self) -> Vec<&Execution> {
        let executions = self.items.values().filter_map(|item| match item.as_ref() {
            Item::Execution(execution) => Some(execution),
            _ => None,
        });
        executions.collect()
    }

    fn stages(&self) -> Vec<&StageExecution> {
        let stages = self.items.values().filter_map(|item| match item.as_ref() {
            Item::StageExecution(stage) => Some(stage),
            _ => None,
        });
        stages.collect()
    }

    /// One that suits, or in one of ten cases any.
    fn one<'b, T>(&self, all: &[&'b T], suits: impl Fn(&T) -> bool) -> Option<&'b T> {
        let fitting: Vec<&T> = all.iter().copied().filter(|one| suits(one)).collect();
        let any = fitting.is_empty() || self.dice.chance(10);
        self.dice.pick(if any { all } else { &fitting }).copied()
    }

    fn start(&self, tokens: bool) -> Asked {
        let dice = self.dice;
        let token = (tokens && dice.chance(30)).then(|| format!("token-{}", dice.index(6)));
        let color = ["blue", "green", "gray"];
        let variables: StringMap = dice
            .pick(&color)
            .filter(|_| dice.chance(50))
            .map(|color| ("color".to_owned(), (*color).to_owned()))
            .into_iter()
            .collect();
        let origin = dice.chance(20).then(|| {
            let commit = dice.index(8);
            Box::new(Origin {
                action: Some("source1".into()),
                git_ref: Some("refs/heads/main".into()),
                before: Some(format!("commit-{commit}")),
                after: Some(format!("commit-{}", commit + 1)),
                ..Origin::default()
            })
        });
        Asked::Start { token, variables, origin }
    }

    fn stop(&self) -> Option<Asked> {
        let execution = self.one(&self.executions(), |execution| !execution.status.is_terminal())?;
        Some(Asked::Stop { execution: execution.id, abandon: self.dice.chance(50) })
    }

    fn retry(&self) -> Option<Asked> {
        let stage = self.one(&self.stages(), |stage| stage.failed_in.is_some())?;
        let mode = if self.dice.chance(50) { RetryMode::FailedActions } else { RetryMode::AllActions };
        Some(Asked::Retry { execution: stage.execution, stage: stage.stage.clone(), mode })
    }

    fn rollback(&self) -> Option<Asked> {
        let succeeded: Vec<(&StageName, &Success)> = self
            .items
            .iter()
            .filter_map(|(key, item)| match (key, item.as_ref()) {
                (ItemKey::Success(stage, _), Item::Success(success)) => Some((stage, success)),
                _ => None,
            })
            .collect();
        let newest = self.items.values().filter_map(|item| match item.as_ref() {
            Item::Header(header) => Some(header),
            _ => None,
        });
        let newest = newest.max_by_key(|header| header.version)?;
        // Of an earlier version, in a stage that the pipeline still has.
        let outdated = |(stage, success): &&(&StageName, &Success)| {
            success.version != newest.version && newest.stages.iter().skip(1).any(|kept| kept == *stage)
        };
        let outdated: Vec<_> = succeeded.iter().filter(outdated).copied().collect();
        let prefer = !outdated.is_empty() && self.dice.chance(50);
        let (stage, Success { execution: target, .. }) = self.dice.pick(if prefer { &outdated } else { &succeeded })?;
        Some(Asked::Rollback { stage: (*stage).clone(), target: *target })
    }

    fn override_condition(&self) -> Option<Asked> {
        let stage = self.one(&self.stages(), |stage| !stage.conditions.is_empty())?;
        let among = [ConditionSlot::BeforeEntry, ConditionSlot::OnSuccess, ConditionSlot::OnFailure];
        let condition = stage.conditions.keys().next().or_else(|| self.dice.pick(&among)).copied()?;
        Some(Asked::Override { execution: stage.execution, stage: stage.stage.clone(), condition })
    }

    fn transition(&self) -> Option<Asked> {
        let headers: Vec<_> = self
            .items
            .values()
            .filter_map(|item| match item.as_ref() {
                Item::Header(header) => Some(header),
                _ => None,
            })
            .collect();
        let stage = self.dice.pick(&headers.last()?.stages)?;
        Some(Asked::Transition { stage: stage.clone(), inbound: self.dice.chance(70), disable: self.dice.chance(45) })
    }

    fn approval(&self, around: &Around) -> Option<Asked> {
        let actions: Vec<&ActionExecution> = self
            .items
            .values()
            .filter_map(|item| match item.as_ref() {
                Item::Action(action) if action.approval.is_some() => Some(action),
                _ => None,
            })
            .collect();
        let action = self.one(&actions, |action| action.status == ActionStatus::InProgress)?;
        let right = self.dice.chance(85);
        let token = if right { action.approval.as_ref()?.token.clone() } else { "wrong".to_owned() };
        Some(Asked::Approve {
            key: action.key.clone(),
            token,
            right,
            approved: self.dice.chance(75),
            summary: format!("decision-{}", around.next_result()),
        })
    }
}

/// Asks, and asks again while the answer is not known.
pub(super) async fn ask(control: Rc<Control>, around: Around, name: PipelineName, asked: Asked, place: usize) {
    for repeat in 0..=REPEATS {
        let answer = put(&control, &around, &name, &asked).await;
        let answer = answer.map_err(|error| match error {
            ControlError::Refused(refusal) => Refused::By(refusal),
            other => Refused::Unknown(other.to_string()),
        });
        let known = !matches!(answer, Err(Refused::Unknown(_)));
        around.recorder.note(Step::Answered(place, answer));
        if known || repeat == REPEATS || around.dice.chance(30) {
            return;
        }
        around.time.sleep(around.dice.range(0, 2000)).await;
    }
}

async fn put(
    control: &Control,
    around: &Around,
    name: &PipelineName,
    asked: &Asked,
) -> Result<Option<ExecutionId>, ControlError> {
    let by = || "arn:aws:iam::123456789012:user/somebody".to_owned();
    match asked.clone() {
        Asked::Create(declaration) => control.create_pipeline(*declaration).await.map(|_| None),
        Asked::Update(declaration) => control.update_pipeline(*declaration).await.map(|_| None),
        Asked::Delete => control.delete_pipeline(name).await.map(|()| None),
        Asked::Start { token, variables, origin } => {
            let trigger = TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: by() };
            let start = Start { trigger, origin: origin.map(|origin| *origin), variables, overrides: Vec::new() };
            control.start_pipeline_execution(name, start, token.as_deref()).await.map(Some)
        }
        Asked::Stop { execution, abandon } => {
            control.stop_pipeline_execution(name, Stop { execution, abandon, reason: None }).await.map(|()| None)
        }
        Asked::Retry { execution, stage, mode } => {
            control.retry_stage_execution(name, Retry { execution, stage, mode }).await.map(|()| None)
        }
        Asked::Rollback { stage, target } => {
            control.rollback_stage(name, Rollback { stage, target, by: by() }).await.map(Some)
        }
        Asked::Override { execution, stage, condition } => {
            control.override_stage_condition(name, Override { execution, stage, condition }).await.map(|()| None)
        }
        Asked::Transition { stage, inbound, disable } => {
            let side = if inbound { TransitionSide::Inbound } else { TransitionSide::Outbound };
            let disable = disable.then(|| "not now".to_owned());
            control.set_stage_transition(name, SetTransition { stage, side, disable, by: by() }).await.map(|()| None)
        }
        Asked::Approve { key, token, approved, summary, .. } => {
            approve(control, around, name, key, &token, approved, summary).await
        }
    }
}

async fn approve(
    control: &Control,
    around: &Around,
    name: &PipelineName,
    key: ActionKey,
    token: &str,
    approved: bool,
    summary: String,
) -> Result<Option<ExecutionId>, ControlError> {
    let right = {
        let known = around.recorder.known();
        known.pipelines.values().find_map(|items| right_token(items, &key))
    };
    let token = right.filter(|_| matches!(around.mutation, Mutation::AnyToken)).unwrap_or_else(|| token.to_owned());
    let decision = ApprovalDecision { approved, summary, by: "somebody".into(), via: None, at: control.now() };
    if around.dice.chance(50) {
        return control.put_approval_result(name, &key.stage, &key.name, &token, decision).await.map(|()| None);
    }
    let pipeline = control.pipeline_ref(name).await?;
    control.decide_approval(&pipeline, &key, &token, decision).await.map(|()| None)
}

/// The token that an approval waits for.
fn right_token(items: &Items, key: &ActionKey) -> Option<String> {
    match items.get(&ItemKey::Action(key.clone()))?.as_ref() {
        Item::Action(action) => Some(action.approval.as_ref()?.token.clone()),
        _ => None,
    }
}

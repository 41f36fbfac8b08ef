//! StartPipelineExecution and what triggers start.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{
    ActionName, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, Ordinal, PipelineName, Stage, StageName,
    StringMap, Timestamp, Version,
};

use super::draft::Draft;
use super::entering::arrive;
use super::{Halt, MAX_CONCURRENT_EXECUTIONS, Step};
use crate::event::{Refusal, Start, State};
use crate::item::{
    Admission, Execution, Header, Item, Live, Origin, PlannedStage, SourceHead, SourceOverride, TriggerDetail,
};
use crate::key::{ItemKey, Read};

pub(super) fn start(draft: &mut Draft<'_>, start: &Start) -> Step {
    let pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    let header = draft.header(pipeline.version)?;
    let variables = resolve_variables(&header, &start.variables)?;
    check_overrides(&header, &start.overrides)?;
    let mut admission = draft.admission()?.unwrap_or_default();
    check_limit(&admission, header.mode)?;
    let stale = note_source(draft, &header, start)?;
    draft.depends_on(ItemKey::Pipeline);
    let id = ExecutionId(draft.seed.id("execution"));
    let ordinal = admit(&mut admission, id, header.version);
    let (version, mode) = (header.version, header.mode);
    let born = Birth { id, ordinal, pipeline: pipeline.name, version, mode, at: draft.at };
    let mut execution = born.execution(plan(&header.stages), start.trigger.clone());
    execution.origin = start.origin.clone().map(Box::new);
    execution.variables = variables;
    execution.overrides = start.overrides.clone();
    draft.started(id);
    draft.publish_pipeline(&execution, State::Started);
    if stale {
        admission.live.remove(&ordinal);
        execution.status = ExecutionStatus::Superseded;
        draft.publish_pipeline(&execution, State::Superseded);
    }
    draft.replace(ItemKey::Admission, Item::Admission(admission));
    if !stale && let Some(first) = header.stages.first() {
        let lane = (mode != ExecutionMode::Parallel).then(|| ItemKey::Lane(first.clone()));
        draft.need([ItemKey::StagePart(version, first.clone())].into_iter().chain(lane).map(Read::Item))?;
        check_override_types(draft.part(version, first)?.as_ref(), &start.overrides)?;
        arrive(draft, &mut execution, first)?;
    }
    draft.create(ItemKey::Execution(id), Item::Execution(execution));
    Ok(())
}

/// Takes the next place in the order of starts.
pub(super) fn admit(admission: &mut Admission, id: ExecutionId, version: model::Version) -> Ordinal {
    let ordinal = admission.next;
    admission.next += 1;
    admission.live.insert(ordinal, Live { id, version, cancelled_by: None });
    ordinal
}

/// Refuses a start beyond the limit of live executions.
pub(super) fn check_limit(admission: &Admission, mode: ExecutionMode) -> Result<(), Refusal> {
    let limited = match mode {
        ExecutionMode::Queued | ExecutionMode::Parallel => true,
        ExecutionMode::Superseded => false,
    };
    if limited && admission.live.len() >= MAX_CONCURRENT_EXECUTIONS {
        return Err(Refusal::ConcurrentExecutionsLimit(u32::try_from(MAX_CONCURRENT_EXECUTIONS).unwrap_or(u32::MAX)));
    }
    Ok(())
}

/// Every stage after the one before it.
fn plan(stages: &[StageName]) -> Vec<PlannedStage> {
    let before = std::iter::once(None).chain(stages.iter().map(Some));
    stages
        .iter()
        .zip(before)
        .map(|(stage, before)| PlannedStage { stage: stage.clone(), after: before.into_iter().cloned().collect() })
        .collect()
}

/// What a new execution is, before anything happened to it.
pub(super) struct Birth {
    pub id: ExecutionId,
    pub ordinal: Ordinal,
    pub pipeline: PipelineName,
    pub version: Version,
    pub mode: ExecutionMode,
    pub at: Timestamp,
}

impl Birth {
    pub fn execution(self, plan: Vec<PlannedStage>, trigger: TriggerDetail) -> Execution {
        Execution {
            id: self.id,
            ordinal: self.ordinal,
            pipeline: self.pipeline,
            version: self.version,
            mode: self.mode,
            kind: ExecutionType::Standard,
            status: ExecutionStatus::InProgress,
            plan: Arc::new(plan),
            done: BTreeSet::new(),
            at: std::collections::BTreeMap::new(),
            attempt: 1,
            trigger,
            origin: None,
            variables: StringMap::new(),
            overrides: Vec::new(),
            revisions: Vec::new(),
            stop: None,
            cancel: None,
            superseded_by: None,
            rollback_target: None,
            ended_in: None,
            started_at: self.at,
            updated_at: self.at,
        }
    }
}

/// The values of the pipeline variables: given, else default; without either the start is refused (semantics.md 5).
fn resolve_variables(header: &Header, given: &StringMap) -> Result<StringMap, Refusal> {
    if let Some(unknown) = given.keys().find(|name| !header.variables.iter().any(|known| known.name == **name)) {
        let known: Vec<_> = header.variables.iter().map(|variable| variable.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Refusal::Invalid(format!("The pipeline has no variable named {unknown}; it declares: {known}.")));
    }
    let mut values = StringMap::new();
    for variable in &header.variables {
        let value = given.get(&variable.name).or(variable.default_value.as_ref());
        let value = value.ok_or_else(|| {
            let name = &variable.name;
            Refusal::Invalid(format!("The pipeline variable {name} has no default value: the start must give one."))
        })?;
        values.insert(variable.name.clone(), value.clone());
    }
    Ok(values)
}

fn check_overrides(header: &Header, overrides: &[SourceOverride]) -> Result<(), Refusal> {
    match overrides.iter().find(|given| !header.sources.contains(&given.action)) {
        Some(unknown) => Err(Refusal::Invalid(format!(
            "sourceRevisions names the action {}, which is no source action of the pipeline.",
            unknown.action
        ))),
        None => Ok(()),
    }
}

/// Refuses a source revision that its action does not take: the execution would start, and then fail there.
fn check_override_types(sources: &Stage, overrides: &[SourceOverride]) -> Result<(), Refusal> {
    for given in overrides {
        let action = sources.actions.iter().find(|action| action.name == given.action);
        let types = action.and_then(|action| action.action_type_id.source_revision_types());
        if let Some(types) = types.filter(|types| !types.contains(&given.kind)) {
            let right: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
            return Err(Refusal::Invalid(format!(
                "sourceRevisions gives the source action {} a revision of type {}; it takes {}.",
                given.action,
                given.kind,
                right.join(" or ")
            )));
        }
    }
    Ok(())
}

/// The source action and ref whose order a start tells, unless it brings `sourceRevisions`: somebody wants exactly that.
pub(super) fn source_head(start: &Start) -> Option<(&ActionName, String)> {
    start.origin.as_ref().filter(|_| start.overrides.is_empty())?.source_head()
}

/// Notes the start's source order; whether a newer one is known already. Only SUPERSEDED executions care.
fn note_source(draft: &mut Draft<'_>, header: &Header, start: &Start) -> Result<bool, Halt> {
    let (Some(origin), Some((action, place))) = (&start.origin, source_head(start)) else { return Ok(false) };
    let known = draft.slice.source_head(action, &place)?.cloned();
    let mut head = known.clone().unwrap_or_default();
    let stale = is_stale(&head, origin);
    if let (Some(before), Some(after)) = (&origin.before, &origin.after) {
        head.note(before, after);
    }
    if let Some(sequencer) = &origin.sequencer {
        let newest = head.sequencer.take().filter(|known| !sequencer_less(known, sequencer));
        head.sequencer = Some(newest.unwrap_or_else(|| sequencer.clone()));
    }
    let key = ItemKey::SourceHead(action.clone(), place);
    match known {
        Some(_) => draft.replace(key, Item::SourceHead(head)),
        None => draft.create(key, Item::SourceHead(head)),
    }
    Ok(stale && header.mode == ExecutionMode::Superseded)
}

/// Older means: a smaller sequencer; a push whose `after` is the `before` of one seen. What cannot be compared is newer.
fn is_stale(head: &SourceHead, origin: &Origin) -> bool {
    let sequenced = match (&origin.sequencer, &head.sequencer) {
        (Some(new), Some(known)) => sequencer_less(new, known),
        (Some(_) | None, None) | (None, Some(_)) => false,
    };
    let pushed = origin.after.as_deref().is_some_and(|after| leads_past(head, after, origin.before.as_deref()));
    sequenced || pushed
}

/// Whether pushes seen led on from `after`, and not back to where this push began: a branch that is set back runs in a
/// circle, in which nothing is older.
fn leads_past(head: &SourceHead, after: &str, began: Option<&str>) -> bool {
    let mut reached = vec![after];
    let mut place = 0;
    while let Some(commit) = reached.get(place).copied() {
        let further = head.pushes.iter().filter(|(before, _)| before == commit).map(|(_, after)| after.as_str());
        let new: Vec<&str> = further.filter(|commit| !reached.contains(commit)).collect();
        reached.extend(new);
        place += 1;
    }
    let led_on = head.pushes.iter().any(|(before, _)| before == after);
    led_on && !began.is_some_and(|began| reached.contains(&began))
}

/// S3's sequencers are compared as text after the shorter was padded with zeros on its right.
fn sequencer_less(left: &str, right: &str) -> bool {
    let width = left.len().max(right.len());
    format!("{left:0<width$}") < format!("{right:0<width$}")
}

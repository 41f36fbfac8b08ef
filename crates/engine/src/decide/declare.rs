//! Creating, updating and deleting a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Pipeline, Version};

use super::Step;
use super::draft::Draft;
use crate::event::{Create, Reason, Refusal, Work};
use crate::item::{Admission, Header, Item, Live, PipelineItem};
use crate::key::ItemKey;

/// How many executions one commit has cancelled.
const PAGE: usize = 50;

pub(super) fn create(draft: &mut Draft<'_>, create: &Create) -> Step {
    if draft.pipeline()?.is_some() {
        return Err(Refusal::PipelineNameInUse.into());
    }
    let pipeline = PipelineItem {
        id: create.id,
        name: create.declaration.name.clone(),
        version: 1,
        created_at: draft.at,
        updated_at: draft.at,
        deleted_at: None,
    };
    draft.create(ItemKey::Pipeline, Item::Pipeline(pipeline));
    draft.create(ItemKey::Admission, Item::Admission(Admission { next: 1, live: BTreeMap::new() }));
    write_version(draft, &create.declaration, 1);
    Ok(())
}

pub(super) fn update(draft: &mut Draft<'_>, declaration: &Pipeline) -> Step {
    let mut pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    pipeline.version += 1;
    pipeline.updated_at = draft.at;
    let version = pipeline.version;
    draft.replace(ItemKey::Pipeline, Item::Pipeline(pipeline));
    write_version(draft, declaration, version);
    draft.work(Work::CancelOlderThan(version));
    Ok(())
}

pub(super) fn delete(draft: &mut Draft<'_>) -> Step {
    let mut pipeline = draft.live_pipeline()?.ok_or(Refusal::PipelineNotFound)?;
    pipeline.deleted_at = Some(draft.at);
    draft.replace(ItemKey::Pipeline, Item::Pipeline(pipeline));
    draft.work(Work::CancelOlderThan(Version::MAX));
    Ok(())
}

fn write_version(draft: &mut Draft<'_>, declaration: &Pipeline, version: Version) {
    draft.create(ItemKey::Header(version), Item::Header(Arc::new(Header::of(declaration, version))));
    for stage in &declaration.stages {
        draft.create(ItemKey::StagePart(version, stage.name.clone()), Item::StagePart(Arc::new(stage.clone())));
    }
}

/// Executions of older versions are cancelled, each by a row of its own, a page a commit.
pub(super) fn cancel_older_than(draft: &mut Draft<'_>, version: Version) -> Step {
    let mut admission = draft.admission()?.unwrap_or_default();
    let asked = |live: &Live| live.cancelled_by.is_some_and(|by| by >= version);
    let mut older = admission.live.values_mut().filter(|live| live.version < version && !asked(live));
    let page: Vec<_> = older.by_ref().take(PAGE).collect();
    if page.is_empty() {
        return Err(Reason::AlreadySo.into());
    }
    let mut ids = Vec::with_capacity(page.len());
    for live in page {
        live.cancelled_by = Some(version);
        ids.push(live.id);
    }
    let more = older.next().is_some();
    for id in ids {
        draft.work(Work::Settle(id));
    }
    if more {
        draft.work(Work::CancelOlderThan(version));
        draft.put_admission(admission);
    }
    Ok(())
}

impl Header {
    /// What a declaration says of the pipeline as a whole.
    pub fn of(declaration: &Pipeline, version: Version) -> Self {
        let mut producers = BTreeMap::new();
        let mut namespaces = BTreeMap::new();
        for (stage, action) in declaration.actions() {
            let place = (stage.name.clone(), action.name.clone());
            for output in &action.output_artifacts {
                producers.insert(output.name.clone(), place.clone());
            }
            if let Some(namespace) = &action.namespace {
                namespaces.insert(namespace.clone(), place);
            }
        }
        let sources = declaration.stages.first().map(|stage| stage.actions.as_slice()).unwrap_or_default();
        Self {
            version,
            mode: declaration.mode(),
            kind: declaration.kind(),
            stages: declaration.stages.iter().map(|stage| stage.name.clone()).collect(),
            sources: sources.iter().map(|action| action.name.clone()).collect(),
            variables: declaration.variables.clone(),
            producers,
            namespaces,
        }
    }
}

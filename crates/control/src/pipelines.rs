//! CreatePipeline, GetPipeline, UpdatePipeline, DeletePipeline, ListPipelines.

use engine::{Command, Create, Refusal, What};
use model::{ExecutionMode, Pipeline, PipelineId, PipelineName, PipelineType, Stage, StringMap, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::control::{Control, ControlError};
use crate::keys;
use crate::load::Loaded;
use crate::ports::{Condition, Key, PortError, Query, Write};
use crate::rows::{PipelineRef, Task, WorkRow};
use crate::stored::{decode, encode};

/// The most pipelines of an account in a region (semantics: quotas).
pub const MAX_PIPELINES: usize = 1000;

/// What lies under a pipeline's name: its id and what a listing shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameItem {
    /// This creation.
    pub id: PipelineId,
    /// The current version.
    pub version: Version,
    /// V1 or V2.
    pub kind: PipelineType,
    /// The execution mode.
    pub mode: ExecutionMode,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last updated.
    pub updated_at: Timestamp,
}

/// A pipeline as GetPipeline gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPipeline {
    /// The declaration, its version filled in.
    pub declaration: Pipeline,
    /// This creation.
    pub id: PipelineId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When this or a later version was made.
    pub updated_at: Timestamp,
}

/// A name and what lies under it.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineSummary {
    /// The name.
    pub name: PipelineName,
    /// What lies under it.
    pub item: NameItem,
}

impl Control {
    /// Makes a pipeline, version 1.
    pub async fn create_pipeline(&self, declaration: Pipeline) -> Result<StoredPipeline, ControlError> {
        self.create_tagged_pipeline(declaration, &StringMap::new()).await
    }

    /// Makes a pipeline, version 1, with these tags.
    pub async fn create_tagged_pipeline(
        &self,
        declaration: Pipeline,
        tags: &StringMap,
    ) -> Result<StoredPipeline, ControlError> {
        let event_seed = self.event(What::Command(Command::Delete));
        let id = PipelineId(event_seed.seed.id("pipeline"));
        let pipeline = PipelineRef { id, name: declaration.name.clone() };
        if self.name_item(&pipeline.name).await?.is_some() {
            return Err(Refusal::PipelineNameInUse.into());
        }
        if self.are_all_names_taken().await? {
            return Err(Refusal::PipelinesLimit(MAX_PIPELINES).into());
        }
        let (declaration, sealed) = self.seal_secrets(id, 1, declaration, None).await?;
        let item = name_item(id, &declaration, 1, event_seed.at, event_seed.at);
        let sources = self.source_writes(&pipeline, None, Some(&declaration), event_seed.at).await?;
        let mut extra = vec![
            Write::Put {
                key: self.place().name(&pipeline.name),
                revision: 1,
                body: encode(&item)?,
                condition: Condition::Absent,
            },
            self.declaration_write(id, &declaration, 1)?,
        ];
        extra.extend(sealed);
        extra.extend(self.new_pipeline_tags(id, tags)?);
        extra.extend(sources.writes.iter().cloned());
        let create = Create { id, declaration: Box::new(declaration.clone()) };
        let event = engine::Event { what: What::Command(Command::Create(create)), ..event_seed };
        let round = self.round(&pipeline, &event, 0, None, &extra).await?;
        self.commit_unless_named(round, &pipeline.name).await?;
        self.sources_changed(&sources).await;
        Ok(stored(declaration, &item, 1))
    }

    /// Whether the region has as many pipelines as it may have. Names are counted, not kept count of: pipelines are made
    /// rarely. Those that are made at the very same time may be some too many.
    async fn are_all_names_taken(&self) -> Result<bool, ControlError> {
        let (mut count, mut after) = (0, None);
        loop {
            let limit = MAX_PIPELINES - count;
            let query = Query { pk: self.place().names(), prefix: String::new(), after, limit, backward: false };
            let page = self.table().query(&query).await?;
            count += page.items.len();
            after = page.items.last().map(|(key, _)| key.sk.clone());
            if count >= MAX_PIPELINES || !page.more {
                return Ok(count >= MAX_PIPELINES);
            }
        }
    }

    async fn commit_unless_named(&self, round: crate::control::Round, name: &PipelineName) -> Result<(), ControlError> {
        let crate::control::Round::Commit(prepared, _) = round else {
            return Err(Refusal::PipelineNameInUse.into());
        };
        match self.make(&prepared).await {
            Ok(()) => Ok(self.table().flush().await?),
            Err(PortError::Conflict) if self.name_item(name).await?.is_some() => Err(Refusal::PipelineNameInUse.into()),
            Err(PortError::Conflict) => Err(ControlError::Busy),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a pipeline: one version more; executions of older versions are cancelled once their actions in progress ended.
    pub async fn update_pipeline(&self, declaration: Pipeline) -> Result<StoredPipeline, ControlError> {
        for _ in 0..8 {
            let (known, revision) = self.name_item(&declaration.name).await?.ok_or(Refusal::PipelineNotFound)?;
            let before = self.declaration(known.id, known.version).await?;
            let version = known.version + 1;
            let sealed = self.seal_secrets(known.id, version, declaration.clone(), before.as_ref()).await?;
            let (declaration, sealed) = sealed;
            let pipeline = PipelineRef { id: known.id, name: declaration.name.clone() };
            let event = self.event(What::Command(Command::Update(Box::new(declaration.clone()))));
            let item = name_item(known.id, &declaration, version, known.created_at, event.at);
            let sources = self.source_writes(&pipeline, before.as_ref(), Some(&declaration), event.at).await?;
            let mut extra = vec![
                Write::Put {
                    key: self.place().name(&pipeline.name),
                    revision: revision + 1,
                    body: encode(&item)?,
                    condition: Condition::Revision(revision),
                },
                self.declaration_write(known.id, &declaration, version)?,
            ];
            extra.extend(sealed);
            extra.extend(sources.writes.iter().cloned());
            let prepared = match self.round(&pipeline, &event, 0, None, &extra).await? {
                crate::control::Round::Commit(prepared, _) => prepared,
                crate::control::Round::Refused(refusal) => return Err(refusal.into()),
                crate::control::Round::Ignored(_) => return Err(Refusal::PipelineNotFound.into()),
            };
            match self.make(&prepared).await {
                Ok(()) => {
                    self.table().flush().await?;
                    self.sources_changed(&sources).await;
                    return Ok(stored(declaration, &item, version));
                }
                Err(PortError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::Busy)
    }

    /// Deletes a pipeline; deleting one that is not there is no error. Its live executions are cancelled.
    pub async fn delete_pipeline(&self, name: &PipelineName) -> Result<(), ControlError> {
        let Some((known, revision)) = self.name_item(name).await? else {
            // Whoever deleted it may not have flushed yet.
            return Ok(self.table().flush().await?);
        };
        let pipeline = PipelineRef { id: known.id, name: name.clone() };
        let event = self.event(What::Command(Command::Delete));
        let clean = WorkRow {
            id: event.seed.id("clean"),
            region: self.place().region.clone(),
            pipeline: pipeline.clone(),
            due: event.at.plus_minutes(1),
            task: Task::Clean,
            tries: 0,
        };
        let before = self.declaration(known.id, known.version).await?;
        let sources = self.source_writes(&pipeline, before.as_ref(), None, event.at).await?;
        let mut extra = vec![
            Write::Delete { key: self.place().name(name), condition: Condition::Revision(revision) },
            self.put_row(&clean)?,
        ];
        extra.extend(sources.writes.iter().cloned());
        let deleted = self.command(&pipeline, &event, &extra).await;
        if deleted.is_ok() {
            self.sources_changed(&sources).await;
        }
        match deleted {
            Ok(_) | Err(ControlError::Refused(Refusal::PipelineNotFound)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A pipeline, as it is or as a version was.
    pub async fn get_pipeline(
        &self,
        name: &PipelineName,
        version: Option<Version>,
    ) -> Result<Option<StoredPipeline>, ControlError> {
        let (item, _) = self.name_item(name).await?.ok_or(Refusal::PipelineNotFound)?;
        let wanted = version.unwrap_or(item.version);
        if wanted == 0 || wanted > item.version {
            return Ok(None);
        }
        Ok(self.declaration(item.id, wanted).await?.map(|declaration| stored(declaration, &item, wanted)))
    }

    /// A page of pipelines by name, behind `after`; and whether there are more.
    pub async fn list_pipelines(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<PipelineSummary>, bool), ControlError> {
        let query = Query { pk: self.place().names(), prefix: String::new(), after, limit, backward: false };
        let page = self.table().query(&query).await?;
        let mut summaries = Vec::with_capacity(page.items.len());
        for (key, stored) in page.items {
            summaries.push(PipelineSummary { item: decode(&stored.body, &key.sk)?, name: key.sk.into() });
        }
        Ok((summaries, page.more))
    }

    /// The pipeline of a name.
    pub async fn pipeline_ref(&self, name: &PipelineName) -> Result<PipelineRef, ControlError> {
        let (item, _) = self.name_item(name).await?.ok_or(Refusal::PipelineNotFound)?;
        Ok(PipelineRef { id: item.id, name: name.clone() })
    }

    pub(crate) async fn name_item(&self, name: &PipelineName) -> Result<Option<(NameItem, u64)>, ControlError> {
        let found = self.table().get(&self.place().name(name)).await?;
        found.map(|stored| Ok((decode(&stored.body, name.as_str())?, stored.revision))).transpose()
    }

    /// A version's declaration, put together from its parts.
    pub(crate) async fn declaration(&self, id: PipelineId, version: Version) -> Result<Option<Pipeline>, ControlError> {
        let Some(top) = self.declaration_top(id, version).await? else { return Ok(None) };
        let mut declaration = Pipeline::clone(&top);
        let mut loaded = Loaded::default();
        let header_key = engine::ItemKey::Header(version);
        self.loader.load(id, &mut loaded, &[engine::Read::Item(header_key)]).await?;
        let Ok(Some(header)) = loaded.slice.header(version).map(Option::<&_>::cloned) else { return Ok(None) };
        for stage in &header.stages {
            match self.stage_part(id, version, stage).await? {
                Some(part) => declaration.stages.push(Stage::clone(&part)),
                None => return Ok(None),
            }
        }
        Ok(Some(declaration))
    }

    /// A version's stage.
    pub(crate) async fn stage_part(
        &self,
        id: PipelineId,
        version: Version,
        stage: &model::StageName,
    ) -> Result<Option<std::sync::Arc<Stage>>, ControlError> {
        let mut loaded = Loaded::default();
        let read = engine::Read::Item(engine::ItemKey::StagePart(version, stage.clone()));
        self.loader.load(id, &mut loaded, &[read]).await?;
        Ok(loaded.slice.stage_part(version, stage).ok().flatten().cloned())
    }

    fn declaration_write(&self, id: PipelineId, declaration: &Pipeline, version: Version) -> Result<Write, PortError> {
        let whole = Pipeline { stages: Vec::new(), version: Some(version), ..declaration.clone() };
        Ok(Write::Put {
            key: Key { pk: self.place().pipeline(id), sk: keys::declaration_sk(version) },
            revision: 1,
            body: encode(&whole)?,
            condition: Condition::Absent,
        })
    }
}

fn name_item(
    id: PipelineId,
    declaration: &Pipeline,
    version: Version,
    created_at: Timestamp,
    updated_at: Timestamp,
) -> NameItem {
    NameItem { id, version, kind: declaration.kind(), mode: declaration.mode(), created_at, updated_at }
}

fn stored(declaration: Pipeline, item: &NameItem, version: Version) -> StoredPipeline {
    StoredPipeline {
        declaration: Pipeline { version: Some(version), ..declaration },
        id: item.id,
        created_at: item.created_at,
        updated_at: item.updated_at,
    }
}

//! Starting actions: claim, resolve, hand to the provider, report what came of it.

use engine::{
    ActionExecution, ActionKey, ActionReport, ArtifactLocation, Claim, Execution, LogLocation, Outcome, What, Work,
};
use model::{ActionStatus, PipelineId, StringMap};

use crate::control::{Applied, Control, ControlError, written_action};
use crate::keys;
use crate::load::Loaded;
use crate::logs::log_location;
use crate::ports::{ActionRequest, Condition, Key, Write};
use crate::rows::{PipelineRef, WorkRow};
use crate::stored::{decode, encode};

mod prepare;
mod report;

use prepare::Prepared;
pub(crate) use prepare::declared;

/// What became of one action of a dispatch row.
#[derive(Debug)]
pub enum Dispatched {
    /// Claimed: hand this to the provider once the claim is durable.
    Run(Box<ActionRequest>),
    /// It cannot start: report this.
    Fail(ActionKey, Box<Outcome>),
    /// It was claimed before, cancelled, or is gone; or it waits for a job worker.
    Nothing,
}

impl Control {
    /// Claims an action under a drive. `consumed` is the dispatch row when this is its last action.
    pub async fn claim(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        drive: u32,
        consumed: Option<&WorkRow>,
    ) -> Result<Dispatched, ControlError> {
        let Some((execution, action)) = self.in_progress(pipeline, key).await? else {
            self.forget_row(consumed).await?;
            return Ok(Dispatched::Nothing);
        };
        let prepared = self.prepare(pipeline, &execution, &action).await?;
        let claim = Claim {
            drive,
            inputs: prepared.inputs.clone(),
            outputs: prepared.outputs.clone(),
            log: Some(LogLocation { kind: "file".into(), location: log_location(&action.pipeline, &action.key) }),
        };
        let event = self.event(What::Action(key.clone(), ActionReport::Claim(claim)));
        let mut extra = self.beside_claim(pipeline, &action, &prepared, event.seed)?;
        extra.extend(self.beside_first_claim(pipeline, &action, &prepared.declaration).await?);
        let claimed = match self.apply(pipeline, &event, consumed, &extra).await? {
            Applied::Changed(changed) => changed.changes.iter().find_map(|change| written_action(change, key)).cloned(),
            Applied::Ignored(_) | Applied::Consumed => None,
        };
        // Nothing is read after the claim: whoever holds it must not fail any more before it is handed to the provider.
        let Some(action) = claimed.filter(|action| action.status == ActionStatus::InProgress) else {
            return Ok(Dispatched::Nothing);
        };
        if let Some(outcome) = prepared.error {
            return Ok(Dispatched::Fail(key.clone(), Box::new(outcome)));
        }
        // Its job was written with the claim: whoever polls for it does the work.
        if crate::jobs::takes_jobs(&action.action_type) {
            return Ok(Dispatched::Nothing);
        }
        Ok(Dispatched::Run(Box::new(self.request(pipeline, &execution, action, prepared))))
    }

    /// Removes a row that nothing is to be done for any more.
    pub async fn forget_row(&self, row: Option<&WorkRow>) -> Result<(), ControlError> {
        let Some(row) = row else { return Ok(()) };
        let write = Write::Delete { key: row.key(self.place()), condition: Condition::Always };
        Ok(self.table().transact(&format!("forget-{}", row.id), &[write]).await?)
    }

    fn request(
        &self,
        pipeline: &PipelineRef,
        execution: &Execution,
        action: ActionExecution,
        prepared: Prepared,
    ) -> ActionRequest {
        let source_override = execution.overrides.iter().find(|given| given.action == action.key.name).cloned();
        let pushed = execution.origin.as_ref().filter(|origin| origin.action.as_ref() == Some(&action.key.name));
        let revision = |input: &ArtifactLocation| Some((input.name.to_string(), input.revision.clone()?));
        ActionRequest {
            pipeline: pipeline.name.clone(),
            pipeline_id: pipeline.id,
            account: self.place().account.clone(),
            region: self.place().region.clone(),
            execution: execution.id,
            pushed_commit: pushed.and_then(|origin| origin.after.clone()),
            input_revisions: action.inputs.iter().filter_map(revision).collect(),
            external_id: action.external_id.clone(),
            continuation_token: None,
            action,
            declaration: prepared.declaration,
            role_arn: prepared.role_arn,
            encryption_key: prepared.encryption_key,
            near_bucket: prepared.near_bucket,
            source_override,
        }
    }

    /// The action, with its execution, if it is in progress.
    async fn in_progress(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
    ) -> Result<Option<(Execution, ActionExecution)>, ControlError> {
        let mut loaded = Loaded::default();
        let wanted = [engine::ItemKey::Action(key.clone()), engine::ItemKey::Execution(key.execution)];
        self.loader.load(pipeline.id, &mut loaded, &wanted.map(engine::Read::Item)).await?;
        let action = loaded.slice.action(key).ok().flatten().cloned();
        let action = action.filter(|action| action.status == ActionStatus::InProgress);
        Ok(loaded.slice.execution(key.execution).ok().flatten().cloned().zip(action))
    }

    /// An action execution.
    pub async fn action(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
    ) -> Result<Option<ActionExecution>, ControlError> {
        let mut loaded = Loaded::default();
        let read = engine::Read::Item(engine::ItemKey::Action(key.clone()));
        self.loader.load(pipeline.id, &mut loaded, &[read]).await?;
        Ok(loaded.slice.action(key).ok().flatten().cloned())
    }

    /// The output variables of an action execution.
    pub async fn output_variables(&self, id: PipelineId, key: &ActionKey) -> Result<StringMap, ControlError> {
        self.beside(id, keys::variables_sk(key)).await
    }

    /// The resolved configuration of an action execution, secrets masked.
    pub async fn resolved_configuration(&self, id: PipelineId, key: &ActionKey) -> Result<StringMap, ControlError> {
        self.beside(id, keys::configuration_sk(key)).await
    }

    async fn beside(&self, id: PipelineId, sk: String) -> Result<StringMap, ControlError> {
        let key = Key { pk: self.place().pipeline(id), sk };
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, &key.sk)).transpose()?.unwrap_or_default())
    }

    /// What lies beside a claimed action: its resolved configuration, and an approval's token.
    fn beside_claim(
        &self,
        pipeline: &PipelineRef,
        action: &ActionExecution,
        prepared: &Prepared,
        seed: model::Seed,
    ) -> Result<Vec<Write>, ControlError> {
        let pk = self.place().pipeline(pipeline.id);
        let mut writes = Vec::new();
        if !prepared.declaration.configuration.is_empty() {
            let mut configuration = prepared.declaration.configuration.clone();
            model::action_types::mask_secrets(&prepared.declaration.action_type_id, &mut configuration);
            for key in &prepared.secret_keys {
                configuration.insert(key.clone(), model::action_types::MASK.to_owned());
            }
            let key = Key { pk: pk.clone(), sk: keys::configuration_sk(&action.key) };
            writes.push(Write::Put { key, revision: 1, body: encode(&configuration)?, condition: Condition::Always });
        }
        if action.action_type.category == model::Category::Approval && action.drive == 0 {
            let token = seed.id(&format!("approval/{}", action.id)).to_string();
            let key = Key { pk, sk: keys::approval_token_sk(&token) };
            writes.push(Write::Put { key, revision: 1, body: encode(&action.key)?, condition: Condition::Always });
        }
        Ok(writes)
    }

    /// The request of a claimed action as it was, for polls and for taking it up again after a crash.
    pub async fn request_again(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
    ) -> Result<Option<ActionRequest>, ControlError> {
        let Some((execution, action)) = self.in_progress(pipeline, key).await? else { return Ok(None) };
        let prepared = self.prepare(pipeline, &execution, &action).await?;
        Ok(Some(self.request(pipeline, &execution, action, prepared)))
    }
}

/// The row that judges an action's stage: for hosts that find one was lost.
pub fn advance(key: &ActionKey) -> Work {
    Work::Advance(key.clone())
}

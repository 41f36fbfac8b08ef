//! Secrets of declarations: sealed when a pipeline is created or updated, opened only for whoever does the action's work.
//!
//! Where a declaration is stored, `****` stands for each secret. Beside each version lies one item a stage with what was
//! sealed: the same commit writes both, and the pipeline's removal takes both. A sealed secret opens only for the action
//! and configuration key that it was sealed for, so that whoever could move it to an action of their own gains nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::Refusal;
use model::action_types::{MASK, is_secret_key};
use model::{Action, ActionName, ActionTypeId, Owner, Pipeline, PipelineId, Stage, StageName, Version};

use crate::control::{Control, ControlError};
use crate::keys;
use crate::ports::{Condition, Key, PortError, Write};
use crate::stored::{decode, encode};

/// Seals secrets, so that what is sealed may be stored anywhere.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Seals a secret that is not empty. It opens only where the same `place` is named.
    async fn seal(&self, place: &str, secret: &str) -> Result<String, PortError>;

    /// Opens what [`Sealer::seal`] gave.
    ///
    /// # Errors
    /// `Corrupt` if it was sealed for another place or by another key, or was changed since.
    async fn open(&self, place: &str, sealed: &str) -> Result<String, PortError>;
}

/// The sealed secrets of a stage: action → configuration key → what was sealed.
type SealedStage = BTreeMap<ActionName, BTreeMap<String, String>>;

/// The place of a secret: its account, pipeline (this creation of it), stage, action and configuration key.
fn place_of(account: &str, id: PipelineId, stage: &StageName, action: &ActionName, key: &str) -> String {
    format!("{account}/{id}/{stage}/{action}/{key}")
}

/// Whether an action is of the type of an earlier one: its version does not count.
fn same_type(one: &ActionTypeId, other: &ActionTypeId) -> bool {
    (one.category, one.owner, &one.provider) == (other.category, other.owner, &other.provider)
}

impl Control {
    fn sealer(&self) -> Result<&dyn Sealer, PortError> {
        self.ports.sealer.as_deref().ok_or_else(|| PortError::Unavailable("the key that seals secrets".into()))
    }

    /// The declaration with `****` for every secret, and what is written beside this version of it. `****` itself may only
    /// stand where that action had the secret in the version before, which is kept (semantics.md 14).
    pub(crate) async fn seal_secrets(
        &self,
        id: PipelineId,
        version: Version,
        mut declaration: Pipeline,
        before: Option<&Pipeline>,
    ) -> Result<(Pipeline, Vec<Write>), ControlError> {
        let mut writes = Vec::new();
        for stage in &mut declaration.stages {
            let earlier = before.and_then(|before| before.stages.iter().find(|earlier| earlier.name == stage.name));
            let sealed = self.seal_stage(id, version, stage, earlier).await?;
            if !sealed.is_empty() {
                let key = Key { pk: self.place().pipeline(id), sk: keys::sealed_sk(version, &stage.name) };
                writes.push(Write::Put { key, revision: 1, body: encode(&sealed)?, condition: Condition::Absent });
            }
        }
        Ok((declaration, writes))
    }

    async fn seal_stage(
        &self,
        id: PipelineId,
        version: Version,
        stage: &mut Stage,
        earlier: Option<&Stage>,
    ) -> Result<SealedStage, ControlError> {
        let mut sealed = SealedStage::new();
        for action in &mut stage.actions {
            let secrets = self.secret_keys(action).await?;
            let is_it =
                |known: &&Action| known.name == action.name && same_type(&known.action_type_id, &action.action_type_id);
            let mut kept = BTreeMap::new();
            if !secrets.is_empty() && earlier.is_some_and(|earlier| earlier.actions.iter().any(|known| is_it(&known))) {
                let mut stage = self.sealed_stage(id, version - 1, &stage.name).await?;
                kept = stage.remove(&action.name).unwrap_or_default();
            }
            for key in secrets {
                let Some(value) = action.configuration.get_mut(&key).filter(|value| !value.is_empty()) else {
                    continue;
                };
                let closed = if value == MASK {
                    kept.remove(&key).ok_or_else(|| nothing_kept(&action.name, &key))?
                } else {
                    let place = place_of(&self.place().account, id, &stage.name, &action.name, &key);
                    self.sealer()?.seal(&place, value).await?
                };
                MASK.clone_into(value);
                sealed.entry(action.name.clone()).or_default().insert(key, closed);
            }
        }
        Ok(sealed)
    }

    /// The configuration keys of an action whose values are secret: by the built-in type's definition, by a custom type's,
    /// and by name.
    async fn secret_keys(&self, action: &Action) -> Result<Vec<String>, ControlError> {
        let id = &action.action_type_id;
        let custom = if id.owner == Owner::Aws || action.configuration.is_empty() {
            None
        } else {
            self.custom_action_type(id).await?
        };
        let declared = |key: &str| {
            let mut properties = custom.iter().flat_map(|custom| &custom.properties);
            properties.any(|property| property.secret && property.name == key)
        };
        let secret = action.configuration.keys().filter(|key| is_secret_key(id, key) || declared(key));
        Ok(secret.cloned().collect())
    }

    async fn sealed_stage(
        &self,
        id: PipelineId,
        version: Version,
        stage: &StageName,
    ) -> Result<SealedStage, PortError> {
        let key = Key { pk: self.place().pipeline(id), sk: keys::sealed_sk(version, stage) };
        let found = self.table().get(&key).await?;
        Ok(found.map(|stored| decode(&stored.body, &key.sk)).transpose()?.unwrap_or_default())
    }

    /// Puts an action's secrets back into its declaration as a version has it; the keys that are secret. The inner error
    /// says which secret is missing.
    pub(crate) async fn open_secrets(
        &self,
        id: PipelineId,
        version: Version,
        stage: &StageName,
        action: &mut Action,
    ) -> Result<Result<Vec<String>, String>, ControlError> {
        if !action.configuration.values().any(|value| value == MASK) {
            return Ok(Ok(Vec::new()));
        }
        let mut sealed = self.sealed_stage(id, version, stage).await?;
        let sealed = sealed.remove(&action.name).unwrap_or_default();
        let masked = action.configuration.iter_mut().filter(|(_, value)| *value == MASK);
        let mut opened = Vec::new();
        for (key, value) in masked {
            let Some(closed) = sealed.get(key) else {
                return Ok(Err(format!(
                    "The configuration value {key} of the action {} is {MASK}, and no secret is kept for it: give it with \
                     UpdatePipeline.",
                    action.name
                )));
            };
            let place = place_of(&self.place().account, id, stage, &action.name, key);
            *value = self.sealer()?.open(&place, closed).await?;
            opened.push(key.clone());
        }
        Ok(Ok(opened))
    }
}

fn nothing_kept(action: &ActionName, key: &str) -> Refusal {
    Refusal::Invalid(format!(
        "Action configuration for the new action \"{action}\" contains an invalid configuration for the secret property \
         \"{key}\". \"{MASK}\" may be used in secret properties only when updating an existing action."
    ))
}

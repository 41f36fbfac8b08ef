//! Custom action types, and what was changed of the types that partners offer.
//!
//! A type's versions are items of one partition. A deleted version stays as a tombstone: only the very same definition
//! brings it back (semantics.md 9).

use model::action_types::Count;
use model::{ActionTypeId, Category, Owner, StringMap, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::{Control, ControlError};
use crate::keys::Place;
use crate::ports::{Condition, Key, PortError, Write};
use crate::stored::{decode, encode};

/// The most custom action types of a region (the service's quota).
pub const MAX_CUSTOM_TYPES: usize = 50;

/// Why a call about action types is refused.
#[derive(Debug, thiserror::Error)]
pub enum ActionTypeError {
    /// ActionTypeNotFoundException.
    #[error("there is no action type {0}")]
    NotFound(Box<ActionTypeId>),
    /// ActionTypeAlreadyExistsException.
    #[error("{0} exists already with another definition")]
    Exists(Box<ActionTypeId>),
    /// ValidationException.
    #[error("{0}")]
    Invalid(String),
    /// LimitExceededException.
    #[error("there are {MAX_CUSTOM_TYPES} custom action types already")]
    Limit,
    /// ConcurrentModificationException.
    #[error("the action type is being changed by somebody else")]
    Concurrent,
    /// Anything else.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<PortError> for ActionTypeError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Conflict => Self::Concurrent,
            error => Self::Control(error.into()),
        }
    }
}

/// `ActionTypeSettings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Where the provider is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party_configuration_url: Option<String>,
    /// Where the action's subject is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_url_template: Option<String>,
    /// Where an execution is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_url_template: Option<String>,
    /// Where a revision is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_url_template: Option<String>,
}

/// `ActionConfigurationProperty`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// The configuration key.
    pub name: String,
    /// Whether actions must give it.
    pub required: bool,
    /// Whether it belongs to what names an action's subject.
    pub key: bool,
    /// Whether its value is shown as `****`.
    pub secret: bool,
    /// Whether job workers may ask for jobs by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queryable: Option<bool>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// String, Number or Boolean.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A custom action type, or what was changed of a partner's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomActionType {
    /// Its id.
    pub id: ActionTypeId,
    /// Its addresses.
    pub settings: Settings,
    /// Its configuration keys.
    pub properties: Vec<Property>,
    /// How many input artifacts it takes.
    pub inputs: (usize, usize),
    /// How many output artifacts it makes.
    pub outputs: (usize, usize),
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Its tags.
    #[serde(default)]
    pub tags: StringMap,
    /// What UpdateActionType gave (`ActionTypeDeclaration`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Value>,
}

impl CustomActionType {
    /// The key by which job workers may ask for jobs.
    pub fn queryable(&self) -> Option<&str> {
        self.properties.iter().find(|property| property.queryable == Some(true)).map(|property| property.name.as_str())
    }

    /// How many input artifacts it takes.
    pub fn input_count(&self) -> Count {
        Count { min: self.inputs.0, max: self.inputs.1 }
    }

    /// How many output artifacts it makes.
    pub fn output_count(&self) -> Count {
        Count { min: self.outputs.0, max: self.outputs.1 }
    }

    fn same_definition(&self, other: &Self) -> bool {
        (&self.settings, &self.properties, self.inputs, self.outputs)
            == (&other.settings, &other.properties, other.inputs, other.outputs)
    }

    fn check(&self) -> Result<(), ActionTypeError> {
        for (what, (least, most)) in [("inputArtifactDetails", self.inputs), ("outputArtifactDetails", self.outputs)] {
            if least > most {
                let message = format!("{what}: minimumCount is {least}, which is more than maximumCount, {most}");
                return Err(ActionTypeError::Invalid(message));
            }
        }
        for (index, property) in self.properties.iter().enumerate() {
            if self.properties[..index].iter().any(|other| other.name == property.name) {
                let message = format!("configurationProperties: {} stands there twice", property.name);
                return Err(ActionTypeError::Invalid(message));
            }
        }
        let queryable: Vec<_> = self.properties.iter().filter(|property| property.queryable == Some(true)).collect();
        match queryable[..] {
            [] => Ok(()),
            [one] if one.required && !one.secret => Ok(()),
            [one] => Err(ActionTypeError::Invalid(format!(
                "configurationProperties: {} is queryable, so it must be required and not secret",
                one.name
            ))),
            [..] => {
                Err(ActionTypeError::Invalid("configurationProperties: at most one property may be queryable".into()))
            }
        }
    }
}

fn types(place: &Place) -> String {
    format!("{}/{}/types", place.account, place.region)
}

fn type_key(place: &Place, id: &ActionTypeId) -> Key {
    let sk = format!("{}#{}#{}#{}", id.category, id.owner, id.provider, id.version);
    Key { pk: types(place), sk }
}

/// Fills `{Config:KEY}` and `{ExternalExecutionId}` into the address of a page.
pub fn fill_url(template: &str, configuration: &StringMap, external_id: Option<&str>) -> String {
    let mut url = template.to_owned();
    for (key, value) in configuration {
        url = url.replace(&format!("{{Config:{key}}}"), value);
    }
    match external_id {
        Some(id) => url.replace("{ExternalExecutionId}", id),
        None => url,
    }
}

impl Control {
    /// A custom action type that is not deleted, or what was changed of a partner's.
    ///
    /// # Errors
    /// A port failed.
    pub async fn custom_action_type(&self, id: &ActionTypeId) -> Result<Option<CustomActionType>, ControlError> {
        Ok(self.stored_type(id).await?.map(|(found, _)| found).filter(|found| found.deleted_at.is_none()))
    }

    async fn stored_type(&self, id: &ActionTypeId) -> Result<Option<(CustomActionType, u64)>, PortError> {
        let key = type_key(self.place(), id);
        let found = self.table().get(&key).await?;
        found.map(|stored| Ok((decode(&stored.body, &key.sk)?, stored.revision))).transpose()
    }

    /// Every stored action type that is not deleted, by category, owner, provider and version.
    ///
    /// # Errors
    /// A port failed.
    pub async fn custom_action_types(&self) -> Result<Vec<CustomActionType>, ControlError> {
        let mut found = Vec::new();
        for (key, stored) in self.loader.all(&types(self.place()), "").await? {
            let known: CustomActionType = decode(&stored.body, &key.sk)?;
            if known.deleted_at.is_none() {
                found.push(known);
            }
        }
        Ok(found)
    }

    /// CreateCustomActionType. The same definition once more changes nothing; it also brings back a deleted type.
    ///
    /// # Errors
    /// The definition contradicts itself, the version exists or existed with another one, or there are too many.
    pub async fn create_custom_action_type(
        &self,
        mut new: CustomActionType,
    ) -> Result<CustomActionType, ActionTypeError> {
        new.check()?;
        let known = self.stored_type(&new.id).await?;
        let (revision, condition) = match &known {
            None => (1, Condition::Absent),
            Some((known, _)) if !known.same_definition(&new) => return Err(self.other_definition(known)),
            Some((known, _)) if known.deleted_at.is_none() => return Ok(known.clone()),
            Some((_, revision)) => (revision + 1, Condition::Revision(*revision)),
        };
        if self.custom_action_types().await?.iter().filter(|known| known.id.owner == Owner::Custom).count()
            >= MAX_CUSTOM_TYPES
        {
            return Err(ActionTypeError::Limit);
        }
        new.created_at = self.now();
        self.put_type(&new, revision, condition).await?;
        Ok(new)
    }

    fn other_definition(&self, known: &CustomActionType) -> ActionTypeError {
        if known.deleted_at.is_none() {
            return ActionTypeError::Exists(Box::new(known.id.clone()));
        }
        ActionTypeError::Invalid(format!(
            "version {} of {} was deleted: it can only be created again with the same definition; use a version that was \
             never used",
            known.id.version, known.id.provider
        ))
    }

    async fn put_type(&self, new: &CustomActionType, revision: u64, condition: Condition) -> Result<(), PortError> {
        let put = Write::Put { key: type_key(self.place(), &new.id), revision, body: encode(new)?, condition };
        self.change(&format!("type-{}", self.event_seed().0.simple()), vec![put]).await
    }

    /// DeleteCustomActionType. Deleting what is not there changes nothing.
    ///
    /// # Errors
    /// Somebody else changed it meanwhile.
    pub async fn delete_custom_action_type(&self, id: &ActionTypeId) -> Result<(), ActionTypeError> {
        let found = self.stored_type(id).await?.filter(|(known, _)| known.deleted_at.is_none());
        let Some((known, revision)) = found else { return Ok(self.table().flush().await?) };
        let gone = CustomActionType { deleted_at: Some(self.now()), tags: StringMap::new(), ..known };
        Ok(self.put_type(&gone, revision + 1, Condition::Revision(revision)).await?)
    }

    /// UpdateActionType: a partner's type gets another declaration.
    ///
    /// # Errors
    /// There is no such type, or the declaration contradicts itself.
    pub async fn update_action_type(&self, new: CustomActionType) -> Result<(), ActionTypeError> {
        new.check()?;
        let known = self.stored_type(&new.id).await?;
        let built_in = model::action_types::lookup(&new.id).filter(|known| known.category != Category::Rule);
        let (revision, condition) = match (known, built_in) {
            (Some((_, revision)), _) => (revision + 1, Condition::Revision(revision)),
            (None, Some(known)) if new.id.version == *known.version => (1, Condition::Absent),
            (None, _) => return Err(ActionTypeError::NotFound(Box::new(new.id))),
        };
        Ok(self.put_type(&new, revision, condition).await?)
    }

    /// Changes the tags of a custom action type; none if there is no such type.
    ///
    /// # Errors
    /// Somebody else changed it meanwhile.
    pub(crate) async fn tag_action_type(&self, id: &ActionTypeId, tags: StringMap) -> Result<bool, PortError> {
        let found = self.stored_type(id).await?.filter(|(known, _)| known.deleted_at.is_none());
        let Some((known, revision)) = found else { return Ok(false) };
        let tagged = CustomActionType { tags, ..known };
        self.put_type(&tagged, revision + 1, Condition::Revision(revision)).await?;
        Ok(true)
    }
}

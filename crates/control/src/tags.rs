//! Tags of pipelines, custom action types and webhooks.
//!
//! A pipeline's tags lie in its own partition and go with it; those of a custom action type lie in its item; those of a
//! webhook lie by its name.

use model::{ActionTypeId, Category, Owner, PipelineId, PipelineName, StringMap};

use crate::control::{Control, ControlError};
use crate::ports::{Condition, Key, PortError, Write};
use crate::stored::{decode, encode};

/// The most tags of a resource.
pub const MAX_TAGS: usize = 50;
/// How often a change of tags is made anew when somebody else's came first.
const ROUNDS: usize = 8;

/// What bears tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// A pipeline, by its name.
    Pipeline(PipelineName),
    /// A custom action type.
    ActionType(ActionTypeId),
    /// A webhook, by its name.
    Webhook(String),
}

/// Why a call about tags is refused.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// InvalidArnException.
    #[error("{0}")]
    InvalidArn(String),
    /// ResourceNotFoundException.
    #[error("there is no such resource")]
    NotFound,
    /// TooManyTagsException.
    #[error("Tag limit exceeded: a resource may have {MAX_TAGS} tags; it would have {0}")]
    TooMany(usize),
    /// InvalidTagsException.
    #[error("{0}")]
    Invalid(String),
    /// ConcurrentModificationException.
    #[error("the tags are being changed by somebody else")]
    Concurrent,
    /// Anything else.
    #[error(transparent)]
    Control(#[from] ControlError),
}

impl From<PortError> for TagError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Conflict => Self::Concurrent,
            error => Self::Control(error.into()),
        }
    }
}

/// Checks tags that are given: each key once, letters and what AWS allows beside them, none reserved.
///
/// # Errors
/// The first that is wrong, or that there are too many.
pub fn check(tags: &[(String, String)]) -> Result<StringMap, TagError> {
    let mut checked = StringMap::new();
    for (key, value) in tags {
        check_key(key)?;
        if !value.chars().all(is_allowed) {
            return Err(TagError::Invalid(format!(
                "the value of the tag {key} has characters other than letters, digits, blanks and _ . : / = + - @"
            )));
        }
        if checked.insert(key.clone(), value.clone()).is_some() {
            return Err(TagError::Invalid(format!("the tag {key} is given twice")));
        }
    }
    if checked.len() > MAX_TAGS { Err(TagError::TooMany(checked.len())) } else { Ok(checked) }
}

/// Checks a tag's key.
///
/// # Errors
/// It is reserved, or has characters that it may not have.
pub fn check_key(key: &str) -> Result<(), TagError> {
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        return Err(TagError::Invalid(format!("Not allowed to modify system tags: {key} begins with 'aws:'")));
    }
    if !key.chars().all(is_allowed) {
        return Err(TagError::Invalid(format!(
            "the tag key {key:?} has characters other than letters, digits, blanks and _ . : / = + - @"
        )));
    }
    Ok(())
}

fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

impl Control {
    /// What an ARN names: `NAME`, `webhook:NAME` or `actiontype:OWNER/CATEGORY/PROVIDER/VERSION` behind
    /// `arn:PARTITION:codepipeline:REGION:ACCOUNT:`.
    ///
    /// # Errors
    /// It is none of these, or of another account or region.
    pub fn tagged(&self, arn: &str) -> Result<Tagged, TagError> {
        let wrong = |why: &str| TagError::InvalidArn(format!("{arn}: {why}"));
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        // One resource has one ARN: policies know it by no other.
        let ["arn", "aws", "codepipeline", region, account, resource] = parts[..] else {
            return Err(wrong("must be arn:aws:codepipeline:REGION:ACCOUNT:RESOURCE"));
        };
        if account != self.place().account || region != self.place().region {
            return Err(wrong("is of another account or region"));
        }
        if let Some(name) = resource.strip_prefix("webhook:") {
            return Ok(Tagged::Webhook(name.to_owned()));
        }
        if let Some(id) = resource.strip_prefix("actiontype:") {
            return action_type(id).map(Tagged::ActionType).ok_or_else(|| wrong("names no action type"));
        }
        if resource.contains(['/', ':']) {
            return Err(wrong("stages and actions bear no tags"));
        }
        Ok(Tagged::Pipeline(resource.into()))
    }

    /// ListTagsForResource.
    ///
    /// # Errors
    /// There is no such resource.
    pub async fn tags_of(&self, tagged: &Tagged) -> Result<StringMap, TagError> {
        Ok(match tagged {
            Tagged::ActionType(id) => self.custom_action_type(id).await?.ok_or(TagError::NotFound)?.tags,
            Tagged::Pipeline(_) | Tagged::Webhook(_) => self.tags_item(tagged).await?.1,
        })
    }

    /// TagResource: these tags are added, or take the place of those with the same keys.
    ///
    /// # Errors
    /// There is no such resource, it would have too many tags, or somebody else kept changing them.
    pub async fn tag_resource(&self, tagged: &Tagged, new: &StringMap) -> Result<(), TagError> {
        let add = |tags: &mut StringMap| tags.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.change_tags(tagged, add).await
    }

    /// UntagResource: tags with these keys are removed.
    ///
    /// # Errors
    /// There is no such resource, or somebody else kept changing its tags.
    pub async fn untag_resource(&self, tagged: &Tagged, keys: &[String]) -> Result<(), TagError> {
        self.change_tags(tagged, |tags| tags.retain(|key, _| !keys.contains(key))).await
    }

    async fn change_tags(&self, tagged: &Tagged, change: impl Fn(&mut StringMap)) -> Result<(), TagError> {
        for _ in 0..ROUNDS {
            match self.try_change_tags(tagged, &change).await {
                Err(TagError::Concurrent) => {}
                done => return done,
            }
        }
        Err(TagError::Concurrent)
    }

    async fn try_change_tags(&self, tagged: &Tagged, change: &impl Fn(&mut StringMap)) -> Result<(), TagError> {
        let fits = |tags: &StringMap| if tags.len() > MAX_TAGS { Err(TagError::TooMany(tags.len())) } else { Ok(()) };
        if let Tagged::ActionType(id) = tagged {
            let mut tags = self.tags_of(tagged).await?;
            change(&mut tags);
            fits(&tags)?;
            return if self.tag_action_type(id, tags).await? { Ok(()) } else { Err(TagError::NotFound) };
        }
        let (key, mut tags, revision) = self.tags_item(tagged).await?;
        change(&mut tags);
        fits(&tags)?;
        let condition = revision.map_or(Condition::Absent, Condition::Revision);
        let put = Write::Put { key, revision: revision.unwrap_or(0) + 1, body: encode(&tags)?, condition };
        Ok(self.change(&format!("tags-{}", self.event_seed().0.simple()), vec![put]).await?)
    }

    /// Where the tags of a pipeline or webhook lie, those there are, and their revision.
    async fn tags_item(&self, tagged: &Tagged) -> Result<(Key, StringMap, Option<u64>), TagError> {
        let key = match tagged {
            Tagged::Pipeline(name) => {
                let (item, _) = self.name_item(name).await?.ok_or(TagError::NotFound)?;
                self.pipeline_tags(item.id)
            }
            Tagged::Webhook(name) => self.webhook_tags(name),
            Tagged::ActionType(_) => return Err(TagError::NotFound),
        };
        match self.table().get(&key).await? {
            Some(stored) => Ok((key.clone(), decode(&stored.body, &key.sk)?, Some(stored.revision))),
            // A webhook has an item of tags as long as it is there.
            None if matches!(tagged, Tagged::Webhook(_)) => Err(TagError::NotFound),
            None => Ok((key, StringMap::new(), None)),
        }
    }

    fn pipeline_tags(&self, id: PipelineId) -> Key {
        Key { pk: self.place().pipeline(id), sk: "tags".into() }
    }

    fn webhook_tags(&self, name: &str) -> Key {
        Key { pk: format!("{}/{}/tags", self.place().account, self.place().region), sk: format!("webhook#{name}") }
    }

    /// What is written with a new pipeline: its tags.
    pub(crate) fn new_pipeline_tags(&self, id: PipelineId, tags: &StringMap) -> Result<Option<Write>, PortError> {
        if tags.is_empty() {
            return Ok(None);
        }
        let key = self.pipeline_tags(id);
        Ok(Some(Write::Put { key, revision: 1, body: encode(tags)?, condition: Condition::Always }))
    }

    /// What is written with a new webhook: its tags, also when it has none.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn new_webhook_tags(&self, name: &str, tags: &StringMap) -> Result<Write, PortError> {
        let key = self.webhook_tags(name);
        Ok(Write::Put { key, revision: 1, body: encode(tags)?, condition: Condition::Always })
    }

    /// What is written when a webhook is deleted.
    pub fn delete_webhook_tags(&self, name: &str) -> Write {
        Write::Delete { key: self.webhook_tags(name), condition: Condition::Always }
    }
}

/// `OWNER/CATEGORY/PROVIDER/VERSION`.
fn action_type(text: &str) -> Option<ActionTypeId> {
    let parts: Vec<&str> = text.split('/').collect();
    let [owner, category, provider, version] = parts[..] else { return None };
    Some(ActionTypeId {
        category: Category::parse(category)?,
        owner: Owner::parse(owner)?,
        provider: provider.into(),
        version: version.into(),
    })
}

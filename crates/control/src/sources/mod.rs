//! Source resources: what outside a pipeline starts its source actions, and what a host brings to hear of it.

mod branches;
mod declared;
mod heads;
mod poll;
mod rules;

use std::sync::{Arc, OnceLock};

use engine::triggers::Watch;
use model::{Action, ActionName, Category, Owner, Pipeline, PipelineType};
use serde::{Deserialize, Serialize};

use crate::connections::Vault;
use crate::control::{Control, ControlError};
use crate::intake::ChangedFiles;
use crate::ports::PortError;
use crate::rows::PipelineRef;

pub use heads::{BranchHead, ObjectHead, SourceHeads};
pub use poll::{IDLE_DAYS, MAX_BRANCHES, PolledSource, Polls, RECONCILE_MINUTES};
pub use rules::{Reconciled, Rule, RuleItem, RuleState, SourceRules};

/// What change detection needs of a host, beside the ports of every use case.
#[derive(Clone, Default)]
pub struct Detection {
    /// The stack's name, where rules bring changes of sources here: they are called `penstock-<stack>-<hash>`.
    pub stack: Option<String>,
    /// Rules that bring a source's changes here, where the host has such.
    pub rules: Option<Rules>,
    /// Where secrets of connections and webhooks lie.
    pub vault: Option<Arc<dyn Vault>>,
    /// Asks providers which files changed, where they do not say it by themselves.
    pub files: Option<Arc<dyn ChangedFiles>>,
    /// Where webhooks are served.
    pub webhook_url: OnceLock<String>,
}

/// Rules of source resources.
#[derive(Clone)]
pub struct Rules {
    /// Makes and removes them.
    pub port: Arc<dyn SourceRules>,
    /// The most rules of a bus.
    pub quota: usize,
    /// Buckets of artifacts beside those that pipelines declare: they must not notify.
    pub artifact_buckets: Vec<String>,
}

/// A bus has this many rules unless AWS allows more.
pub const DEFAULT_RULE_QUOTA: usize = 300;

impl Control {
    /// The same control plane, with what change detection needs.
    #[must_use]
    pub fn with_detection(mut self, detection: Arc<Detection>) -> Self {
        self.detection = detection;
        self
    }

    /// The same control plane, with somebody to ask for changed files.
    #[must_use]
    pub fn with_files(self, files: Arc<dyn ChangedFiles>) -> Self {
        let detection = Detection { files: Some(files), ..self.detection().clone() };
        self.with_detection(Arc::new(detection))
    }

    /// What change detection needs.
    pub fn detection(&self) -> &Detection {
        &self.detection
    }

    /// Where secrets lie.
    ///
    /// # Errors
    /// This host keeps none.
    pub fn vault(&self) -> Result<&Arc<dyn Vault>, PortError> {
        self.detection.vault.as_ref().ok_or_else(|| PortError::Unavailable("the store of secrets".into()))
    }
}

/// What lies outside a pipeline and starts its source action when it changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// A repository behind a connection.
    Repository {
        /// The connection's ARN, as the declaration names it.
        connection: String,
        /// `owner/name`.
        name: String,
    },
    /// An object.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// A CodeCommit repository.
    CodeCommit {
        /// Its name.
        repository: String,
    },
    /// An image's tag in ECR.
    Image {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
    },
}

impl Resource {
    /// What tells it from every other, as text. What comes first never holds the `#` that ends it.
    pub fn text(&self) -> String {
        match self {
            Self::Repository { connection, name } => format!("git#{connection}#{name}"),
            Self::Object { bucket, key } => format!("s3#{bucket}#{key}"),
            Self::CodeCommit { repository } => format!("codecommit#{repository}"),
            Self::Image { repository, tag } => format!("ecr#{repository}#{tag}"),
        }
    }
}

/// What of a resource's changes starts a source action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Looks {
    /// Pushes and pull requests.
    Git(Watch),
    /// Moves of this branch.
    Branch(String),
    /// Whatever happens to the resource.
    All,
}

/// A source action that a resource starts: all that matching needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// Its pipeline.
    pub pipeline: PipelineRef,
    /// V1 or V2.
    pub kind: PipelineType,
    /// It.
    pub action: ActionName,
    /// What starts it.
    pub looks: Looks,
    /// Whether `PollForSourceChanges` asks to poll: it does where it is absent.
    pub polls: bool,
    /// The role to look at the resource with.
    pub role_arn: String,
    /// The action's region, where it is not the pipeline's.
    pub region: Option<String>,
}

/// The resource of a source action and what of it starts the action; none for one that nothing starts by itself.
pub(crate) fn source_of(
    pipeline: &PipelineRef,
    declaration: &Pipeline,
    action: &Action,
) -> Option<(Resource, Pointer)> {
    let kind = &action.action_type_id;
    if kind.category != Category::Source || kind.owner != Owner::Aws {
        return None;
    }
    let setting = |key: &str| action.configuration.get(key).cloned();
    let asks_to_poll = setting("PollForSourceChanges").is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    let (resource, looks, polls) = match kind.provider.as_str() {
        "CodeStarSourceConnection" => {
            let looks = Looks::Git(Watch::of(declaration, action)?);
            let (connection, name) = (setting("ConnectionArn")?, setting("FullRepositoryId")?);
            (Resource::Repository { connection, name }, looks, false)
        }
        "S3" => {
            let (bucket, key) = (setting("S3Bucket")?, setting("S3ObjectKey")?);
            (Resource::Object { bucket, key }, Looks::All, asks_to_poll)
        }
        "CodeCommit" => {
            let looks = Looks::Branch(setting("BranchName")?);
            (Resource::CodeCommit { repository: setting("RepositoryName")? }, looks, asks_to_poll)
        }
        "ECR" => {
            let tag = setting("ImageTag").unwrap_or_else(|| "latest".into());
            (Resource::Image { repository: setting("RepositoryName")?, tag }, Looks::All, false)
        }
        _ => return None,
    };
    let pointer = Pointer {
        pipeline: pipeline.clone(),
        kind: declaration.kind(),
        action: action.name.clone(),
        looks,
        polls,
        role_arn: action.role_arn.clone().unwrap_or_else(|| declaration.role_arn.clone()),
        region: action.region.clone(),
    };
    Some((resource, pointer))
}

/// Every source action that something starts by itself.
pub(crate) fn sources_of(pipeline: &PipelineRef, declaration: &Pipeline) -> Vec<(Resource, Pointer)> {
    declaration.actions().filter_map(|(_, action)| source_of(pipeline, declaration, action)).collect()
}

impl Control {
    /// The source actions that a resource starts.
    pub async fn pointers(&self, resource: &Resource) -> Result<Vec<Pointer>, ControlError> {
        let pk = self.place().source(&resource.text());
        let mut pointers = Vec::new();
        let mut after = None;
        loop {
            let query =
                crate::ports::Query { pk: pk.clone(), prefix: String::new(), after, limit: 100, backward: false };
            let page = self.table().query(&query).await?;
            for (key, stored) in &page.items {
                pointers.push(crate::stored::decode(&stored.body, &key.sk)?);
            }
            after = page.items.last().map(|(key, _)| key.sk.clone());
            if !page.more {
                return Ok(pointers);
            }
        }
    }
}

//! What a call is about.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression};
use control::keys::Place;
use serde_json::Value;

use super::uid;

/// What a call is about, by its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A pipeline, one of its stages or one of a stage's actions.
    Pipeline {
        /// The account.
        account: String,
        /// The pipeline's ARN.
        arn: String,
        /// The stage.
        stage: Option<String>,
        /// The action.
        action: Option<String>,
    },
    /// An action type.
    ActionType {
        /// The account.
        account: String,
        /// Its ARN.
        arn: String,
    },
    /// A webhook.
    Webhook {
        /// The account.
        account: String,
        /// Its ARN.
        arn: String,
    },
    /// A role that a declaration names.
    Role(String),
    /// None of them.
    Account(String),
}

impl Resource {
    /// What the input of an operation names.
    pub fn of(operation: &str, input: &Value, place: &Place) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let account = place.account.clone();
        let arn = |rest: &str| format!("arn:aws:codepipeline:{}:{account}:{rest}", place.region);
        let webhook = ["PutWebhook", "DeleteWebhook"].contains(&operation);
        let webhook = if webhook { text(&input["name"]).or_else(|| text(&input["webhook"]["name"])) } else { None };
        if let Some(name) = webhook.or_else(|| text(&input["webhookName"])) {
            return Self::Webhook { arn: arn(&format!("webhook:{name}")), account };
        }
        if let Some(id) = action_type(operation, input) {
            return Self::ActionType { arn: arn(&format!("actiontype:{id}")), account };
        }
        if let Some(given) = text(&input["resourceArn"]) {
            return Self::of_arn(given, account);
        }
        let name = [&input["pipelineName"], &input["name"], &input["pipeline"]["name"]].into_iter().find_map(text);
        match name {
            Some(name) => Self::Pipeline {
                arn: arn(&name),
                stage: text(&input["stageName"]),
                action: text(&input["actionName"]),
                account,
            },
            None => Self::Account(account),
        }
    }

    /// The pipeline that a webhook starts: whoever makes one lets strangers start it.
    pub(super) fn started_by_webhook(operation: &str, input: &Value, place: &Place) -> Option<Self> {
        let name = input["webhook"]["targetPipeline"].as_str().filter(|_| operation == "PutWebhook")?;
        let arn = format!("arn:aws:codepipeline:{}:{}:{name}", place.region, place.account);
        Some(Self::Pipeline { account: place.account.clone(), arn, stage: None, action: None })
    }

    fn of_arn(arn: String, account: String) -> Self {
        match arn.splitn(6, ':').nth(5) {
            Some(rest) if rest.starts_with("webhook:") => Self::Webhook { account, arn },
            Some(rest) if rest.starts_with("actiontype:") => Self::ActionType { account, arn },
            Some(_) | None => Self::Pipeline { account, arn, stage: None, action: None },
        }
    }

    /// As errors name it.
    pub fn shown(&self) -> String {
        match self {
            Self::Pipeline { arn, stage: Some(stage), action: Some(action), .. } => format!("{arn}/{stage}/{action}"),
            Self::Pipeline { arn, stage: Some(stage), .. } => format!("{arn}/{stage}"),
            Self::Pipeline { arn, .. } | Self::ActionType { arn, .. } | Self::Webhook { arn, .. } => arn.clone(),
            Self::Role(arn) => arn.clone(),
            Self::Account(account) => format!("arn:aws:iam::{account}:root"),
        }
    }

    /// The entity that is asked about, and all that it is in. None cannot happen.
    pub(super) fn entities(&self) -> Option<(EntityUid, Vec<Entity>)> {
        let account = match self {
            Self::Role(arn) => {
                let role = uid("Role", arn)?;
                return Some((role.clone(), vec![Entity::new_no_attrs(role, HashSet::new())]));
            }
            Self::Pipeline { account, .. }
            | Self::ActionType { account, .. }
            | Self::Webhook { account, .. }
            | Self::Account(account) => uid("Account", account)?,
        };
        let mut all = vec![Entity::new_no_attrs(account.clone(), HashSet::new())];
        let mut last = account;
        match self {
            Self::ActionType { arn, .. } | Self::Webhook { arn, .. } => {
                let kind = if matches!(self, Self::Webhook { .. }) { "Webhook" } else { "ActionType" };
                let entity = uid(kind, arn)?;
                all.push(Entity::new_no_attrs(entity.clone(), HashSet::from([last])));
                last = entity;
            }
            Self::Pipeline { arn, stage, action, .. } => {
                let name = arn.rsplit(':').next().unwrap_or_default();
                let mut steps = vec![("Pipeline", arn.clone(), name)];
                if let Some(stage) = stage {
                    steps.push(("Stage", format!("{arn}/{stage}"), stage));
                    steps.extend(
                        action
                            .iter()
                            .map(|action| ("PipelineAction", format!("{arn}/{stage}/{action}"), action.as_str())),
                    );
                }
                for (kind, id, name) in steps {
                    let entity = uid(kind, &id)?;
                    let name = HashMap::from([("name".to_owned(), RestrictedExpression::new_string(name.to_owned()))]);
                    all.push(Entity::new(entity.clone(), name, HashSet::from([last])).ok()?);
                    last = entity;
                }
            }
            Self::Role(_) | Self::Account(_) => {}
        }
        Some((last, all))
    }
}

/// `OWNER/CATEGORY/PROVIDER/VERSION`, where the operation is about an action type.
fn action_type(operation: &str, input: &Value) -> Option<String> {
    let id = match operation {
        "CreateCustomActionType" | "DeleteCustomActionType" | "GetActionType" => input,
        "UpdateActionType" => &input["actionType"]["id"],
        _ => &input["actionTypeId"],
    };
    let text = |name: &str| id[name].as_str();
    let owner = text("owner").unwrap_or("Custom");
    Some(format!("{owner}/{}/{}/{}", text("category")?, text("provider")?, text("version")?))
}

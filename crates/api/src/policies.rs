//! Who may do what, by policies in Cedar.
//!
//! Without policies every principal of the account may do everything. With them, what none permits is denied. A file is
//! checked against the schema of [`schema`] when it is loaded, so that a word that does not exist is found then.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use control::Control;
use control::rows::PipelineRef;
use engine::ActionExecution;
use model::{Pipeline, PipelineName};
use serde_json::json;

use crate::approval::link;
use crate::error::ApiError;
use crate::operations::Call;
use crate::regions::Regions;

mod resource;
pub mod schema;
#[cfg(test)]
mod tests;

pub use resource::Resource;

/// What is wrong with policies.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("{path}: cannot be read")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// They are not Cedar, or use words that do not exist here: every fault, a line each.
    #[error("{0}")]
    Content(String),
}

/// Who may do what.
#[derive(Default)]
pub struct Policies {
    loaded: RwLock<Option<Arc<Loaded>>>,
}

struct Loaded {
    policies: PolicySet,
    schema: Schema,
    authorizer: Authorizer,
}

/// Who asks: a principal, or whoever opens an approval link.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The ARN.
    pub arn: &'a str,
    /// The account that it is of.
    pub account: &'a str,
}

/// What approval links ask as: nobody who is known.
pub const LINK: &str = "approval-link";

impl Policies {
    /// Policies of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or it is not right.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Io { path: path.into(), source })?;
        let named = |error| match error {
            PolicyError::Content(faults) => {
                let lines: Vec<String> = faults.lines().map(|line| format!("{}: {line}", path.display())).collect();
                PolicyError::Content(lines.join("\n"))
            }
            error @ PolicyError::Io { .. } => error,
        };
        Self::parse(&text).map_err(named)
    }

    /// Policies of a text.
    ///
    /// # Errors
    ///
    /// It is not Cedar, or uses words that do not exist here.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let lines = |faults: Vec<String>| PolicyError::Content(faults.join("\n"));
        let (schema, _) = Schema::from_cedarschema_str(&schema::text())
            .map_err(|error| PolicyError::Content(format!("the schema itself is wrong: {error}")))?;
        let policies =
            PolicySet::from_str(text).map_err(|errors| lines(errors.iter().map(ToString::to_string).collect()))?;
        let checked = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !checked.validation_passed() {
            return Err(lines(checked.validation_errors().map(ToString::to_string).collect()));
        }
        let loaded = Loaded { policies, schema, authorizer: Authorizer::new() };
        Ok(Self { loaded: RwLock::new(Some(Arc::new(loaded))) })
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these hold instead, wherever these policies are shared.
    pub fn replace(&self, newer: Self) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = newer.loaded();
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.loaded().is_none()
    }

    /// Whether the asker may do this with this. `starter` is who started the execution that an approval is of.
    pub fn permit(&self, asker: Asker<'_>, action: &str, resource: &Resource, starter: Option<&str>) -> bool {
        match self.loaded() {
            None => asker.arn == LINK || is_of_account(asker),
            Some(loaded) => loaded.permit(asker, action, resource, starter).unwrap_or(false),
        }
    }

    /// Checks a call before it is made.
    ///
    /// # Errors
    ///
    /// `AccessDeniedException` naming the action and the resource.
    pub(crate) async fn check(&self, call: &Call, extension: bool) -> Result<(), ApiError> {
        let place = call.control.place();
        let asker = Asker { arn: &call.principal, account: &place.account };
        let action = schema::action(&call.operation, extension);
        let approves = call.operation == "PutApprovalResult";
        let starter = if approves && !self.is_empty() { starter(call).await } else { None };
        let resource = Resource::of(&call.operation, &call.input, place);
        let started = Resource::started_by_webhook(&call.operation, &call.input, place);
        for resource in std::iter::once(resource).chain(started) {
            self.require(asker, &action, &resource, starter.as_deref())?;
        }
        Ok(())
    }

    /// Checks a call once more, on the pipeline that it turned out to be about.
    ///
    /// # Errors
    ///
    /// `AccessDeniedException` naming the action and the pipeline.
    pub(crate) fn check_pipeline(&self, call: &Call, pipeline: &PipelineName) -> Result<(), ApiError> {
        let place = call.control.place();
        let asker = Asker { arn: &call.principal, account: &place.account };
        let action = schema::action(&call.operation, false);
        let resource = Resource::of(&call.operation, &json!({ "pipelineName": pipeline }), place);
        self.require(asker, &action, &resource, None)
    }

    /// Checks that the caller may hand on each role that a declaration names.
    ///
    /// # Errors
    ///
    /// `AccessDeniedException` naming the first role that they may not.
    pub(crate) fn check_roles(&self, call: &Call, pipeline: &Pipeline) -> Result<(), ApiError> {
        if self.is_empty() {
            return Ok(());
        }
        let asker = Asker { arn: &call.principal, account: &call.control.place().account };
        for role in roles(pipeline) {
            self.require(asker, schema::PASS_ROLE, &Resource::Role(role.to_owned()), None)?;
        }
        Ok(())
    }

    fn require(
        &self,
        asker: Asker<'_>,
        action: &str,
        resource: &Resource,
        starter: Option<&str>,
    ) -> Result<(), ApiError> {
        if self.permit(asker, action, resource, starter) { Ok(()) } else { Err(denied(asker.arn, action, resource)) }
    }
}

impl Policies {
    /// Whether an approval may be decided by a signed link: whoever holds one may be anybody, also the starter.
    ///
    /// # Errors
    ///
    /// The execution cannot be read.
    pub async fn permit_link(
        &self,
        control: &Control,
        pipeline: &PipelineRef,
        action: &ActionExecution,
    ) -> Result<bool, ApiError> {
        if self.is_empty() {
            return Ok(true);
        }
        const APPROVE: &str = "PutApprovalResult";
        let (place, key) = (control.place(), &action.key);
        let input = json!({ "pipelineName": pipeline.name, "stageName": key.stage, "actionName": key.name });
        let resource = Resource::of(APPROVE, &input, place);
        let execution = control.execution(pipeline.id, key.execution).await?;
        let starter = execution.map(|execution| execution.trigger.detail).unwrap_or_default();
        let may = |arn: &str| {
            let asker = Asker { arn, account: &place.account };
            self.permit(asker, &schema::action(APPROVE, false), &resource, Some(&starter))
        };
        Ok(may(LINK) && may(&starter))
    }

    /// Whether the approval of a link may be decided by it: who may approve can have been restricted after the link was
    /// made. What is no link is told by the approval pages themselves.
    pub async fn permit_decision(&self, regions: &dyn Regions, token: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(link) = link::parse(token).map(|unverified| unverified.link) else { return true };
        let Some(control) = regions.control(&link.region) else { return true };
        let pipeline = PipelineRef { id: link.pipeline_id, name: "".into() };
        let Ok(Some(action)) = control.action(&pipeline, &link.action_key()).await else { return true };
        let pipeline = PipelineRef { name: action.pipeline.clone(), ..pipeline };
        self.permit_link(&control, &pipeline, &action).await.unwrap_or(false)
    }
}

/// The service's own error names who, what and on what.
fn denied(principal: &str, action: &str, resource: &Resource) -> ApiError {
    let message = format!("User: {principal} is not authorized to perform: {action} on resource: {}", resource.shown());
    ApiError::with_status("AccessDeniedException", 400, message)
}

fn is_of_account(asker: Asker<'_>) -> bool {
    asker.arn.split(':').nth(4) == Some(asker.account)
}

/// Every role of a declaration.
fn roles(pipeline: &Pipeline) -> impl Iterator<Item = &str> {
    let rules = pipeline.stages.iter().flat_map(|stage| {
        let before = stage.before_entry.iter().flat_map(|slot| &slot.conditions);
        let success = stage.on_success.iter().flat_map(|slot| &slot.conditions);
        let failure = stage.on_failure.iter().flat_map(|slot| &slot.conditions);
        before.chain(success).chain(failure).flat_map(|condition| &condition.rules)
    });
    let actions = pipeline.actions().filter_map(|(_, action)| action.role_arn.as_deref());
    std::iter::once(pipeline.role_arn.as_str()).chain(actions).chain(rules.filter_map(|rule| rule.role_arn.as_deref()))
}

/// Who started the execution that an approval is of; none where there is no such approval.
async fn starter(call: &Call) -> Option<String> {
    let token = call.input["token"].as_str()?;
    let pipeline = call.control.pipeline_ref(&call.pipeline_name()).await.ok()?;
    let key = call.control.approval_by_token(&pipeline, token).await.ok()??;
    let execution = call.control.execution(pipeline.id, key.execution).await.ok()??;
    Some(execution.trigger.detail)
}

impl Loaded {
    /// None if the question itself is wrong, which counts as no.
    fn permit(&self, asker: Asker<'_>, action: &str, resource: &Resource, starter: Option<&str>) -> Option<bool> {
        let principal = uid("Principal", asker.arn)?;
        let name = asker.arn.rsplit('/').next().unwrap_or(asker.arn);
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let account = asker.arn.split(':').nth(4).unwrap_or_default();
        let attributes = [("arn", asker.arn), ("account", account), ("name", name)];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), text(value)));
        let mut entities = vec![Entity::new(principal.clone(), HashMap::from(attributes), HashSet::new()).ok()?];
        let (resource, more) = resource.entities()?;
        entities.extend(more);
        let context = starter.map(|starter| ("starter".to_owned(), text(starter)));
        let context = Context::from_pairs(context).ok()?;
        let action = uid("Action", action)?;
        let request = Request::new(principal, action, resource, context, Some(&self.schema)).ok()?;
        let entities = Entities::from_entities(entities, Some(&self.schema)).ok()?;
        let answer = self.authorizer.is_authorized(&request, &self.policies, &entities);
        for error in answer.diagnostics().errors() {
            tracing::warn!(%error, "a policy could not be evaluated");
        }
        Some(answer.decision() == Decision::Allow)
    }
}

/// An entity's name. None cannot happen: the types are those of the schema.
fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).ok()?, EntityId::new(id)))
}

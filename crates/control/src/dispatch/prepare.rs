//! What an action is started with: its declaration with everything resolved, and where its artifacts lie.

use std::cell::Cell;
use std::collections::BTreeSet;

use engine::{ActionExecution, ActionKey, ArtifactLocation, Execution, Header, Outcome, Slot};
use model::{
    Action, ActionStatus, ConditionSlot, Pipeline, PipelineId, Rule, Stage, StageName, StringMap, action_types,
    references,
};

use crate::artifact_keys::artifact_key;
use crate::control::{Control, ControlError};
use crate::load::Loaded;
use crate::ports::{PortError, artifact_location};
use crate::rows::PipelineRef;

/// The most bytes of an action's resolved texts together (semantics: "100 KB of resolved configuration").
const MAX_RESOLVED_BYTES: usize = 100 * 1024;

/// Everything known of an action before it is claimed.
pub(super) struct Prepared {
    pub(super) declaration: Action,
    pub(super) inputs: Vec<ArtifactLocation>,
    pub(super) outputs: Vec<ArtifactLocation>,
    pub(super) role_arn: String,
    pub(super) encryption_key: Option<String>,
    pub(super) near_bucket: Option<String>,
    pub(super) error: Option<Outcome>,
    /// The configuration keys whose values were sealed.
    pub(super) secret_keys: Vec<String>,
}

impl Control {
    pub(super) async fn prepare(
        &self,
        pipeline: &PipelineRef,
        execution: &Execution,
        action: &ActionExecution,
    ) -> Result<Prepared, ControlError> {
        let key = &action.key;
        let part = self.stage_part(pipeline.id, execution.version, &key.stage).await?;
        let declaration = part.as_deref().and_then(|part| declared(part, key));
        let whole = self.declaration_top(pipeline.id, execution.version).await?;
        let (Some(mut declaration), Some(whole)) = (declaration, whole) else {
            let gone = PortError::Corrupt(format!("the declaration of {}/{}", key.stage, key.name));
            return Err(gone.into());
        };
        let header = self.header(pipeline.id, execution.version).await?;
        let mut error = None;
        let mut secret_keys = Vec::new();
        if !action.is_rule() {
            match self.open_secrets(pipeline.id, execution.version, &key.stage, &mut declaration).await? {
                Ok(opened) => secret_keys = opened,
                Err(message) => error = Some(Outcome::failed("ConfigurationError", message)),
            }
        }
        let producing = execution.rollback_target.unwrap_or(execution.id);
        let mut inputs = Vec::new();
        for input in &declaration.input_artifacts {
            match self.produced(pipeline, &header, execution.id, producing, input.name.as_str()).await? {
                Some(location) => inputs.push(location),
                None => error = Some(Outcome::failed("ConfigurationError", missing_input(&input.name))),
            }
        }
        let values = self.variables(pipeline, &header, execution, producing, &declaration).await?;
        let as_declared = declaration.clone();
        if let Err(message) = resolve(&mut declaration, &values) {
            // What was resolved by then may be too large to be stored.
            declaration = as_declared;
            error = Some(Outcome::failed("ConfigurationError", message));
        }
        let region = declaration.region.clone().unwrap_or_else(|| self.place().region.clone());
        let store = whole.store(&region);
        let bucket = store.map_or_else(|| "artifacts".to_owned(), |store| store.location.clone());
        let outputs = declaration.output_artifacts.iter().map(|output| {
            let seed = model::Seed(action.id.0).id(output.name.as_str());
            artifact_location(
                output.name.as_str(),
                &bucket,
                artifact_key(pipeline.name.as_str(), output.name.as_str(), seed),
            )
        });
        Ok(Prepared {
            outputs: outputs.collect(),
            inputs,
            role_arn: declaration.role_arn.clone().unwrap_or_else(|| whole.role_arn.clone()),
            encryption_key: store.and_then(|store| store.encryption_key.as_ref()).map(|key| key.id.clone()),
            near_bucket: near_bucket(&whole, &region),
            declaration,
            error,
            secret_keys,
        })
    }

    pub(crate) async fn header(
        &self,
        id: PipelineId,
        version: model::Version,
    ) -> Result<std::sync::Arc<Header>, ControlError> {
        let mut loaded = Loaded::default();
        self.loader.load(id, &mut loaded, &[engine::Read::Item(engine::ItemKey::Header(version))]).await?;
        let header = loaded.slice.header(version).ok().flatten().cloned();
        header.ok_or_else(|| PortError::Corrupt(format!("the header of version {version}")).into())
    }

    /// Where an artifact of this execution (or of a rollback's target) lies.
    async fn produced(
        &self,
        pipeline: &PipelineRef,
        header: &Header,
        own: model::ExecutionId,
        producing: model::ExecutionId,
        name: &str,
    ) -> Result<Option<ArtifactLocation>, ControlError> {
        let Some((stage, action)) = header.producers.get(name) else { return Ok(None) };
        for execution in distinct(own, producing) {
            let made = self.newest_success(pipeline, execution, stage, action).await?;
            if let Some(made) = made
                && let Some(output) = made.outputs.iter().find(|output| output.name == name)
            {
                let mut output = output.clone();
                output.revision = made.revision.as_ref().map(|revision| revision.revision_id.clone());
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    /// The newest attempt of an action, if it succeeded.
    async fn newest_success(
        &self,
        pipeline: &PipelineRef,
        execution: model::ExecutionId,
        stage: &StageName,
        action: &model::ActionName,
    ) -> Result<Option<ActionExecution>, ControlError> {
        let mut loaded = Loaded::default();
        let read = engine::Read::Item(engine::ItemKey::StageExecution(execution, stage.clone()));
        self.loader.load(pipeline.id, &mut loaded, &[read]).await?;
        let Ok(Some(entered)) = loaded.slice.stage_execution(execution, stage) else { return Ok(None) };
        let Some(run) = self.run_order_of(pipeline, execution, stage, action).await? else { return Ok(None) };
        let key = entered.newest_key(Slot::RunOrder(run), action);
        let found = self.action(pipeline, &key).await?;
        Ok(found.filter(|found| found.status == ActionStatus::Succeeded))
    }

    async fn run_order_of(
        &self,
        pipeline: &PipelineRef,
        execution: model::ExecutionId,
        stage: &StageName,
        action: &model::ActionName,
    ) -> Result<Option<u16>, ControlError> {
        let mut loaded = Loaded::default();
        self.loader
            .load(pipeline.id, &mut loaded, &[engine::Read::Item(engine::ItemKey::Execution(execution))])
            .await?;
        let Ok(Some(execution)) = loaded.slice.execution(execution) else { return Ok(None) };
        let part = self.stage_part(pipeline.id, execution.version, stage).await?;
        let declared = part.as_ref().and_then(|part| part.actions.iter().find(|declared| declared.name == *action));
        Ok(declared.map(Action::order))
    }

    /// The values of every reference in a declaration.
    async fn variables(
        &self,
        pipeline: &PipelineRef,
        header: &Header,
        execution: &Execution,
        producing: model::ExecutionId,
        declaration: &Action,
    ) -> Result<Vec<(String, StringMap)>, ControlError> {
        let own = [("PipelineExecutionId".to_owned(), execution.id.to_string())];
        let mut values = vec![
            ("variables".to_owned(), execution.variables.clone()),
            ("codepipeline".to_owned(), own.into_iter().collect()),
        ];
        for namespace in namespaces_of(declaration) {
            let Some((stage, action)) = header.namespaces.get(namespace.as_str()) else { continue };
            for candidate in distinct(execution.id, producing) {
                if let Some(made) = self.newest_success(pipeline, candidate, stage, action).await? {
                    values.push((namespace.clone(), self.output_variables(pipeline.id, &made.key).await?));
                    break;
                }
            }
        }
        Ok(values)
    }
}

fn distinct(own: model::ExecutionId, producing: model::ExecutionId) -> impl Iterator<Item = model::ExecutionId> {
    std::iter::once(own).chain((own != producing).then_some(producing))
}

/// The bucket of a region's own store, where the pipeline has a store in each.
fn near_bucket(whole: &Pipeline, region: &str) -> Option<String> {
    let stores = whole.artifact_stores.as_ref()?;
    stores.get(region).map(|store| store.location.clone())
}

fn missing_input(name: &model::ArtifactName) -> String {
    format!("The input artifact {name} was not produced: its action has not succeeded in this execution.")
}

/// What the stage declares of an action or rule.
pub(crate) fn declared(part: &Stage, key: &ActionKey) -> Option<Action> {
    match key.slot {
        Slot::RunOrder(_) => part.actions.iter().find(|action| action.name == key.name).cloned(),
        Slot::Rule(slot) => {
            let conditions = match slot {
                ConditionSlot::BeforeEntry => part.before_entry.as_ref().map(|before| &before.conditions),
                ConditionSlot::OnSuccess => part.on_success.as_ref().map(|success| &success.conditions),
                ConditionSlot::OnFailure => part.on_failure.as_ref().map(|failure| &failure.conditions),
            };
            let rules = conditions.into_iter().flatten().flat_map(|condition| &condition.rules);
            rules.into_iter().find(|rule| rule.name == key.name).map(as_action)
        }
    }
}

/// A rule as an action of category `Rule`.
fn as_action(rule: &Rule) -> Action {
    Action {
        name: rule.name.clone(),
        action_type_id: rule.rule_type_id.action_type(),
        run_order: None,
        configuration: rule.configuration.clone(),
        commands: rule.commands.clone(),
        output_artifacts: Vec::new(),
        input_artifacts: rule.input_artifacts.clone(),
        output_variables: Vec::new(),
        role_arn: rule.role_arn.clone(),
        region: rule.region.clone(),
        namespace: None,
        timeout_in_minutes: rule.timeout_in_minutes,
        environment_variables: Vec::new(),
    }
}

/// Every text of an action in which references stand.
fn texts(action: &mut Action) -> impl Iterator<Item = &mut String> {
    let Action { configuration, commands, environment_variables, .. } = action;
    let values = environment_variables.iter_mut().map(|variable| &mut variable.value);
    configuration.values_mut().chain(commands.iter_mut()).chain(values)
}

fn namespaces_of(action: &Action) -> BTreeSet<String> {
    let mut copy = action.clone();
    let found = texts(&mut copy).flat_map(|text| {
        references::find(text).into_iter().map(|reference| reference.namespace.to_owned()).collect::<Vec<_>>()
    });
    found.collect()
}

fn resolve(action: &mut Action, values: &[(String, StringMap)]) -> Result<(), String> {
    let size = Cell::new(texts(action).map(|text| text.len()).sum::<usize>());
    let too_large = |size: usize| {
        format!(
            "The resolved configuration has more than {MAX_RESOLVED_BYTES} bytes ({size}); hand larger values on in an \
             artifact."
        )
    };
    let lookup = |namespace: &str, key: &str| {
        let (_, found) = values.iter().find(|(name, _)| name == namespace)?;
        let value = found.get(key)?;
        size.set(size.get() + value.len());
        // What is more is not gathered first.
        (size.get() <= MAX_RESOLVED_BYTES).then(|| value.clone())
    };
    let resolved = resolve_texts(action, &lookup);
    match size.get() {
        size if size > MAX_RESOLVED_BYTES => Err(too_large(size)),
        _ => resolved,
    }
}

fn resolve_texts(action: &mut Action, lookup: &dyn Fn(&str, &str) -> Option<String>) -> Result<(), String> {
    let kind = action_types::lookup(&action.action_type_id);
    let is_json = |key: &str| kind.and_then(|kind| kind.key(key)).is_some_and(|key| key.value.is_json());
    for (key, text) in &mut action.configuration {
        let resolve = if is_json(key) { references::resolve_json } else { references::resolve };
        *text = resolve(text, lookup).map_err(|unresolved| unresolved.to_string())?;
    }
    let values = action.environment_variables.iter_mut().map(|variable| &mut variable.value);
    for text in action.commands.iter_mut().chain(values).filter(|text| text.contains("#{")) {
        *text = references::resolve(text, lookup).map_err(|unresolved| unresolved.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pipeline(stores: serde_json::Value) -> Pipeline {
        let mut pipeline = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r", "stages": []});
        pipeline.as_object_mut().unwrap().extend(stores.as_object().unwrap().clone());
        serde_json::from_value(pipeline).unwrap()
    }

    #[test]
    fn a_region_has_a_bucket_of_its_own_where_there_are_several() {
        let store = |bucket: &str| json!({"type": "S3", "location": bucket});
        let several = pipeline(json!({"artifactStores": {"us-east-1": store("us"), "eu-west-1": store("eu")}}));
        assert_eq!(near_bucket(&several, "eu-west-1").as_deref(), Some("eu"));
        assert_eq!(near_bucket(&several, "ap-south-1"), None);
        assert_eq!(near_bucket(&pipeline(json!({"artifactStore": store("us")})), "us-east-1"), None);
    }
}

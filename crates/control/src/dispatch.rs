//! Starting actions: claim, resolve, hand to the provider, report what came of it.

use std::collections::BTreeSet;

use engine::{
    ActionExecution, ActionKey, ActionReport, ArtifactLocation, Claim, Execution, Header, LogLocation, Outcome, Slot,
    What, Work,
};
use model::{
    Action, ActionStatus, ConditionSlot, PipelineId, Rule, Stage, StageName, StringMap, Timestamp, references,
};

use crate::artifact_keys::artifact_key;
use crate::control::{Applied, Control, ControlError, written_action};
use crate::keys;
use crate::load::Loaded;
use crate::logs::log_location;
use crate::ports::{ActionReply, ActionRequest, Condition, Key, PortError, Write, artifact_location};
use crate::rows::{ActionRef, PipelineRef, Task, WorkRow};
use crate::stored::{decode, encode};

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

/// Everything known of an action before it is claimed.
struct Prepared {
    declaration: Action,
    inputs: Vec<ArtifactLocation>,
    outputs: Vec<ArtifactLocation>,
    role_arn: String,
    encryption_key: Option<String>,
    error: Option<Outcome>,
    /// The configuration keys whose values were sealed.
    secret_keys: Vec<String>,
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

    async fn prepare(
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
        if let Err(message) = resolve(&mut declaration, &values) {
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

    /// Reports what a provider said of an action.
    pub async fn report(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        reply: ActionReply,
        consumed: Option<&WorkRow>,
    ) -> Result<Applied, ControlError> {
        match reply {
            ActionReply::Ended(outcome) => self.complete_action(pipeline, key, *outcome, consumed).await,
            ActionReply::Pending { started, poll_at } => {
                let event = self.event(What::Action(key.clone(), ActionReport::Started(started.clone())));
                let poll = poll_at.map(|due| self.poll_row(pipeline, key, due, event.seed));
                let mut extra = poll.iter().map(|row| self.put_row(row)).collect::<Result<Vec<_>, _>>()?;
                if let Some(external_id) = &started.external_id {
                    extra.push(self.pointer(pipeline, key, external_id)?);
                }
                self.apply(pipeline, &event, consumed, &extra).await
            }
        }
    }

    /// What leads from the work's id at its provider, or a job's id, back to the action.
    pub(crate) fn pointer(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        external_id: &str,
    ) -> Result<Write, PortError> {
        let body = encode(&ActionRef { pipeline: pipeline.clone(), key: key.clone() })?;
        let key = self.place().external(external_id);
        Ok(Write::Put { key, revision: 1, body, condition: Condition::Always })
    }

    /// The action execution whose work has this id at its provider.
    pub async fn action_by_external_id(&self, external_id: &str) -> Result<Option<ActionRef>, ControlError> {
        let found = self.table().get(&self.place().external(external_id)).await?;
        Ok(found.map(|stored| decode(&stored.body, "a pointer to an action execution")).transpose()?)
    }

    /// The row that has an action's provider asked for news.
    pub(crate) fn poll_row(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        due: Timestamp,
        seed: model::Seed,
    ) -> WorkRow {
        WorkRow {
            id: seed.id("poll"),
            region: self.place().region.clone(),
            pipeline: pipeline.clone(),
            due,
            task: Task::Poll(key.clone()),
            tries: 0,
        }
    }

    /// Writes a row.
    pub(crate) fn put_row(&self, row: &WorkRow) -> Result<Write, PortError> {
        Ok(Write::Put { key: row.key(self.place()), revision: 1, body: encode(row)?, condition: Condition::Always })
    }

    /// An action ended: its item, its output variables, and the row that has its stage judged.
    pub async fn complete_action(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        outcome: Outcome,
        consumed: Option<&WorkRow>,
    ) -> Result<Applied, ControlError> {
        let mut extra = Vec::new();
        if outcome.error.is_none() && !outcome.variables.is_empty() {
            extra.push(self.put_variables(pipeline, key, &outcome.variables)?);
        }
        let event = self.event(What::Action(key.clone(), ActionReport::Ended(Box::new(outcome))));
        self.apply(pipeline, &event, consumed, &extra).await
    }

    /// Writes an action's output variables beside it.
    pub(crate) fn put_variables(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        variables: &StringMap,
    ) -> Result<Write, PortError> {
        let key = Key { pk: self.place().pipeline(pipeline.id), sk: keys::variables_sk(key) };
        Ok(Write::Put { key, revision: 1, body: encode(variables)?, condition: Condition::Always })
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

fn distinct(own: model::ExecutionId, producing: model::ExecutionId) -> impl Iterator<Item = model::ExecutionId> {
    std::iter::once(own).chain((own != producing).then_some(producing))
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
    let lookup = |namespace: &str, key: &str| {
        let (_, found) = values.iter().find(|(name, _)| name == namespace)?;
        found.get(key).cloned()
    };
    for text in texts(action).filter(|text| text.contains("#{")) {
        *text = references::resolve(text, &lookup).map_err(|unresolved| unresolved.to_string())?;
    }
    Ok(())
}

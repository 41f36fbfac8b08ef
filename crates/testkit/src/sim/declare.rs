//! Random pipelines: few stages, every kind of condition, parallel actions, artifacts and variables between them.

use std::collections::BTreeMap;

use model::{
    Action, ActionTypeId, ArtifactName, Category, Condition, ConditionResult, Conditions, ExecutionMode, InputArtifact,
    OnFailure, OutputArtifact, Owner, Pipeline, PipelineName, PipelineType, RetryConfiguration, RetryMode, Rule,
    RuleTypeId, Stage, VariableDeclaration,
};

use super::dice::Dice;

/// What stages after the first are called.
const STAGES: [&str; 5] = ["Build", "Test", "Stage", "Accept", "Deploy"];
/// Kinds of action after the source stage.
const KINDS: [(Category, &str); 7] = [
    (Category::Build, "CodeBuild"),
    (Category::Compute, "Commands"),
    (Category::Test, "CodeBuild"),
    (Category::Deploy, "S3"),
    (Category::Deploy, "CodeDeploy"),
    (Category::Invoke, "Lambda"),
    (Category::Approval, "Manual"),
];

/// A random pipeline of this name; another call gives another version of it.
pub(super) fn pipeline(dice: &Dice, name: &PipelineName) -> Pipeline {
    let mut draft = Draft { dice, outputs: Vec::new(), namespaces: Vec::new() };
    let mode = match dice.index(5) {
        0 => ExecutionMode::Parallel,
        1 | 2 => ExecutionMode::Queued,
        _ => ExecutionMode::Superseded,
    };
    let mut stages = vec![draft.source()];
    let mut names: Vec<&str> = STAGES.to_vec();
    while names.len() > dice.count(1, 4) {
        names.remove(dice.index(names.len()));
    }
    if dice.chance(10) {
        names.reverse();
    }
    for name in names {
        stages.push(draft.stage(name, mode));
    }
    Pipeline {
        name: name.clone(),
        role_arn: "arn:aws:iam::123456789012:role/pipeline".into(),
        artifact_store: Some(model::ArtifactStore {
            kind: "S3".into(),
            location: "artifacts".into(),
            encryption_key: None,
        }),
        artifact_stores: None,
        stages,
        version: None,
        execution_mode: Some(mode),
        pipeline_type: Some(PipelineType::V2),
        variables: vec![VariableDeclaration {
            name: "color".into(),
            default_value: Some("red".into()),
            description: None,
        }],
        triggers: Vec::new(),
    }
}

struct Draft<'a> {
    dice: &'a Dice,
    /// Artifacts that later actions may read.
    outputs: Vec<ArtifactName>,
    /// Namespaces that later actions may read.
    namespaces: Vec<String>,
}

impl Draft<'_> {
    fn source(&mut self) -> Stage {
        let count = if self.dice.chance(20) { 2 } else { 1 };
        let actions = (1..=count).map(|number| {
            let mut action = action(&format!("source{number}"), Category::Source, "S3");
            action.output_artifacts = vec![output(&format!("code{number}"))];
            action.namespace = Some(format!("source{number}").as_str().into());
            action
        });
        let actions: Vec<_> = actions.collect();
        for number in 1..=count {
            self.outputs.push(format!("code{number}").as_str().into());
            self.namespaces.push(format!("source{number}"));
        }
        let mut stage = stage("Source", actions);
        if self.dice.chance(15) {
            stage.on_failure = Some(retry(self.dice));
        }
        stage
    }

    fn stage(&mut self, name: &str, mode: ExecutionMode) -> Stage {
        let wide = mode == ExecutionMode::Parallel && self.dice.chance(40);
        let count = if wide { self.dice.count(6, 8) } else { self.dice.count(1, 4) };
        let mut orders: Vec<u16> = (0..count).map(|_| if wide { 1 } else { self.dice.one(&[1, 1, 2, 5]) }).collect();
        orders.sort_unstable();
        let mut actions = Vec::with_capacity(count);
        let mut made = (Vec::new(), Vec::new());
        for (place, order) in orders.iter().enumerate() {
            if place > 0 && orders[place - 1] < *order {
                self.outputs.append(&mut made.0);
                self.namespaces.append(&mut made.1);
            }
            actions.push(self.action(name, &format!("a{place}"), *order, &mut made));
        }
        self.outputs.append(&mut made.0);
        self.namespaces.append(&mut made.1);
        let mut stage = stage(name, actions);
        self.conditions(&mut stage);
        stage
    }

    fn action(&self, stage: &str, name: &str, order: u16, made: &mut (Vec<ArtifactName>, Vec<String>)) -> Action {
        let dice = self.dice;
        let (category, provider) = KINDS[dice.index(KINDS.len())];
        let mut action = action(name, category, provider);
        action.run_order = Some(order);
        action.timeout_in_minutes = Some(u32::try_from(dice.range(5, 30)).unwrap_or(5));
        if category == Category::Approval {
            return action;
        }
        if let Some(input) = dice.pick(&self.outputs) {
            action.input_artifacts = vec![InputArtifact { name: input.clone() }];
        }
        action.configuration.insert("Color".into(), "#{variables.color}".into());
        if let Some(namespace) = dice.pick(&self.namespaces).filter(|_| dice.chance(40)) {
            action.configuration.insert("Read".into(), format!("#{{{namespace}.out}}"));
        }
        if dice.chance(50) {
            let output_name = format!("{stage}-{name}");
            action.output_artifacts = vec![output(&output_name)];
            made.0.push(output_name.as_str().into());
            let namespace = format!("{stage}_{name}");
            action.namespace = Some(namespace.as_str().into());
            made.1.push(namespace);
        }
        action
    }

    fn conditions(&self, stage: &mut Stage) {
        let dice = self.dice;
        if dice.chance(20) {
            let skip = dice.chance(50);
            let result = if skip { ConditionResult::Skip } else { ConditionResult::Fail };
            stage.before_entry = Some(Conditions { conditions: vec![self.condition(result, skip)] });
        }
        if dice.chance(20) {
            let result = if dice.chance(50) { ConditionResult::Rollback } else { ConditionResult::Fail };
            stage.on_success = Some(Conditions { conditions: vec![self.condition(result, false)] });
        }
        let plain = |result| OnFailure { result: Some(result), ..OnFailure::default() };
        stage.on_failure = match dice.index(10) {
            0 | 1 => Some(retry(dice)),
            2 => Some(plain(ConditionResult::Rollback)),
            3 => Some(plain(ConditionResult::Fail)),
            4 => Some(OnFailure {
                conditions: vec![self.condition(ConditionResult::Rollback, false)],
                ..OnFailure::default()
            }),
            _ => None,
        };
    }

    fn condition(&self, result: ConditionResult, skip: bool) -> Condition {
        let among: &[&str] = if skip {
            &["VariableCheck", "LambdaInvoke"]
        } else {
            &["VariableCheck", "LambdaInvoke", "DeploymentWindow"]
        };
        let count = self.dice.count(1, 2);
        let rules = (0..count).map(|number| Rule {
            name: format!("rule{number}").as_str().into(),
            rule_type_id: RuleTypeId {
                category: Category::Rule,
                owner: Some(Owner::Aws),
                provider: self.dice.pick(among).copied().unwrap_or("VariableCheck").into(),
                version: Some("1".into()),
            },
            configuration: BTreeMap::new(),
            commands: Vec::new(),
            input_artifacts: Vec::new(),
            role_arn: None,
            region: None,
            timeout_in_minutes: Some(u32::try_from(self.dice.range(5, 30)).unwrap_or(5)),
        });
        Condition { result: Some(result), rules: rules.collect() }
    }
}

fn retry(dice: &Dice) -> OnFailure {
    let mode = if dice.chance(50) { RetryMode::FailedActions } else { RetryMode::AllActions };
    OnFailure {
        result: Some(ConditionResult::Retry),
        retry_configuration: Some(RetryConfiguration { retry_mode: Some(mode) }),
        conditions: Vec::new(),
    }
}

fn stage(name: &str, actions: Vec<Action>) -> Stage {
    Stage { name: name.into(), blockers: Vec::new(), actions, on_failure: None, on_success: None, before_entry: None }
}

fn output(name: &str) -> OutputArtifact {
    OutputArtifact { name: name.into(), files: Vec::new() }
}

fn action(name: &str, category: Category, provider: &str) -> Action {
    Action {
        name: name.into(),
        action_type_id: ActionTypeId { category, owner: Owner::Aws, provider: provider.into(), version: "1".into() },
        run_order: None,
        configuration: BTreeMap::new(),
        commands: Vec::new(),
        output_artifacts: Vec::new(),
        input_artifacts: Vec::new(),
        output_variables: Vec::new(),
        role_arn: None,
        region: None,
        namespace: None,
        timeout_in_minutes: None,
        environment_variables: Vec::new(),
    }
}

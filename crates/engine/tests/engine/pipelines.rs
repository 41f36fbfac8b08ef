//! Pipelines in one line: `A(s) -> B(x, y; ok?) failure=RETRY_ALL -> C(z) before=FAIL:alarm,window`.
//!
//! Within a stage `;` parts run orders and `,` actions that run beside each other; `?` is an approval; `x=30` has a timeout of
//! 30 minutes. `before=`, `success=` and `failure=` take a result, and rules after a colon.

use model::{
    Action, ActionTypeId, Category, Condition, ConditionResult, Conditions, ExecutionMode, OnFailure, Owner, Pipeline,
    PipelineType, RetryConfiguration, RetryMode, Rule, RuleTypeId, Stage, VariableDeclaration,
};

pub fn pipeline(text: &str, mode: ExecutionMode) -> Pipeline {
    let mut stages: Vec<Stage> = text.split("->").map(|part| stage(part.trim())).collect();
    if let Some(first) = stages.first_mut() {
        first.actions.iter_mut().for_each(|action| action.action_type_id = kind(Category::Source, "S3"));
    }
    Pipeline {
        name: "P".into(),
        role_arn: "arn:aws:iam::123456789012:role/penstock/p".into(),
        artifact_store: None,
        artifact_stores: None,
        stages,
        version: None,
        execution_mode: Some(mode),
        pipeline_type: Some(PipelineType::V2),
        variables: Vec::new(),
        triggers: Vec::new(),
    }
}

/// The same with pipeline variables: `N=V` has a default, `N` has none.
pub fn with_variables(mut pipeline: Pipeline, text: &str) -> Pipeline {
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        pipeline.variables.push(VariableDeclaration {
            name: name.into(),
            default_value: value.map(Into::into),
            description: None,
        });
    }
    pipeline
}

fn stage(text: &str) -> Stage {
    let (name, rest) = text.split_once('(').expect("a stage is NAME(ACTIONS)");
    let (actions, options) = rest.split_once(')').expect("a stage ends with )");
    let mut stage = Stage {
        name: name.into(),
        blockers: Vec::new(),
        actions: Vec::new(),
        on_failure: None,
        on_success: None,
        before_entry: None,
    };
    for (place, names) in actions.split(';').enumerate() {
        let order = u16::try_from(place + 1).expect("few run orders");
        stage.actions.extend(names.split(',').map(|name| action(name.trim(), order)));
    }
    for option in options.split_whitespace() {
        let (slot, value) = option.split_once('=').expect("an option is SLOT=RESULT");
        let (result, rules) = value.split_once(':').map_or((value, None), |(result, rules)| (result, Some(rules)));
        match slot {
            "before" => stage.before_entry = Some(Conditions { conditions: vec![condition(result, rules)] }),
            "success" => stage.on_success = Some(Conditions { conditions: vec![condition(result, rules)] }),
            "failure" => stage.on_failure = Some(on_failure(result, rules)),
            other => panic!("no slot {other}"),
        }
    }
    stage
}

fn action(text: &str, order: u16) -> Action {
    let (text, minutes) = text.split_once('=').map_or((text, None), |(text, minutes)| (text, Some(minutes)));
    let (name, approval) = text.strip_suffix('?').map_or((text, false), |name| (name, true));
    Action {
        name: name.into(),
        action_type_id: if approval { kind(Category::Approval, "Manual") } else { kind(Category::Build, "CodeBuild") },
        run_order: Some(order),
        configuration: Default::default(),
        commands: Vec::new(),
        output_artifacts: Vec::new(),
        input_artifacts: Vec::new(),
        output_variables: Vec::new(),
        role_arn: None,
        region: None,
        namespace: None,
        timeout_in_minutes: minutes.map(|minutes| minutes.parse().expect("minutes")),
        environment_variables: Vec::new(),
    }
}

fn kind(category: Category, provider: &str) -> ActionTypeId {
    ActionTypeId { category, owner: Owner::Aws, provider: provider.into(), version: "1".into() }
}

fn condition(result: &str, rules: Option<&str>) -> Condition {
    let rule = |name: &str| Rule {
        name: name.into(),
        rule_type_id: RuleTypeId {
            category: Category::Rule,
            owner: Some(Owner::Aws),
            provider: "LambdaInvoke".into(),
            version: None,
        },
        configuration: Default::default(),
        commands: Vec::new(),
        input_artifacts: Vec::new(),
        role_arn: None,
        region: None,
        timeout_in_minutes: Some(10),
    };
    Condition {
        result: ConditionResult::parse(result),
        rules: rules
            .filter(|rules| !rules.is_empty())
            .map(|rules| rules.split(',').map(rule).collect())
            .unwrap_or_default(),
    }
}

fn on_failure(result: &str, rules: Option<&str>) -> OnFailure {
    let retry = |mode| OnFailure {
        result: Some(ConditionResult::Retry),
        retry_configuration: Some(RetryConfiguration { retry_mode: Some(mode) }),
        conditions: Vec::new(),
    };
    match (result, rules) {
        ("RETRY_ALL", _) => retry(RetryMode::AllActions),
        ("RETRY_FAILED", _) => retry(RetryMode::FailedActions),
        (result, Some(rules)) => OnFailure { conditions: vec![condition(result, Some(rules))], ..OnFailure::default() },
        (result, None) => OnFailure { result: ConditionResult::parse(result), ..OnFailure::default() },
    }
}

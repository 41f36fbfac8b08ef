//! The operations that `rust_sdk.rs` does not need: conditions, rollbacks, revisions, deploy targets, webhooks.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::primitives::DateTime;
use aws_sdk_codepipeline::types::{
    ActionCategory, ActionDeclaration, ActionOwner, ActionRevision, ArtifactDetails, BeforeEntryConditions, Condition,
    ConditionType, InputArtifact, OutputArtifact, PipelineExecutionStatus, PipelineVariable,
    PipelineVariableDeclaration, Result as ConditionResult, RuleCategory, RuleDeclaration, RuleExecutionFilter,
    RuleOwner, RuleTypeId, StageDeclaration, TriggerType, WebhookAuthConfiguration, WebhookAuthenticationType,
    WebhookDefinition, WebhookFilterRule,
};

use crate::rust_sdk::{Error, declaration, ended_of, kind};

pub(crate) async fn everything_else(client: &Client) -> Result<(), Error> {
    action_types(client).await?;
    conditions(client).await?;
    deploys(client).await?;
    webhooks(client).await
}

async fn action_types(client: &Client) -> Result<(), Error> {
    let counts = || ArtifactDetails::builder().minimum_count(0).maximum_count(1).build();
    let create = client.create_custom_action_type().category(ActionCategory::Test).provider("Gone").version("1");
    create.input_artifact_details(counts()).output_artifact_details(counts()).send().await?;
    let delete = client.delete_custom_action_type().category(ActionCategory::Test).provider("Gone").version("1");
    delete.send().await?;
    let own = client.list_action_types().action_owner_filter(ActionOwner::Custom).send().await?;
    let provider = |found: &aws_sdk_codepipeline::types::ActionType| {
        found.id().map(|id| id.provider().to_owned()).unwrap_or_default()
    };
    let providers: Vec<String> = own.action_types().iter().map(provider).collect();
    assert!(providers.contains(&"Rust".into()) && !providers.contains(&"Gone".into()), "{providers:?}");
    let get = || client.get_action_type().category(ActionCategory::Invoke).owner("ThirdParty").provider("Snyk");
    let found = get().version("1").send().await?;
    let mut snyk = found.action_type().ok_or("no action type")?.clone();
    snyk.description = Some("Scans".into());
    client.update_action_type().action_type(snyk).send().await?;
    let found = get().version("1").send().await?;
    assert_eq!(found.action_type().and_then(|found| found.description()), Some("Scans"));
    Ok(())
}

fn commands(name: &str) -> Result<ActionDeclaration, Error> {
    Ok(ActionDeclaration::builder()
        .name(name)
        .action_type_id(kind(ActionCategory::Compute, ActionOwner::Aws, "Commands")?)
        .commands("true")
        .input_artifacts(InputArtifact::builder().name("Code").build()?)
        .build()?)
}

/// The execution that the creation of a pipeline started.
pub(crate) async fn created(client: &Client, pipeline: &str) -> Result<String, Error> {
    let found = client.list_pipeline_executions().pipeline_name(pipeline).send().await?;
    let [only] = found.pipeline_execution_summaries() else { return Err("not one execution".into()) };
    Ok(only.pipeline_execution_id().ok_or("no id")?.to_owned())
}

async fn conditions(client: &Client) -> Result<(), Error> {
    let kind = RuleTypeId::builder().category(RuleCategory::Rule).owner(RuleOwner::Aws).provider("VariableCheck");
    let rule = RuleDeclaration::builder()
        .name("OnMain")
        .rule_type_id(kind.version("1").build()?)
        .configuration("Variable", "#{variables.branch}")
        .configuration("Value", "main")
        .configuration("Operator", "EQ")
        .build()?;
    let condition = Condition::builder().result(ConditionResult::Fail).rules(rule).build();
    let stage = StageDeclaration::builder().name("Build").actions(commands("Run")?);
    let stage = stage.before_entry(BeforeEntryConditions::builder().conditions(condition).build()?).build()?;
    let mut pipeline = declaration("ruled", [stage])?;
    let branch = PipelineVariableDeclaration::builder().name("branch").default_value("main").build()?;
    pipeline.variables = Some(vec![branch]);
    client.create_pipeline().pipeline(pipeline).send().await?;
    let first = created(client, "ruled").await?;
    ended_of(client, "ruled", &first, PipelineExecutionStatus::Succeeded).await?;
    let other = PipelineVariable::builder().name("branch").value("other").build()?;
    let held = client.start_pipeline_execution().name("ruled").variables(other).send().await?;
    let held = held.pipeline_execution_id().ok_or("no id")?;
    ended_of(client, "ruled", held, PipelineExecutionStatus::Failed).await?;
    let filter = RuleExecutionFilter::builder().pipeline_execution_id(held).build();
    let rules = client.list_rule_executions().pipeline_name("ruled").filter(filter).send().await?;
    let names: Vec<_> = rules.rule_execution_details().iter().map(|rule| (rule.rule_name(), rule.status())).collect();
    assert_eq!(names, [(Some("OnMain"), Some(&aws_sdk_codepipeline::types::RuleExecutionStatus::Failed))]);
    let over = client.override_stage_condition().pipeline_name("ruled").stage_name("Build");
    over.pipeline_execution_id(held).condition_type(ConditionType::BeforeEntry).send().await?;
    ended_of(client, "ruled", held, PipelineExecutionStatus::Succeeded).await?;
    let roll = client.rollback_stage().pipeline_name("ruled").stage_name("Build");
    let back = roll.target_pipeline_execution_id(&first).send().await?;
    ended_of(client, "ruled", back.pipeline_execution_id(), PipelineExecutionStatus::Succeeded).await?;
    let mut pages =
        client.list_pipeline_executions().pipeline_name("ruled").max_results(1).into_paginator().items().send();
    let mut listed = Vec::new();
    while let Some(found) = pages.next().await {
        listed.push(found?.pipeline_execution_id().unwrap_or_default().to_owned());
    }
    assert_eq!(listed, [back.pipeline_execution_id(), held, &first]);
    let revision = ActionRevision::builder().revision_id("main").revision_change_id("c");
    let revision = revision.created(DateTime::from_secs(1_795_500_000)).build()?;
    let put = client.put_action_revision().pipeline_name("ruled").stage_name("Source").action_name("Source");
    let put = put.action_revision(revision).send().await?;
    assert!(put.new_revision());
    let id = put.pipeline_execution_id().ok_or("no id")?;
    let shown = client.get_pipeline_execution().pipeline_name("ruled").pipeline_execution_id(id).send().await?;
    let trigger = shown.pipeline_execution().and_then(|execution| execution.trigger());
    assert_eq!(trigger.and_then(|trigger| trigger.trigger_type()), Some(&TriggerType::PutActionRevision));
    Ok(())
}

async fn deploys(client: &Client) -> Result<(), Error> {
    let deploy = ActionDeclaration::builder()
        .name("Upload")
        .action_type_id(kind(ActionCategory::Deploy, ActionOwner::Aws, "S3")?)
        .configuration("BucketName", "out")
        .configuration("Extract", "true")
        .input_artifacts(InputArtifact::builder().name("Code").build()?)
        .build()?;
    let stage = StageDeclaration::builder().name("Ship").actions(deploy).build()?;
    client.create_pipeline().pipeline(declaration("shipped", [stage])?).send().await?;
    let id = created(client, "shipped").await?;
    ended_of(client, "shipped", &id, PipelineExecutionStatus::Succeeded).await?;
    let history = client.list_action_executions().pipeline_name("shipped").send().await?;
    let details = history.action_execution_details();
    let id_of = |name: &str| {
        let found = details.iter().find(|detail| detail.action_name() == Some(name));
        found.and_then(|detail| detail.action_execution_id()).unwrap_or_default().to_owned()
    };
    let targets = client.list_deploy_action_execution_targets().action_execution_id(id_of("Upload"));
    let targets =
        targets.pipeline_name("shipped").into_paginator().items().send().collect::<Result<Vec<_>, _>>().await?;
    let [target] = targets.as_slice() else { return Err("not one target".into()) };
    assert_eq!(
        (target.target_id(), target.target_type(), target.status()),
        (Some("out"), Some("S3"), Some("Succeeded"))
    );
    let none = client.list_deploy_action_execution_targets().action_execution_id(id_of("Source")).send().await;
    assert!(none.expect_err("no deploy action").into_service_error().is_action_execution_not_found_exception());
    Ok(())
}

async fn webhooks(client: &Client) -> Result<(), Error> {
    let mut pipeline =
        declaration("hooked", [StageDeclaration::builder().name("Build").actions(commands("Run")?).build()?])?;
    // Only webhooks of GitHub's first action can be registered.
    let source = ActionDeclaration::builder()
        .name("Fetch")
        .action_type_id(kind(ActionCategory::Source, ActionOwner::ThirdParty, "GitHub")?)
        .configuration("Owner", "o")
        .configuration("Repo", "r")
        .configuration("Branch", "main")
        .configuration("OAuthToken", "a-token")
        .output_artifacts(OutputArtifact::builder().name("Code").build()?)
        .build()?;
    pipeline.stages[0].actions = vec![source];
    client.create_pipeline().pipeline(pipeline).send().await?;
    let hook = WebhookDefinition::builder()
        .name("hook")
        .target_pipeline("hooked")
        .target_action("Fetch")
        .filters(WebhookFilterRule::builder().json_path("$.ref").build()?)
        .authentication(WebhookAuthenticationType::GithubHmac)
        .authentication_configuration(WebhookAuthConfiguration::builder().secret_token("a-secret-token").build())
        .build()?;
    let put = client.put_webhook().webhook(hook).send().await?;
    let arn = put.webhook().and_then(|hook| hook.arn());
    assert_eq!(arn, Some("arn:aws:codepipeline:us-east-1:123456789012:webhook:hook"));
    client.register_webhook_with_third_party().webhook_name("hook").send().await?;
    let listed = client.list_webhooks().send().await?;
    let shown = listed.webhooks()[0].definition().and_then(|hook| hook.authentication_configuration());
    assert_eq!(shown.map(|shown| shown.secret_token()), Some(None), "the secret is not given back");
    client.deregister_webhook_with_third_party().webhook_name("hook").send().await?;
    client.delete_webhook().name("hook").send().await?;
    assert!(client.list_webhooks().send().await?.webhooks().is_empty());
    Ok(())
}

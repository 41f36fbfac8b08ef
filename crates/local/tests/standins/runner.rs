//! The runner: every provider finds its stand-in, what has none says so, and what runs can be ended.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::ports::{ActionReply, ActionRequest, ActionRunner};
use engine::Outcome;
use local::config::LocalConfig;
use local::runner::{LocalRunner, Unsupported, unsupported};
use model::{Category, Owner, Pipeline};

use super::action::{Declare, Place, failure, request};

fn ended(reply: ActionReply) -> Outcome {
    match reply {
        ActionReply::Ended(outcome) => *outcome,
        ActionReply::Pending { started, poll_at } => panic!("pending: {started:?} {poll_at:?}"),
    }
}

fn runner(place: &Place) -> Arc<LocalRunner> {
    Arc::new(LocalRunner::with(place.ctx.clone()))
}

fn commands(commands: &[&str]) -> ActionRequest {
    let mut request = request(Category::Compute, "Commands").input("Src");
    request.declaration.commands = commands.iter().map(|command| (*command).to_owned()).collect();
    request
}

/// Waits until a program has made a file.
async fn appears(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named(mut request: ActionRequest, name: &str) -> ActionRequest {
    request.action.key.name = name.into();
    request.declaration.name = name.into();
    request
}

#[tokio::test]
async fn every_provider_reaches_its_stand_in() {
    let place = Place::with("[bucket.out]\npath = 'out'\n[bucket.in]\npath = 'in'\n[function.f]\ncommand = ['true']\n");
    place.artifact("Src", &[("buildspec.yml", "version: 0.2\nphases: {build: {commands: ['true']}}")]).await;
    fs::create_dir(place.path().join("in")).unwrap();
    fs::write(place.path().join("in/x"), "x").unwrap();
    let runner = runner(&place);
    let check = request(Category::Rule, "VariableCheck").configure("Variable", "a").configure("Value", "a");
    let mut rule = commands(&["true"]);
    rule.declaration.action_type_id.category = Category::Rule;
    for (place, request) in [
        request(Category::Source, "S3").output("O", &[]).configure("S3Bucket", "in").configure("S3ObjectKey", "x"),
        request(Category::Build, "CodeBuild").input("Src").configure("ProjectName", "p"),
        request(Category::Test, "CodeBuild").input("Src").configure("ProjectName", "p"),
        request(Category::Rule, "CodeBuild").input("Src").configure("ProjectName", "p"),
        request(Category::Invoke, "Lambda").configure("FunctionName", "f"),
        request(Category::Rule, "LambdaInvoke").configure("FunctionName", "f"),
        request(Category::Deploy, "S3").input("Src").configure("BucketName", "out").configure("Extract", "true"),
        request(Category::Rule, "DeploymentWindow").configure("Cron", "* * * * * ?"),
        check.configure("Operator", "EQ"),
        commands(&["true"]),
        rule,
    ]
    .into_iter()
    .enumerate()
    {
        let action_type = request.declaration.action_type_id.clone();
        let outcome = ended(runner.start(named(request, &format!("a{place}"))).await);
        assert_eq!(outcome.error, None, "{action_type}");
    }
    let approval = runner.start(request(Category::Approval, "Manual")).await;
    assert!(matches!(approval, ActionReply::Pending { poll_at: None, .. }), "{approval:?}");
}

#[tokio::test]
async fn what_has_no_stand_in_fails_with_the_lines_to_add() {
    let place = Place::with("[provider.ECS]\nendpoint_url = 'aws'\n");
    let runner = runner(&place);
    let outcome = ended(runner.start(named(request(Category::Deploy, "CloudFormation"), "Stack")).await);
    let (code, message) = failure(&outcome);
    assert_eq!(code, "ConfigurationError");
    assert!(message.starts_with("nothing stands in for CloudFormation, which runs `Stack`"), "{message}");
    assert!(message.contains("penstock.toml:\n[provider.\"CloudFormation\"]\nendpoint_url = "), "{message}");
    let outcome = ended(runner.start(request(Category::Deploy, "ECS")).await);
    assert!(failure(&outcome).1.contains("at aws: this build has no client for ECS"), "{outcome:?}");
    let mut custom = request(Category::Build, "CodeBuild");
    custom.declaration.action_type_id.owner = Owner::Custom;
    assert_eq!(failure(&ended(runner.start(custom).await)).0, "ConfigurationError");
    let wrong = request(Category::Deploy, "Lambda");
    assert_eq!(failure(&ended(runner.start(wrong).await)).0, "ConfigurationError", "deploying a function is no call");
}

#[tokio::test]
async fn rules_decide_and_windows_are_waited_for() {
    let place = Place::new();
    let runner = runner(&place);
    let check = |value: &str| {
        let check = request(Category::Rule, "VariableCheck").configure("Variable", "main").configure("Operator", "EQ");
        check.configure("Value", value)
    };
    let outcome = ended(runner.start(check("dev")).await);
    assert_eq!(failure(&outcome), ("JobFailed", "the variable's value `main` is not equal to `dev`"));
    let wrong = check("main").configure("Operator", "LIKE");
    assert_eq!(failure(&ended(runner.start(wrong).await)).0, "ConfigurationError");

    let window = |cron: &str| request(Category::Rule, "DeploymentWindow").configure("Cron", cron);
    for reply in [runner.start(window("* * * ? * * 2199")).await, runner.poll(window("* * * ? * * 2199")).await] {
        let ActionReply::Pending { started, poll_at: Some(at) } = reply else { panic!("{reply:?}") };
        assert_eq!(at.to_iso_seconds(), "2199-01-01T00:00:00Z");
        assert_eq!(started.summary.as_deref(), Some("the window opens at 2199-01-01T00:00:00Z"));
    }
    assert_eq!(ended(runner.poll(window("* * * ? * *")).await).error, None);
    let past = ended(runner.start(window("* * * ? * * 1970")).await);
    assert_eq!(failure(&past), ("JobFailed", "the window never opens again"));
    let wrong = ended(runner.start(window("* *")).await);
    assert_eq!(failure(&wrong).0, "ConfigurationError");
}

#[tokio::test]
async fn what_runs_can_be_ended_and_what_does_not_is_no_matter() {
    let place = Place::new();
    place.artifact("Src", &[("a", "")]).await;
    let runner = runner(&place);
    let begun = place.path().join("begun");
    let request = commands(&[&format!("touch {}; sleep 600", begun.display())]);
    let (key, running) = (request.action.key.clone(), runner.clone());
    runner.end(&key).await;
    let task = tokio::spawn(async move { running.start(request).await });
    appears(&begun).await;
    runner.end(&key).await;
    let outcome = ended(task.await.unwrap());
    assert_eq!(failure(&outcome).0, "Stopped");
    runner.end(&key).await;
    place.assert_clean();
}

#[tokio::test]
async fn programs_beyond_the_limit_wait_and_can_be_ended_while_they_do() {
    let place = Place::with("[limits]\nprograms = 1\n");
    place.artifact("Src", &[("a", "")]).await;
    let (begun, gate) = (place.path().join("begun"), place.path().join("gate"));
    let runner = runner(&place);
    let spawn = |request: ActionRequest| {
        let runner = runner.clone();
        tokio::spawn(async move { ended(runner.start(request).await) })
    };
    let hold = format!("touch {}; until [ -e {} ]; do sleep 0.02; done", begun.display(), gate.display());
    let first_run = spawn(named(commands(&[&hold]), "first"));
    appears(&begun).await;
    let (second, third) = (named(commands(&["true"]), "second"), named(commands(&["true"]), "third"));
    let waits = "waiting: 1 programs run already";
    let mut tasks = vec![spawn(second.clone()), spawn(third.clone())];
    while !place.log(&second).contains(waits) || !place.log(&third).contains(waits) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    runner.end(&third.action.key).await;
    assert_eq!(failure(&tasks.pop().unwrap().await.unwrap()), ("Stopped", "the action was stopped before it began"));
    assert!(!tasks[0].is_finished());
    fs::write(&gate, "").unwrap();
    assert_eq!(first_run.await.unwrap().error, None);
    assert_eq!(tasks.pop().unwrap().await.unwrap().error, None);
}

#[tokio::test]
async fn fifty_programs_run_side_by_side() {
    let place = Place::new();
    place.artifact("Src", &[("a", "")]).await;
    let runner = runner(&place);
    // Each waits until all have come: fewer at a time would wait for ever.
    let meeting = place.path().join("meeting");
    fs::create_dir(&meeting).unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let at = meeting.display();
            let command = format!("touch {at}/{number}; until [ $(ls {at} | wc -l) -ge 50 ]; do sleep 0.1; done");
            let (runner, request) = (runner.clone(), named(commands(&[&command]), &format!("a{number}")));
            tokio::spawn(async move { ended(runner.start(request).await) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().error, None);
    }
}

const PIPELINE: &str = r##"{
  "name": "shop", "roleArn": "arn:aws:iam::123456789012:role/p",
  "artifactStore": {"type": "S3", "location": "b"},
  "stages": [
    {"name": "Source", "actions": [
      {"name": "Git", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}},
      {"name": "Gone", "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}},
      {"name": "Plain", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"}},
      {"name": "Object", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
       "configuration": {"S3Bucket": "objects"}},
      {"name": "Image", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "ECR", "version": "1"}}
    ]},
    {"name": "Work", "actions": [
      {"name": "Batch", "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
       "configuration": {"ProjectName": "any", "BatchEnabled": "true",
         "EnvironmentVariables": "[{\"name\":\"T\",\"value\":\"token:key\",\"type\":\"SECRETS_MANAGER\"},{\"name\":\"P\",\"value\":\"/known\",\"type\":\"PARAMETER_STORE\"}]"}},
      {"name": "Run", "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
       "configuration": {"EnvironmentType": "WINDOWS_SERVER_2022_CONTAINER"},
       "environmentVariables": [{"name": "S", "value": "other", "type": "SECRETS_MANAGER"}, {"name": "V", "value": "#{variables.s}", "type": "SECRETS_MANAGER"}]},
      {"name": "Call", "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
       "configuration": {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:notify"}},
      {"name": "Ask", "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}},
      {"name": "Put", "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
       "configuration": {"BucketName": "site", "Extract": "true"}},
      {"name": "Later", "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
       "configuration": {"BucketName": "#{variables.bucket}", "Extract": "true"}}
    ],
    "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [
      {"name": "Alarm", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"}},
      {"name": "Window", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow", "version": "1"},
       "configuration": {"Cron": "never"}},
      {"name": "Check", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
       "configuration": {"Variable": "#{variables.v}", "Value": "(", "Operator": "MATCHES"}}
    ]}]},
    "onFailure": {"conditions": [{"result": "ROLLBACK", "rules": [
      {"name": "Tell", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
       "configuration": {"FunctionName": "tell"}}
    ]}]}}
  ]
}"##;

fn summary(found: &[Unsupported]) -> Vec<String> {
    let line = |one: &Unsupported| format!("{} {}: {}", one.path, one.action, one.add.lines().next().unwrap_or("-"));
    found.iter().map(line).collect()
}

#[test]
fn all_that_cannot_run_is_known_beforehand() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("plain")).unwrap();
    let text =
        "[source.Gone]\npath = 'gone'\n[source.\"shop/Plain\"]\npath = 'plain'\n[secret.\"/known\"]\nvalue = 'x'\n";
    let config = LocalConfig::parse(&dir.path().join("penstock.toml"), text).unwrap();
    let pipeline: Pipeline = serde_json::from_str(PIPELINE).unwrap();
    let found = unsupported(&pipeline, &config);
    assert_eq!(
        summary(&found),
        [
            "stages[0].actions[0] Git: [source.\"Git\"]",
            "stages[0].actions[1] Gone: -",
            "stages[0].actions[2] Plain: -",
            "stages[0].actions[3] Object: [bucket.\"objects\"]",
            "stages[0].actions[4] Image: [provider.\"ECR\"]",
            "stages[1].actions[0] Batch: -",
            "stages[1].actions[0] Batch: [secret.\"token\"]",
            "stages[1].actions[1] Run: -",
            "stages[1].actions[1] Run: [secret.\"other\"]",
            "stages[1].actions[2] Call: [function.\"notify\"]",
            "stages[1].actions[4] Put: [bucket.\"site\"]",
            "stages[1].beforeEntry.conditions[0].rules[0] Alarm: [provider.\"CloudWatchAlarm\"]",
            "stages[1].beforeEntry.conditions[0].rules[1] Window: -",
            "stages[1].beforeEntry.conditions[0].rules[2] Check: -",
            "stages[1].onFailure.conditions[0].rules[0] Tell: [function.\"tell\"]",
        ]
    );
    let said = |place: usize| &found[place].what;
    assert!(said(1).ends_with("gone stands in for `Gone`, but it is not there"), "{}", said(1));
    assert!(said(2).ends_with("plain is no git repository"), "{}", said(2));
    assert!(said(5).contains("batch builds cannot be run here"), "{}", said(5));
    assert!(said(12).contains("has 1 fields"), "{}", said(12));

    // With all lines added, only what cannot be helped remains.
    let lines: Vec<&str> = found.iter().map(|one| one.add.as_str()).filter(|add| !add.is_empty()).collect();
    let whole = format!("{text}\n{}", lines.join("\n"));
    let config = LocalConfig::parse(&dir.path().join("penstock.toml"), &whole).unwrap();
    let left: Vec<Unsupported> = unsupported(&pipeline, &config);
    assert!(left.iter().all(|one| one.add.is_empty()), "{left:?}");
    // Of the secrets that the lines name no variable is set.
    let unset = left.iter().filter(|one| one.what.contains("which is not set")).count();
    assert_eq!(unset, 2, "{left:?}");
    let mut names: Vec<&str> = left.iter().map(|one| one.action.as_str()).collect();
    names.dedup();
    assert_eq!(names, ["Git", "Gone", "Plain", "Image", "Batch", "Run", "Alarm", "Window", "Check"]);
}

#[test]
fn a_lone_source_reads_the_repository_that_the_file_stands_in() {
    let mut pipeline: Pipeline = serde_json::from_str(PIPELINE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let git = std::process::Command::new("git").args(["init", "-q"]).current_dir(dir.path()).status().unwrap();
    assert!(git.success());
    fs::create_dir(dir.path().join("ci")).unwrap();
    let around = local::sources::Repository::around(&dir.path().join("ci")).unwrap();
    assert_eq!(around.path, dir.path());
    let mut config = LocalConfig::default();
    config.assume_source(&pipeline, &around.path);
    assert!(config.sources.is_empty(), "there are five");
    pipeline.stages[0].actions.truncate(1);
    config.assume_source(&pipeline, &around.path);
    assert_eq!(config.source("shop", "Git"), Some(dir.path()));
    assert_eq!(config.source("other", "Git"), None);
    let mut named = LocalConfig::parse(&dir.path().join("penstock.toml"), "[source.Git]\npath = 'x'").unwrap();
    named.assume_source(&pipeline, &around.path);
    assert_eq!(named.source("shop", "Git"), Some(dir.path().join("x").as_path()), "what is named stays");
}

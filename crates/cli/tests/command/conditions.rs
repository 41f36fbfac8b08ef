//! What people are told of a stage that its condition failed or skipped.

use serde_json::{Value, json};

use super::run::{commands, pipeline, project};
use super::serve::Server;
use super::support::run;

/// A rule of Commands.
fn rule(name: &str, command: &str) -> Value {
    json!({
        "name": name, "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "Commands", "version": "1"},
        "commands": [command], "inputArtifacts": [{"name": "Source"}]
    })
}

fn window(cron: &str) -> Value {
    json!({
        "name": "Hours", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow", "version": "1"},
        "configuration": {"Cron": cron, "TimeZone": "UTC"}
    })
}

/// A stage Build behind this condition.
fn conditional(slot: &str, result: &str, rule: &Value) -> Value {
    let mut declared = pipeline(&[("Build", &[commands("Compile", &["true"])])]);
    declared["stages"][1][slot] = json!({"conditions": [{"result": result, "rules": [rule]}]});
    declared
}

#[test]
fn a_run_says_which_condition_failed_its_stage_and_why() {
    let says_no = rule("Gate", "echo nope; exit 9");
    let past = window("0 0 0 1 1 ? 2020");
    for (slot, result, rule, needed) in [
        ("beforeEntry", "FAIL", &says_no, ["rule Gate: JobFailed: the command", "nope\n", "the whole output: "]),
        ("onSuccess", "FAIL", &says_no, ["rule Gate: JobFailed: the command", "nope\n", "Build.ON_SUCCESS.Gate.1.log"]),
        ("onSuccess", "ROLLBACK", &says_no, ["exit status 9", "nope\n", "the whole output: "]),
        ("beforeEntry", "FAIL", &past, ["rule Hours: JobFailed: the window never opens again", "what to do: ", ""]),
    ] {
        let mut declared = conditional(slot, result, rule);
        if result == "ROLLBACK" {
            let last = json!({"name": "Last", "actions": [commands("Ship", &["true"])]});
            declared["stages"].as_array_mut().unwrap().push(last);
        }
        let dir = project(&declared);
        let ended = run(dir.path(), &["run", "pipeline.json"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (1, ""), "{}", ended.stdout);
        let title = format!("\nBuild: its {slot} condition Failed\n");
        for needed in needed.iter().copied().chain([title.as_str()]) {
            assert!(ended.stdout.contains(needed), "{needed:?} is missing in:\n{}", ended.stdout);
        }
    }
}

#[test]
fn a_skipped_stage_is_told_as_skipped() {
    let check = json!({
        "name": "Gate", "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
        "configuration": {"Variable": "#{codepipeline.PipelineExecutionId}", "Operator": "EQ", "Value": "never"}
    });
    let dir = project(&conditional("beforeEntry", "SKIP", &check));
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for needed in [" Build Skipped\n", "Build: its beforeEntry condition Failed; the stage was skipped\n", "1 skipped"]
    {
        assert!(ended.stdout.contains(needed), "{needed:?} is missing in:\n{}", ended.stdout);
    }
}

#[test]
fn a_condition_that_holds_is_not_told_of() {
    let dir = project(&conditional("beforeEntry", "FAIL", &rule("Gate", "true")));
    let ended = run(dir.path(), &["run", "pipeline.json"]);
    assert!(ended.code == 0 && !ended.stdout.contains("condition"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn why_an_execution_failed_names_the_action_and_no_condition_that_did_not_fail_it() {
    let mut declared = conditional("onFailure", "ROLLBACK", &rule("Gate", "false"));
    declared["stages"][1]["actions"][0]["commands"] = json!(["exit 4"]);
    let server = Server::start(project(&declared));
    assert_eq!(server.run(&["create", "pipeline.json"]).code, 0);
    server.until(&["history", "web"], "Failed");
    let why = server.run(&["why", "web"]).stdout;
    assert!(why.contains("Failed: the command `exit 4` failed with exit status 4\n"), "{why}");
    assert!(why.contains("Build: its onFailure condition Failed, and its result did not apply: Gate"), "{why}");
}

#[test]
fn the_client_shows_conditions_and_their_rules() {
    let server = Server::start(project(&conditional("beforeEntry", "FAIL", &rule("Gate", "echo nope; exit 9"))));
    assert_eq!(server.run(&["create", "pipeline.json"]).code, 0);
    server.until(&["history", "web"], "Failed");
    let state = server.run(&["state", "web"]).stdout;
    assert!(state.contains("  beforeEntry  Failed") && state.contains("Gate: the command"), "{state}");
    let why = server.run(&["why", "web"]).stdout;
    assert!(why.contains("Build: its beforeEntry condition Failed: Gate: the command"), "{why}");
    let watched = server.run(&["watch", "web"]).stdout;
    assert!(watched.contains("Build: its beforeEntry condition Failed: Gate: the command"), "{watched}");
    for args in [&["logs", "web"][..], &["logs", "web", "Build/Gate"]] {
        let logs = server.run(args).stdout;
        assert!(logs.contains("nope\n"), "{logs}");
    }
    assert!(server.run(&["logs", "web"]).stdout.contains("== Build/rule Gate Failed\n"));
    let id = server.json(&["history", "web"])["pipelineExecutionSummaries"][0]["pipelineExecutionId"].clone();
    let history = server.run(&["history", "web", id.as_str().unwrap()]).stdout;
    let [_, source, gate] = history.lines().collect::<Vec<_>>()[..] else { panic!("{history}") };
    assert!(source.starts_with("Source  Checkout"), "{history}");
    assert!(gate.starts_with("Build   rule Gate  Failed") && gate.contains("exit status 9"), "{history}");
}

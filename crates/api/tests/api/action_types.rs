//! Action types: built-in, custom and partners', and pipelines checked against them.

use serde_json::{Value, json};

use super::server::{Server, code, declaration, server};

fn builder(version: &str, most: u32) -> Value {
    json!({
        "category": "Build", "provider": "Builder", "version": version,
        "configurationProperties": [
            { "name": "Project", "required": true, "key": true, "secret": false },
            { "name": "Depth", "required": false, "key": false, "secret": false, "type": "Number" },
        ],
        "inputArtifactDetails": { "minimumCount": 0, "maximumCount": most },
        "outputArtifactDetails": { "minimumCount": 0, "maximumCount": 1 },
        "tags": [{ "key": "team", "value": "ci" }],
    })
}

fn named(version: &str) -> Value {
    json!({ "category": "Build", "provider": "Builder", "version": version })
}

async fn listed(server: &Server, input: Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut input = input;
    loop {
        let page = server.call("ListActionTypes", input.clone()).await.unwrap();
        all.extend(page["actionTypes"].as_array().unwrap().clone());
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn custom_types_are_made_listed_and_deleted() {
    let server = server();
    let made = server.call("CreateCustomActionType", builder("1", 2)).await.unwrap();
    let id = json!({ "category": "Build", "owner": "Custom", "provider": "Builder", "version": "1" });
    assert_eq!(made["actionType"]["id"], id);
    assert_eq!(made["actionType"]["inputArtifactDetails"], json!({ "minimumCount": 0, "maximumCount": 2 }));
    assert_eq!(made["tags"], json!([{ "key": "team", "value": "ci" }]));
    assert_eq!(server.call("CreateCustomActionType", builder("1", 2)).await.unwrap(), made, "the same once more");
    let other = server.call("CreateCustomActionType", builder("1", 3)).await;
    assert_eq!(code(other), "ActionTypeAlreadyExistsException");
    let custom = listed(&server, json!({ "actionOwnerFilter": "Custom" })).await;
    assert!(custom.iter().all(|known| known["id"]["owner"] == "Custom"));
    let found = custom.iter().find(|known| known["id"] == id).unwrap();
    assert_eq!(found["actionConfigurationProperties"][1]["type"], "Number");
    assert!(listed(&server, json!({ "regionFilter": "us-east-1" })).await.iter().all(|known| known["id"] != id));
    assert!(listed(&server, json!({ "regionFilter": "eu-west-1" })).await.iter().any(|known| known["id"] == id));

    server.call("DeleteCustomActionType", named("1")).await.unwrap();
    assert_eq!(server.call("DeleteCustomActionType", named("1")).await, Ok(Value::Null), "gone is gone");
    assert!(listed(&server, json!({})).await.iter().all(|known| known["id"] != id));
    let other = server.call("CreateCustomActionType", builder("1", 3)).await.unwrap_err();
    assert_eq!(other.0, "ValidationException");
    assert!(other.1.contains("was deleted"), "{}", other.1);
    server.call("CreateCustomActionType", builder("1", 2)).await.unwrap();
    server.call("CreateCustomActionType", builder("2", 3)).await.unwrap();
}

#[tokio::test]
async fn every_built_in_type_is_listed() {
    let server = server();
    let all = listed(&server, json!({})).await;
    assert_eq!(all.len(), 41);
    let build = all.iter().find(|known| known["id"]["provider"] == "CodeBuild" && known["id"]["category"] == "Build");
    let build = build.unwrap();
    assert_eq!(build["inputArtifactDetails"]["minimumCount"], 1);
    let project = &build["actionConfigurationProperties"][0];
    assert_eq!(
        (&project["name"], &project["required"], &project["secret"]),
        (&json!("ProjectName"), &json!(true), &json!(false))
    );
    let github = all.iter().find(|known| known["id"]["provider"] == "GitHub").unwrap();
    let token = github["actionConfigurationProperties"].as_array().unwrap().iter().find(|p| p["name"] == "OAuthToken");
    assert_eq!(token.unwrap()["secret"], true);
    let rules = server.call("ListRuleTypes", json!({ "ruleOwnerFilter": "AWS" })).await.unwrap();
    let mut names: Vec<_> =
        rules["ruleTypes"].as_array().unwrap().iter().map(|r| r["id"]["provider"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(
        json!(names),
        json!(["CloudWatchAlarm", "CodeBuild", "Commands", "DeploymentWindow", "LambdaInvoke", "VariableCheck"])
    );
    let wrong = server.call("ListActionTypes", json!({ "nextToken": "bm90aGluZw" })).await;
    assert_eq!(code(wrong), "InvalidNextTokenException");
}

#[tokio::test]
async fn definitions_that_contradict_themselves_are_refused() {
    let server = server();
    let mut counts = builder("1", 2);
    counts["inputArtifactDetails"] = json!({ "minimumCount": 3, "maximumCount": 1 });
    let mut twice = builder("1", 2);
    twice["configurationProperties"][1]["name"] = json!("Project");
    let mut queryable = builder("1", 2);
    queryable["configurationProperties"][0]["queryable"] = json!(true);
    queryable["configurationProperties"][1]["queryable"] = json!(true);
    let mut optional = builder("1", 2);
    optional["configurationProperties"][1]["queryable"] = json!(true);
    for wrong in [counts, twice, queryable, optional] {
        assert_eq!(code(server.call("CreateCustomActionType", wrong).await), "ValidationException");
    }
}

#[tokio::test]
async fn there_are_at_most_fifty() {
    let server = server();
    for version in 0..50 {
        server.call("CreateCustomActionType", builder(&version.to_string(), 2)).await.unwrap();
    }
    assert_eq!(code(server.call("CreateCustomActionType", builder("50", 2)).await), "LimitExceededException");
    assert_eq!(listed(&server, json!({})).await.len(), 91, "over two pages");
    server.call("DeleteCustomActionType", named("0")).await.unwrap();
    server.call("CreateCustomActionType", builder("50", 2)).await.unwrap();
}

#[tokio::test]
async fn pipelines_are_checked_against_custom_types() {
    let server = server();
    let with = |configuration: Value, outputs: Value| {
        let mut pipeline = declaration("release");
        pipeline["stages"][1] = json!({ "name": "Build", "actions": [{
            "name": "Make", "configuration": configuration, "outputArtifacts": outputs,
            "actionTypeId": { "category": "Build", "owner": "Custom", "provider": "Builder", "version": "1" } }] });
        json!({ "pipeline": pipeline })
    };
    let good = with(json!({ "Project": "web", "Depth": "#{Fetched.CommitId}" }), json!([]));
    let unknown = server.call("CreatePipeline", good.clone()).await.unwrap_err();
    assert_eq!(unknown.0, "InvalidActionDeclarationException");
    assert!(unknown.1.contains("is not available in region EU_WEST_1"), "{}", unknown.1);
    server.call("CreateCustomActionType", builder("1", 2)).await.unwrap();
    let wrong = with(json!({ "Depth": "deep", "Other": "x" }), json!([{ "name": "A" }, { "name": "B" }]));
    let wrong = server.call("CreatePipeline", wrong).await.unwrap_err();
    assert_eq!(wrong.0, "InvalidActionDeclarationException");
    for part in [
        "$.stages[1].actions[0]: action 'Make' has 2 output artifacts; its type takes 0 to 1",
        "is missing required configuration 'Project'",
        "configuration 'Depth' of action 'Make' must be a Number",
        "has the unknown configuration key 'Other'",
    ] {
        assert!(wrong.1.contains(part), "{part}: {}", wrong.1);
    }
    server.call("CreatePipeline", good.clone()).await.unwrap();
    server.call("UpdatePipeline", good).await.unwrap();
    assert_eq!(
        code(server.call("UpdatePipeline", with(json!({}), json!([]))).await),
        "InvalidActionDeclarationException"
    );
}

#[tokio::test]
async fn partners_types_are_looked_at_and_changed() {
    let server = server();
    let id = json!({ "category": "Invoke", "owner": "ThirdParty", "provider": "Snyk", "version": "1" });
    let found = server.call("GetActionType", id.clone()).await.unwrap();
    assert_eq!(found["actionType"]["id"], id);
    assert_eq!(found["actionType"]["executor"]["type"], "JobWorker");
    let new = json!({
        "id": id, "description": "Scans",
        "executor": { "type": "JobWorker", "configuration": { "jobWorkerExecutorConfiguration": { "pollingAccounts": ["111122223333"] } } },
        "inputArtifactDetails": { "minimumCount": 1, "maximumCount": 1 },
        "outputArtifactDetails": { "minimumCount": 0, "maximumCount": 1 },
        "properties": [{ "name": "Level", "optional": false, "key": true, "noEcho": false }],
    });
    assert_eq!(server.call("UpdateActionType", json!({ "actionType": new })).await, Ok(Value::Null));
    assert_eq!(server.call("GetActionType", id.clone()).await.unwrap()["actionType"], new);
    let shown = listed(&server, json!({ "actionOwnerFilter": "ThirdParty" })).await;
    let shown = shown.iter().find(|known| known["id"] == id).unwrap();
    assert_eq!(shown["actionConfigurationProperties"][0]["required"], true);
    let mut lambda = new.clone();
    lambda["executor"]["type"] = json!("Lambda");
    assert_eq!(code(server.call("UpdateActionType", json!({ "actionType": lambda })).await), "ValidationException");
    let mut unknown = new.clone();
    unknown["id"]["provider"] = json!("Nobody");
    assert_eq!(
        code(server.call("UpdateActionType", json!({ "actionType": unknown })).await),
        "ActionTypeNotFoundException"
    );
    assert_eq!(code(server.call("GetActionType", unknown["id"].clone()).await), "ActionTypeNotFoundException");
    let mut own = new;
    own["id"] = json!({ "category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1" });
    assert_eq!(code(server.call("UpdateActionType", json!({ "actionType": own })).await), "RequestFailedException");
}

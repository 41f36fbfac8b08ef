//! `penstock audit`, and policies that a server is given.

use super::run::{approval, pipeline, project};
use super::serve::Server;
use super::support::{files, run, scratch};

const ME: &str = "arn:aws:iam::123456789012:user/default";

#[test]
fn changes_and_refusals_are_shown() {
    let server = Server::start(project(&pipeline(&[("Gate", &[approval("SignOff")])])));
    assert!(server.run(&["audit"]).stdout.contains("nobody has changed anything yet"));
    assert_eq!(server.run(&["create", "pipeline.json"]).code, 0);
    assert_eq!(server.run(&["start", "nobody"]).code, 1);
    let all = server.json(&["audit"]);
    let names: Vec<_> = all["records"].as_array().unwrap().iter().map(|record| &record["eventName"]).collect();
    assert_eq!(names, ["StartPipelineExecution", "CreatePipeline"]);
    assert_eq!(all["records"][1]["userIdentity"]["arn"], ME);
    let shown = server.run(&["audit"]).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("WHEN"), "{shown}");
    for part in ["user/default", "StartPipelineExecution", "nobody", "127.0.0.1", "PipelineNotFoundException"] {
        assert!(lines[1].contains(part), "{part}: {shown}");
    }
    assert!(lines[2].contains("CreatePipeline") && lines[2].contains("web") && lines[2].contains("ok"), "{shown}");
    let refused = server.json(&["audit", "--refused", "--limit", "1"]);
    assert_eq!(refused["records"].as_array().unwrap().len(), 1);
    let none = server.run(&["audit", "--operation", "DeletePipeline"]).stdout;
    assert!(none.contains("nobody has changed anything yet"), "{none}");
}

#[test]
fn a_server_keeps_to_the_policies_beside_its_data() {
    let dir = project(&pipeline(&[("Gate", &[approval("SignOff")])]));
    let policies = format!(
        "permit (principal == Principal::\"{ME}\", action, resource);\n\
         forbid (principal, action == Action::\"codepipeline:CreatePipeline\", resource);\n"
    );
    files(dir.path(), &[(".penstock/policies.cedar", &policies)]);
    let server = Server::start(dir);
    let refused = server.run(&["create", "pipeline.json"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let arn = "arn:aws:codepipeline:us-east-1:123456789012:web";
    let told = format!("User: {ME} is not authorized to perform: codepipeline:CreatePipeline on resource: {arn}");
    assert!(refused.stderr.contains(&told), "{refused:?}");
    assert_eq!(server.run(&["pipelines"]).code, 0);
}

#[test]
fn wrong_policies_are_found_before_anything_is_served() {
    let dir = scratch();
    files(dir.path(), &[("wrong.cedar", "permit (principal, action == Action::\"codepipeline:Strat\", resource);\n")]);
    let refused = run(dir.path(), &["serve", "--listen", "127.0.0.1:0", "--policies", "wrong.cedar"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("wrong.cedar: ") && refused.stderr.contains("codepipeline:Strat"), "{refused:?}");
}

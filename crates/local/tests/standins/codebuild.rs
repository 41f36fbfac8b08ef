//! CodeBuild actions, with real shells.

use control::ports::ActionRequest;
use engine::Outcome;
use local::buildspec::run_codebuild;
use local::process::CancellationToken;
use model::Category;

use super::action::{Declare, Place, assert_succeeded, failure, request};

fn build(buildspec: &str) -> ActionRequest {
    request(Category::Build, "CodeBuild")
        .configure("ProjectName", "shop-build")
        .configure("BuildspecOverride", buildspec)
        .input("Source")
}

async fn run(place: &Place, request: &ActionRequest) -> Outcome {
    let outcome = run_codebuild(&place.ctx, request, &CancellationToken::new()).await;
    place.assert_clean();
    outcome
}

/// The output without Penstock's own lines.
fn output(place: &Place, request: &ActionRequest) -> Vec<String> {
    place.log(request).lines().filter(|line| !line.starts_with("[penstock]")).map(String::from).collect()
}

async fn place() -> Place {
    let place = Place::new();
    place.artifact("Source", &[("main.txt", "source\n")]).await;
    place
}

/// Which commands ran for phases given as (name, its first command's exit status, on-failure): each phase's command says
/// its name and whether the build is succeeding, its `finally` says the name in capitals.
async fn course(phases: &[(&str, i32, &str)]) -> (bool, String) {
    let place = place().await;
    let mut text = "version: 0.2\nphases:\n".to_owned();
    for (name, status, on_failure) in phases {
        text += &format!("  {name}:\n");
        if !on_failure.is_empty() {
            text += &format!("    on-failure: {on_failure}\n");
        }
        let (small, large) = (&name[..1], name[..1].to_uppercase());
        text += &format!(
            "    commands:\n      - echo {small}$CODEBUILD_BUILD_SUCCEEDING\n      - exit {status}\n      - echo {small}+\n"
        );
        text += &format!("    finally:\n      - echo {large}$CODEBUILD_BUILD_SUCCEEDING\n");
    }
    let request = build(&text);
    let outcome = run(&place, &request).await;
    (outcome.error.is_none(), output(&place, &request).join(" "))
}

#[tokio::test]
async fn after_a_failure_phases_run_as_codebuild_says() {
    let good = |name| (name, 0, "");
    for (phases, expected) in [
        (vec![good("install"), good("build"), good("post_build")], (true, "i1 i+ I1 b1 b+ B1 p1 p+ P1")),
        (vec![("install", 1, ""), good("build"), good("post_build")], (false, "i1 I0")),
        (vec![("pre_build", 1, ""), good("build"), good("post_build")], (false, "p1 P0")),
        (vec![good("pre_build"), ("build", 1, ""), good("post_build")], (false, "p1 p+ P1 b1 B0 p0 p+ P0")),
        (vec![("build", 1, "ABORT"), good("post_build")], (false, "b1 B0")),
        (vec![("install", 1, "CONTINUE"), good("build"), good("post_build")], (false, "i1 I0 b0 b+ B0 p0 p+ P0")),
        (vec![("build", 1, "CONTINUE"), good("post_build")], (false, "b1 B0 p0 p+ P0")),
        (vec![good("build"), ("post_build", 1, "")], (false, "b1 b+ B1 p1 P0")),
        (vec![("build", 1, "RETRY-2"), good("post_build")], (false, "b1 B0 b1 B0 b1 B0 p0 p+ P0")),
    ] {
        let (succeeded, ran) = course(&phases).await;
        assert_eq!((succeeded, ran.as_str()), expected, "{phases:?}");
    }
}

#[tokio::test]
async fn a_phase_that_succeeds_when_run_again_is_no_failure() {
    let place = place().await;
    let text = "version: 0.2\nphases:\n  build:\n    on-failure: RETRY-3\n    commands:\n      - COUNT=$((COUNT + 1)); echo try $COUNT\n      - test $COUNT -eq 3\n  post_build:\n    commands:\n      - echo $CODEBUILD_BUILD_SUCCEEDING\n";
    let request = build(text);
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(output(&place, &request), ["try 1", "try 2", "try 3", "1"]);
}

#[tokio::test]
async fn a_failing_finally_fails_its_phase_and_the_first_failure_is_named() {
    let place = place().await;
    let text =
        "version: 0.2\nphases:\n  build:\n    commands: ['true']\n    finally: ['sh -c \"exit 3\"', echo never]\n";
    let outcome = run(&place, &build(text)).await;
    assert!(failure(&outcome).1.starts_with("the command `sh -c \"exit 3\"` failed with exit status 3"));
    let text = "version: 0.2\nphases:\n  build:\n    commands: [exit 4]\n    finally: [exit 5]\n  post_build:\n    commands: [exit 6]\n";
    let outcome = run(&place, &build(text)).await;
    assert!(failure(&outcome).1.starts_with("the command `exit 4` failed with exit status 4"), "{:?}", outcome.error);
}

#[tokio::test]
async fn the_session_goes_on_from_phase_to_phase() {
    let place = place().await;
    for (shell, expected) in [("/bin/sh", "no"), ("bash", "yes")] {
        let text = format!(
            "version: 0.2\nenv:\n  shell: {shell}\nphases:\n  pre_build:\n    commands:\n      - TAG=v1\n      - mkdir -p deep\n      - cd deep\n  build:\n    commands:\n      - echo $TAG $(basename $PWD)\n      - |\n        if [ -n \"$BASH_VERSION\" ]; then\n          echo yes\n        else\n          echo no\n        fi\n      - \"echo colon: here\"\n"
        );
        let request = build(&text);
        assert_succeeded(&run(&place, &request).await);
        let lines = output(&place, &request);
        let lines = &lines[lines.len() - 3..];
        if shell == "bash" {
            assert_eq!(lines, ["v1 deep", expected, "colon: here"]);
        } else {
            // Which shell `/bin/sh` is differs from system to system.
            assert_eq!((lines[0].as_str(), lines[2].as_str()), ("v1 deep", "colon: here"));
        }
    }
}

#[tokio::test]
async fn the_buildspec_is_found_where_codebuild_looks() {
    let say = |word: &str| format!("version: 0.2\nphases: {{build: {{commands: [echo {word}]}}}}\n");
    let place =
        Place::with("[project.beside]\nbuildspec = \"local.yml\"\n[project.inside]\nbuildspec = \"ci/project.yml\"\n");
    std::fs::write(place.path().join("local.yml"), say("beside")).unwrap();
    let files = [("buildspec.yml", say("usual")), ("ci/project.yml", say("project")), ("ci/action.yml", say("action"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    place.artifact("Source", &files).await;
    for (project, given, expected) in [
        ("unknown", None, "usual"),
        ("unknown", Some(""), "usual"),
        ("inside", None, "project"),
        ("beside", None, "beside"),
        ("inside", Some("ci/action.yml"), "action"),
        ("inside", Some("{\"version\":0.2,\"phases\":{\"build\":{\"commands\":[\"echo inline\"]}}}"), "inline"),
    ] {
        let mut request = build(given.unwrap_or_default()).configure("ProjectName", project);
        if given.is_none() {
            request.declaration.configuration.remove("BuildspecOverride");
        }
        assert_succeeded(&run(&place, &request).await);
        assert_eq!(output(&place, &request).last().unwrap(), expected, "{project} {given:?}");
    }
    for missing in ["no.yml", "../data/x", "arn:aws:s3:::bucket/buildspec.yml", "version: 0.1"] {
        assert_eq!(failure(&run(&place, &build(missing)).await).0, "ConfigurationError", "{missing}");
    }
    for near in ["Buildspec.yml", "buildspec.yaml"] {
        let outcome = run(&place, &build(near)).await;
        let expected = format!("there is no file {near} in the source; did you mean buildspec.yml?");
        assert!(failure(&outcome).1.ends_with(&expected), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_actions_variables_win_over_the_projects_and_these_over_the_buildspecs() {
    let place = Place::with(
        "[project.shop-build]\nenvironment = { B = \"project\", C = \"project\" }\n[secret.\"/shop/password\"]\nvalue = \"open-sesame\"\n",
    );
    place.artifact("Source", &[("a", "")]).await;
    let text = "version: 0.2\nenv:\n  variables: {A: spec, B: spec, C: spec}\n  parameter-store: {PASSWORD: /shop/password}\n  exported-variables: [A, B, C, PASSWORD, UNSET, LATE, COPY]\nphases:\n  build:\n    commands:\n      - echo $A $B $C $PASSWORD\n      - LATE=set; COPY=\"say $PASSWORD\"\n";
    let request = build(text).configure(
        "EnvironmentVariables",
        r#"[{"name":"C","value":"action"},{"name":"D","value":"d","type":"PLAINTEXT"}]"#,
    );
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert_eq!(output(&place, &request), ["spec project action ***"]);
    let exported: Vec<(&str, &str)> =
        outcome.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(exported, [("A", "spec"), ("B", "project"), ("C", "action"), ("LATE", "set")]);
    assert!(place.log(&request).contains("the exported variable COPY holds a secret and is not handed on"));
}

#[tokio::test]
async fn the_source_directory_is_a_base_directory_too() {
    let place = place().await;
    for base in ["$CODEBUILD_SRC_DIR", "${CODEBUILD_SRC_DIR}", "${CODEBUILD_SRC_DIR}/"] {
        let text = format!(
            "version: 0.2\nartifacts:\n  files: ['*']\n  base-directory: {base}\nphases:\n  build:\n    commands: [echo]\n"
        );
        let outcome = run(&place, &build(&text).output("Out", &[])).await;
        assert_succeeded(&outcome);
    }
    assert_eq!(place.output("Out"), [("main.txt".into(), "source\n".into())].into());
}

#[tokio::test]
async fn a_secret_in_an_artifacts_path_is_hidden_in_what_is_said_of_it() {
    let place = Place::with("[secret.password]\nvalue = \"open-sesame\"\n");
    place.artifact("Source", &[("a", "")]).await;
    let text = "version: 0.2\nenv:\n  parameter-store: {PASSWORD: password}\nphases:\n  build:\n    commands: [\"true\"]\nartifacts:\n  files: [\"out/$PASSWORD\"]\n";
    let outcome = run(&place, &build(text).output("Out", &[])).await;
    assert!(failure(&outcome).1.ends_with("no file matches out/***"), "{outcome:?}");
}

#[tokio::test]
async fn variables_that_cannot_be_given_are_configuration_errors() {
    let place = place().await;
    let text = "version: 0.2\nphases: {build: {commands: ['true']}}\n";
    for (variables, expected) in [
        ("[{\"name\":\"A\"}]", "missing field `value`"),
        ("{}", "EnvironmentVariables"),
        ("[{\"name\":\"A\",\"value\":\"x\",\"type\":\"SECRET\"}]", "has the type \"SECRET\""),
        ("[{\"name\":\"A\",\"value\":\"x\",\"typ\":\"PLAINTEXT\"}]", "unknown field `typ`"),
        ("[{\"name\":\"A\",\"value\":\"nothing\",\"type\":\"PARAMETER_STORE\"}]", "[secret.\"nothing\"]"),
    ] {
        let outcome = run(&place, &build(text).configure("EnvironmentVariables", variables)).await;
        let (code, message) = failure(&outcome);
        assert!(code == "ConfigurationError" && message.contains(expected), "{variables}: {message}");
    }
}

#[tokio::test]
async fn a_build_knows_itself_and_its_sources() {
    let place = place().await;
    place.artifact("Extra", &[("x", "extra\n")]).await;
    let text = "version: 0.2\nphases:\n  build:\n    commands:\n      - cat x $CODEBUILD_SRC_DIR_Source/main.txt\n      - echo $CODEBUILD_BUILD_NUMBER $CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_SOURCE_VERSION\n      - echo $CODEBUILD_BUILD_ID $CODEBUILD_BUILD_ARN $CODEBUILD_INITIATOR\n";
    let mut request = build(text).input("Extra").configure("PrimarySource", "Extra");
    request.input_revisions.insert("Extra".into(), "abc123".into());
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    let id = format!("shop-build:{}", request.action.id);
    assert_eq!(outcome.external_id.as_deref(), Some(id.as_str()));
    let lines = output(&place, &request);
    assert_eq!(lines[..3], ["extra", "source", "1 abc123 arn:aws:s3:::bucket/in/Extra"]);
    assert_eq!(lines[3], format!("{id} arn:aws:codebuild:eu-west-1:123456789012:build/{id} codepipeline/shop"));
    assert_succeeded(&run(&place, &request).await);
    assert!(output(&place, &request).iter().any(|line| line.starts_with("2 abc123")), "builds are numbered");

    request.declaration.configuration.remove("PrimarySource");
    assert!(failure(&run(&place, &request).await).1.contains("PrimarySource: is missing; name one of Source, Extra"));
    let outcome = run(&place, &request.configure("PrimarySource", "Other")).await;
    assert!(failure(&outcome).1.contains("Other is none of its inputs"));
}

#[tokio::test]
async fn artifacts_are_taken_as_the_buildspec_says() {
    let place = place().await;
    let text = "version: 0.2\nphases:\n  build:\n    commands:\n      - OUT=dist; mkdir -p dist/sub\n      - echo 1 > dist/a; echo 2 > dist/sub/b; echo 3 > dist/b.map; ln -s a dist/link\nartifacts:\n  files: ['**/*']\n  base-directory: $OUT\n  exclude-paths: ['**/*.map']\n";
    let outcome = run(&place, &build(text).output("Built", &[])).await;
    assert_succeeded(&outcome);
    let files: Vec<(String, String)> = place.output("Built").into_iter().collect();
    let expected = [("a", "1\n"), ("link", "1\n"), ("sub/b", "2\n")];
    assert_eq!(files, expected.map(|(name, content)| (name.to_owned(), content.to_owned())));
}

#[tokio::test]
async fn several_outputs_are_the_secondary_artifacts_of_their_names() {
    let place = place().await;
    let text = "version: 0.2\nphases: {build: {commands: [echo 1 > a; echo 2 > b]}}\nartifacts:\n  files: ['**/*']\n  secondary-artifacts:\n    First: {files: [a]}\n    Second: {files: [b]}\n";
    let outcome = run(&place, &build(text).output("Second", &[]).output("First", &[])).await;
    assert_succeeded(&outcome);
    let names: Vec<&str> = outcome.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["Second", "First"]);
    assert_eq!(place.output("First").into_iter().collect::<Vec<_>>(), [("a".to_owned(), "1\n".to_owned())]);
    assert_eq!(place.output("Second").into_iter().collect::<Vec<_>>(), [("b".to_owned(), "2\n".to_owned())]);
    let outcome = run(&place, &build(text).output("First", &[]).output("Third", &[])).await;
    assert!(failure(&outcome).1.contains("artifacts/secondary-artifacts/Third is missing"), "{:?}", outcome.error);
}

#[tokio::test]
async fn batch_builds_are_refused() {
    let place = place().await;
    let text = "version: 0.2\nphases: {build: {commands: ['true']}}\n";
    let outcome = run(&place, &build(text).configure("BatchEnabled", "true")).await;
    let (code, message) = failure(&outcome);
    assert!(code == "ConfigurationError" && message.contains("BatchEnabled"), "{message}");
    assert_succeeded(&run(&place, &build(text).configure("BatchEnabled", "false")).await);
}

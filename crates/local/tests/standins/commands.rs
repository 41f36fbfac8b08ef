//! Commands actions and rules, with real shells.

use std::time::Duration;

use control::ports::{ActionRequest, Artifacts};
use engine::{Outcome, Slot};
use local::commands::run_commands;
use local::process::CancellationToken;
use model::{Category, ConditionSlot, Timestamp};

use super::action::{Declare, Place, assert_succeeded, failure, request};

fn commands(commands: &[&str]) -> ActionRequest {
    let mut request = request(Category::Compute, "Commands");
    request.declaration.commands = commands.iter().map(|command| (*command).to_owned()).collect();
    request
}

fn wanting(mut request: ActionRequest, variables: &[&str]) -> ActionRequest {
    request.declaration.output_variables = variables.iter().map(|name| (*name).to_owned()).collect();
    request
}

async fn run(place: &Place, request: &ActionRequest) -> Outcome {
    let outcome = run_commands(&place.ctx, request, &CancellationToken::new()).await;
    place.assert_clean();
    outcome
}

/// The output without Penstock's own lines.
fn output(place: &Place, request: &ActionRequest) -> Vec<String> {
    place.log(request).lines().filter(|line| !line.starts_with("[penstock]")).map(String::from).collect()
}

#[tokio::test]
async fn what_a_command_sets_and_where_it_goes_holds_for_the_next() {
    let place = Place::new();
    place.artifact("Source", &[("app/main.txt", "hello\n")]).await;
    let request = commands(&[
        "cd app",
        "cat main.txt",
        "export EXPORTED=1; PLAIN=2",
        "greet() { echo \"greetings $1\"; }",
        "greet \"$EXPORTED$PLAIN\"",
        "pwd | sed \"s|$CODEBUILD_SRC_DIR||\"",
    ])
    .input("Source");
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(output(&place, &request), ["hello", "greetings 12", "/app"]);
}

#[tokio::test]
async fn the_first_command_that_fails_ends_the_session_and_is_named() {
    let place = Place::new();
    let request = commands(&["echo before", "sh -c 'echo trouble; exit 3'", "echo after"]);
    let outcome = run(&place, &request).await;
    let (code, message) = failure(&outcome);
    assert_eq!(code, "JobFailed");
    assert!(message.starts_with("the command `sh -c 'echo trouble; exit 3'` failed with exit status 3\n"), "{message}");
    assert!(message.contains("\n  trouble\n"), "the last lines of output are shown: {message}");
    assert_eq!(output(&place, &request), ["before", "trouble"]);
}

#[tokio::test]
async fn however_a_command_fails_it_fails_the_action() {
    // Where shells differ in the status, none is expected.
    for (command, status) in [
        ("exit 4", "4"),
        ("false", "1"),
        ("if", ""),
        ("no-such-program-anywhere", "127"),
        ("set -e; false; echo not reached", "1"),
        ("(exit 5)", "5"),
        ("set -u; echo $UNSET_FOR_SURE", ""),
        ("kill -TERM $$", ""),
        ("cd /no/such/directory", ""),
    ] {
        let place = Place::new();
        let request = commands(&["echo first", command, "echo last"]);
        let outcome = run(&place, &request).await;
        let (code, message) = failure(&outcome);
        assert_eq!(code, "JobFailed", "{command}");
        let named = message.contains(&format!("`{command}` failed with exit status {status}"));
        assert!(named || message.contains("ended by signal 15"), "{command}: {message}");
        assert_eq!(output(&place, &request).last().filter(|line| *line == "last"), None, "{command}");
    }
}

#[tokio::test]
async fn a_command_that_exits_with_success_ends_only_itself() {
    let place = Place::new();
    let request = wanting(
        commands(&[
            "export KEPT=yes; mkdir d; cd d",
            "[ -n x ] || exit 1; exit 0",
            "echo $KEPT; basename $PWD",
            "exit",
        ]),
        &["KEPT"],
    );
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert_eq!(output(&place, &request), ["yes", "d"]);
    assert_eq!(outcome.variables["KEPT"], "yes");
}

#[tokio::test]
async fn a_command_that_leaves_a_loop_it_does_not_have_ends_only_itself() {
    for left in ["break", "continue", "for i in a b; do break 2; done", "[ -f nowhere ] || continue"] {
        let place = Place::new();
        let request =
            commands(&["cd d 2>/dev/null || mkdir d; cd d; echo first", left, "basename $PWD", "break", "exit 7"]);
        let outcome = run(&place, &request).await;
        assert!(failure(&outcome).1.contains("`exit 7` failed with exit status 7"), "{left}: {:?}", outcome.error);
        assert_eq!(output(&place, &request), ["first", "d"], "{left}");
    }
}

#[tokio::test]
async fn a_command_that_replaces_the_shell_is_no_silent_success() {
    let place = Place::new();
    let request = commands(&["exec true", "echo the deployment"]);
    let outcome = run(&place, &request).await;
    assert!(failure(&outcome).1.contains("before all commands had run"), "{:?}", outcome.error);
}

#[tokio::test]
async fn an_exit_trap_of_a_command_runs_when_the_session_ends() {
    let place = Place::new();
    let request = wanting(commands(&["A=1; trap 'echo cleaned up' EXIT", "echo work"]), &["A"]);
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert_eq!(output(&place, &request), ["work", "cleaned up"]);
    assert_eq!(outcome.variables["A"], "1");
    let outcome = run(&place, &commands(&["trap 'exit 3' EXIT", "true"])).await;
    assert_eq!(failure(&outcome).1.lines().next(), Some("an EXIT trap of the commands ended with exit status 3"));
}

#[tokio::test]
async fn a_command_that_leaves_the_shell_under_its_own_trap_is_named() {
    for (first, last, status) in [
        ("set -e; trap 'echo cleaned up' EXIT; false", "echo next", 1),
        ("trap 'echo cleaned up' EXIT; exit 0", "echo next", 0),
        ("trap 'echo cleaned up' EXIT", "exit 4", 4),
    ] {
        let place = Place::new();
        let request = commands(&[first, last, "echo last"]);
        let outcome = run(&place, &request).await;
        let message = failure(&outcome).1;
        let blamed = if last == "echo next" { first } else { last };
        assert!(message.starts_with(&format!("the command `{blamed}` left the session's shell")), "{message}");
        assert!(message.contains(&format!("with exit status {status}: nothing after it ran")), "{message}");
        assert_eq!(output(&place, &request), ["cleaned up"], "{first}, {last}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_noted_says_so() {
    let place = Place::new();
    let full = "trap '' XFSZ; ulimit -f 0";
    let directory = |name: &str| format!("rm -rf \"$__penstock_dir/{name}\"; mkdir \"$__penstock_dir/{name}\"");
    for (first, last) in [(full, "true"), (full, "exit 3"), (&directory("notes"), "true")] {
        let outcome = run(&place, &commands(&[first, last])).await;
        let message = failure(&outcome).1;
        assert!(message.starts_with("the session's notes cannot be written in /"), "{first}, {last}: {message}");
    }
    let outcome = run(&place, &wanting(commands(&[&format!("A=1; {}", directory("captured"))]), &["A"])).await;
    assert!(failure(&outcome).1.contains("notes cannot be written"), "a variable is lost: {outcome:?}");
}

/// What has no end must not be read to its end.
#[tokio::test]
async fn what_a_command_puts_in_the_place_of_notes_is_not_read() {
    let place = Place::new();
    let link = |name: &str| format!("rm -f \"$__penstock_dir/{name}\"; ln -s /dev/zero \"$__penstock_dir/{name}\"");
    let outcome = run(&place, &commands(&[&link("notes"), "true"])).await;
    assert!(failure(&outcome).1.contains("before all commands had run"), "{outcome:?}");
    let outcome = run(&place, &wanting(commands(&[&format!("A=1; {}", link("captured"))]), &["A"])).await;
    assert!(outcome.variables.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn of_a_long_command_a_failure_quotes_the_beginning_and_no_half_of_a_secret() {
    let place = Place::with("[secret.token]\nvalue = \"s3cr3t-t0k3n\"\n");
    let (start, end) = ("ä".repeat(180), "x".repeat(5_000));
    let command = format!("false {start} 1234567 s3cr3t-t0k3n {end}");
    let request = commands(&[&command]).environment("TOKEN", "token", Some("SECRETS_MANAGER"));
    let outcome = run(&place, &request).await;
    let message = failure(&outcome).1;
    let expected = format!("the command `false {start} 1234567 *** x ...` failed with exit status 1");
    assert_eq!(message.lines().next().unwrap(), expected);
    assert!(place.log(&request).contains(&end), "the log has all of it");
}

#[tokio::test]
async fn output_variables_are_read_from_the_session_at_its_end() {
    let place = Place::new();
    let request = wanting(
        commands(&["export A=1; B='two words'", "A=3; C=$(printf 'two\\nlines')"]),
        &["A", "B", "C", "UNSET", "AWS_DEFAULT_REGION", "CODEBUILD_BUILD_ID"],
    );
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    let mut expected: Vec<(String, String)> =
        [("A", "3"), ("AWS_DEFAULT_REGION", "eu-west-1"), ("B", "two words"), ("C", "two\nlines")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    expected.push(("CODEBUILD_BUILD_ID".into(), format!("codepipeline-commands:{}", request.action.id)));
    expected.sort();
    assert_eq!(outcome.variables.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn the_environment_is_what_is_declared_and_nothing_of_the_hosts() {
    // The test's own environment holds what cargo sets.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let place = Place::new();
    let request = commands(&["env"]).environment("DECLARED", "x=y z", None);
    assert_succeeded(&run(&place, &request).await);
    let lines = output(&place, &request);
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for wanted in ["PATH", "HOME", "LANG", "DECLARED", "AWS_REGION", "CODEBUILD_SRC_DIR", "CODEBUILD_INITIATOR"] {
        assert!(names.contains(&wanted), "{wanted} is missing: {names:?}");
    }
    let ours = |name: &str| {
        name.starts_with("CODEBUILD_")
            || name.starts_with("AWS_")
            || ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "DECLARED", "PENSTOCK_ACTION_EXECUTION_ID", "_", "SHLVL"]
                .contains(&name)
    };
    assert_eq!(names.iter().filter(|name| !ours(name)).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(lines.contains(&"DECLARED=x=y z".to_owned()));
    assert!(lines.contains(&"CODEBUILD_INITIATOR=codepipeline/shop".to_owned()));
}

#[tokio::test]
async fn what_the_configuration_inherits_is_there() {
    let place = Place::with("[environment]\ninherit = [\"CARGO_PKG_NAME\"]\n");
    let request = commands(&["echo $CARGO_PKG_NAME"]);
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(output(&place, &request), [env!("CARGO_PKG_NAME")]);
}

#[tokio::test]
async fn further_inputs_lie_beside_the_first() {
    let place = Place::new();
    place.artifact("Source", &[("a", "source\n")]).await;
    place.artifact("My-Library", &[("a", "library\n")]).await;
    let request = commands(&["cat a $CODEBUILD_SRC_DIR_My_Library/a"]).input("Source").input("My-Library");
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(output(&place, &request), ["source", "library"]);
}

#[tokio::test]
async fn output_files_become_the_artifact() {
    let place = Place::new();
    place
        .artifact("Source", &[("a", "1"), ("dist/.hidden", "2"), ("dist/deep/b", "3"), ("dist/link@", "deep/b")])
        .await;
    let request = commands(&["chmod +x a; echo new > dist/new"]).input("Source").output("Out", &["dist/**/*", "a"]);
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    let files = place.output("Out");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "dist/.hidden", "dist/deep/b", "dist/link", "dist/new"]);
    assert_eq!(files["dist/link"], "-> deep/b");
    let output = &outcome.outputs[0];
    assert_eq!((output.digest.as_ref().map(String::len), output.size.is_some()), (Some(64), true));
}

#[tokio::test]
async fn an_artifact_without_files_is_a_failure() {
    let place = Place::new();
    let outcome = run(&place, &commands(&["true"]).output("Out", &["dist/**/*"])).await;
    assert!(failure(&outcome).1.contains("Out: no matching artifact paths found: no file matches dist/**/*"));
    let outcome = run(&place, &commands(&["true"]).output("Out", &["../**/*"])).await;
    assert_eq!(failure(&outcome).0, "ConfigurationError");
}

#[tokio::test]
async fn an_artifact_that_names_no_files_takes_all() {
    let place = Place::new();
    let request = commands(&["mkdir d; echo 1 > a; echo 2 > d/b"]).output("Out", &[]);
    assert_succeeded(&run(&place, &request).await);
    assert_eq!(place.output("Out"), [("a".into(), "1\n".into()), ("d/b".into(), "2\n".into())].into());
}

#[tokio::test]
async fn secrets_are_given_to_commands_and_hidden_in_their_output() {
    let place = Place::with("[secret.apiTokens]\nvalue = '{\"token\": \"s3cr3t-t0k3n\"}'\n");
    let mut request = wanting(
        commands(&["echo \"got $TOKEN\"", "test \"$TOKEN\" = s3cr3t-t0k3n", "sh -c \"exit 9\" $TOKEN"]),
        &["TOKEN"],
    )
    .environment("TOKEN", "apiTokens:token", Some("SECRETS_MANAGER"));
    let outcome = run(&place, &request).await;
    assert!(failure(&outcome).1.contains("exit status 9"), "{:?}", outcome.error);
    assert_eq!(output(&place, &request), ["got ***"]);
    assert!(!format!("{outcome:?}").contains("s3cr3t"));

    request.declaration.commands.pop();
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert!(outcome.variables.is_empty(), "a secret is no output variable");
}

#[tokio::test]
async fn a_variable_that_holds_a_secret_is_not_handed_on_whatever_its_name() {
    let place = Place::with("[secret.token]\nvalue = \"s3cr3t-t0k3n\"\n");
    let names = ["PLAIN", "SAME", "TOKEN", "WITHIN"];
    let request = wanting(commands(&["SAME=$TOKEN; WITHIN=pre-$TOKEN-post; PLAIN=open"]), &names).environment(
        "TOKEN",
        "token",
        Some("SECRETS_MANAGER"),
    );
    let outcome = run(&place, &request).await;
    assert_succeeded(&outcome);
    assert_eq!(outcome.variables, [("PLAIN".into(), "open".into())].into());
    let log = place.log(&request);
    for name in ["SAME", "TOKEN", "WITHIN"] {
        let expected = format!("[penstock] the output variable {name} holds a secret and is not handed on\n");
        assert!(log.contains(&expected), "{log}");
    }
}

#[tokio::test]
async fn an_unknown_secret_says_what_to_add() {
    let place = Place::new();
    let request = commands(&["true"]).environment("TOKEN", "apiTokens:token", Some("SECRETS_MANAGER"));
    let outcome = run(&place, &request).await;
    let (code, message) = failure(&outcome);
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("TOKEN") && message.contains("[secret.\"apiTokens\"]"), "{message}");
}

#[tokio::test]
async fn a_rule_needs_no_input_and_has_a_log_of_its_own() {
    let place = Place::new();
    let action = commands(&["echo action"]);
    let mut rule = commands(&["test -z \"$(ls)\"", "echo rule"]);
    rule.action.key.slot = Slot::Rule(ConditionSlot::BeforeEntry);
    assert_succeeded(&run(&place, &action).await);
    assert_succeeded(&run(&place, &rule).await);
    assert_eq!(output(&place, &action), ["action"]);
    assert_eq!(output(&place, &rule), ["rule"]);
}

#[tokio::test]
async fn a_deadline_and_a_stop_end_the_session_with_their_own_codes() {
    let place = Place::new();
    let mut request = commands(&["sleep 60"]);
    request.action.deadline = Some(Timestamp(jiff_now() + 200));
    assert_eq!(failure(&run(&place, &request).await).0, "Timeout");

    request.action.deadline = None;
    let stop = CancellationToken::new();
    let (outcome, ()) = tokio::join!(run_commands(&place.ctx, &request, &stop), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.cancel();
    });
    assert_eq!(failure(&outcome).0, "Stopped");
    place.assert_clean();
}

fn jiff_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn nothing_of_a_session_is_found_by_the_next_one() {
    let place = Place::new();
    place.artifact("Source", &[("a", "1")]).await;
    let hostile = [
        "touch .hidden; mkdir -p deep/er; touch deep/er/file; chmod 500 deep/er deep; ln -s / root",
        "touch ../beside ../src-Other; echo done >> ../notes; echo X=1 > ../captured",
        "chmod 700 . && rm -rf \"$CODEBUILD_SRC_DIR\" && ln -s /tmp \"$CODEBUILD_SRC_DIR\"",
        "cd .. && chmod 711 .",
        "rm ../notes; ln -s /dev/null ../notes",
        "rm -rf ../src; exit 1",
    ];
    for number in 1..=hostile.len() {
        // Each adds to what the ones before it do.
        run(&place, &commands(&hostile[..number]).input("Source")).await;
        let look = wanting(commands(&["ls -A; ls -A .. | grep -v '^notes$'; stat -c %a . | tail -c 3"]), &["X"])
            .input("Source");
        let outcome = run(&place, &look).await;
        assert_succeeded(&outcome);
        assert_eq!(outcome.variables.get("X"), None);
        assert_eq!(
            output(&place, &look).iter().rev().take(3).rev().collect::<Vec<_>>(),
            ["a", "src", "55"],
            "{number}"
        );
    }
}

#[tokio::test]
async fn sessions_at_once_have_a_directory_each() {
    let place = Place::new();
    let here = place.path().display();
    let script = format!(
        "touch own {here}/$$.there; until [ $(ls {here}/*.there | wc -l) -ge 5 ]; do sleep 0.01; done; [ \"$(ls)\" = own ]"
    );
    let requests: Vec<ActionRequest> = (0..5).map(|_| commands(&[&script])).collect();
    let stop = CancellationToken::new();
    let ran = requests.iter().map(|request| run_commands(&place.ctx, request, &stop));
    for outcome in futures::future::join_all(ran).await {
        assert_succeeded(&outcome);
    }
    place.assert_clean();
}

#[tokio::test]
async fn an_artifact_that_cannot_be_unpacked_is_named_with_why_and_what_to_do() {
    let place = Place::new();
    let zip = place.path().join("link.zip");
    let mut writer = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
    writer.add_symlink("out", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap();
    let text = place.path().join("no.zip");
    std::fs::write(&text, "plain text").unwrap();
    for (file, why, advice) in [
        (&zip, "its `out` is a link to `/etc/passwd`, which leads out of the directory", "leave it out, or change it"),
        (&text, "it is no zip archive that can be read", "be a zip archive"),
    ] {
        place.ctx.artifacts.store("bucket", "in/Source", file).await.unwrap();
        let outcome = run(&place, &commands(&["true"]).input("Source")).await;
        let (code, message) = failure(&outcome);
        assert_eq!(code, "JobFailed");
        let said = format!("the input artifact Source cannot be unpacked: {why}");
        assert!(message.starts_with(&said) && message.contains(advice), "{message}");
    }
}

//! `penstock serve` and the commands that talk to it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::run::{approval, commands, http, pipeline, project};
use super::support::{Ended, ended, files, penstock, run, scratch};

/// A server in a directory; it is ended when this is dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub dir: TempDir,
}

impl Server {
    pub fn start(dir: TempDir) -> Self {
        files(dir.path(), &[("penstock.toml", "[source.\"Checkout\"]\npath = \".\"\n")]);
        let mut command = penstock(dir.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).trim().to_owned();
        Self { child, url, dir }
    }

    /// With the pipeline of its directory.
    fn with(declared: &Value) -> Self {
        let server = Self::start(project(declared));
        assert_eq!(server.run(&["create", "pipeline.json"]).code, 0);
        server
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        ended(penstock(self.dir.path()).args(args).env("PENSTOCK_ENDPOINT_URL", &self.url))
    }

    pub fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(&[args, &["--format", "json"]].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{args:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// The execution that the pipeline's creation started; its id.
    fn started(&self) -> String {
        let all = self.json(&["history", "web"]);
        let [only] = all["pipelineExecutionSummaries"].as_array().unwrap().as_slice() else { panic!("{all}") };
        assert_eq!(only["trigger"]["triggerType"], "CreatePipeline");
        only["pipelineExecutionId"].as_str().unwrap().to_owned()
    }

    /// Repeats a command until it prints something.
    pub fn until(&self, args: &[&str], needed: &str) -> String {
        for _ in 0..300 {
            let ended = self.run(args);
            if ended.stdout.contains(needed) {
                return ended.stdout;
            }
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        panic!("{args:?} never printed {needed:?}");
    }

    /// Asks it to end; its exit status and log.
    fn end(&mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gated() -> Value {
    pipeline(&[
        ("Build", &[commands("Compile", &["echo compiled"])]),
        ("Gate", &[approval("SignOff")]),
        ("Last", &[commands("Ship", &["echo shipped"])]),
    ])
}

#[test]
fn a_pipeline_is_made_started_looked_at_and_approved() {
    let server = Server::with(&gated());
    assert!(server.run(&["pipelines"]).stdout.contains("web"));
    let id = server.started();
    let why = server.until(&["why", "web"], "Gate/SignOff waits");
    assert!(why.contains("approve or reject"), "{why}");
    let state = server.run(&["state", "web"]).stdout;
    assert!(state.contains("SignOff   InProgress"), "{state}");
    let wrong = server.run(&["approve", "web", "Gate/Sign"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("Gate/SignOff does"), "{}", wrong.stderr);
    let approved = server.run(&["approve", "web", "--summary", "looks good"]);
    assert_eq!((approved.code, approved.stdout.as_str()), (0, "Gate/SignOff approved\n"), "{}", approved.stderr);
    let watched = server.run(&["watch", "web"]);
    assert_eq!(watched.code, 0);
    assert!(watched.stdout.contains("Last/Ship Succeeded in"), "{}", watched.stdout);
    let history = server.run(&["history", "web"]).stdout;
    assert!(history.contains(&id) && history.contains("Succeeded") && history.contains("First light"), "{history}");
    let actions = server.run(&["history", "web", &id]).stdout;
    assert!(actions.contains("looks good"), "{actions}");
    let order: Vec<&str> = actions.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(order, ["Checkout", "Compile", "SignOff", "Ship"]);
    let logs = server.run(&["logs", "web"]).stdout;
    assert!(logs.contains("== Build/Compile Succeeded\n") && logs.contains("compiled\n"), "{logs}");
    assert!(server.run(&["logs", "web", "Last/Ship"]).stdout.contains("shipped"));
    let ended = server.run(&["why", "web"]).stdout;
    assert_eq!(ended, format!("{id} has ended: Succeeded\n"));
}

/// An empty key would let everybody in.
#[test]
fn a_key_file_that_holds_no_key_is_refused_by_name() {
    for name in ["events-token", "page-token-key"] {
        let dir = project(&gated());
        let data = dir.path().join(".penstock");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(name), "").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(data.join(name), private).unwrap();
        let refused = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let needed = format!("{name}: is no key of 64 hexadecimal digits");
        assert!(refused.stderr.contains(&needed), "{}", refused.stderr);
    }
}

#[test]
fn why_tells_of_whoever_stands_in_the_way_too() {
    let server = Server::with(&gated());
    let first = server.started();
    server.until(&["why", "web"], "Gate/SignOff waits");
    let second = server.run(&["start", "web"]).stdout.trim().to_owned();
    let why = server.until(&["why", "web"], "is in it");
    let lines: Vec<&str> = why.lines().collect();
    let [newest, reason, other, its_reason] = lines[..] else { panic!("{why}") };
    assert_eq!(newest, format!("{second} InProgress"));
    assert_eq!(reason, format!("  waits before Gate: execution {first} is in it"));
    assert_eq!(other, format!("{first} InProgress"));
    assert!(its_reason.starts_with("  Gate/SignOff waits"), "{why}");
    let asked = server.json(&["why", "web", &second]);
    assert_eq!(asked["reasons"].as_array().map(Vec::len), Some(1), "{asked}");
}

#[test]
fn a_signed_link_can_be_asked_for() {
    let server = Server::with(&gated());
    server.started();
    server.until(&["why", "web"], "Gate/SignOff waits");
    let link = server.run(&["approve", "web", "--link"]);
    assert_eq!(link.code, 0, "{}", link.stderr);
    let page = http(link.stdout.trim(), "POST", "decision=reject&summary=no");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(server.run(&["watch", "web"]).code, 1);
}

#[test]
fn logs_and_watch_follow_to_the_end() {
    let server = Server::with(&gated());
    server.started();
    let mut logs = penstock(server.dir.path());
    logs.args(["logs", "web", "--follow"]).env("PENSTOCK_ENDPOINT_URL", &server.url).stdout(Stdio::piped());
    let logs = logs.spawn().unwrap();
    let mut watch = penstock(server.dir.path());
    watch.args(["watch", "web", "--format", "json"]).env("PENSTOCK_ENDPOINT_URL", &server.url).stdout(Stdio::piped());
    let watch = watch.spawn().unwrap();
    server.until(&["why", "web"], "Gate/SignOff waits");
    assert_eq!(server.run(&["approve", "web"]).code, 0);
    let logs = String::from_utf8(logs.wait_with_output().unwrap().stdout).unwrap();
    assert!(logs.contains("compiled") && logs.contains("shipped"), "{logs}");
    let watch = watch.wait_with_output().unwrap();
    assert_eq!(watch.status.code(), Some(0));
    let lines = String::from_utf8(watch.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["actionExecutionDetail"]["actionName"] == "Ship"));
    assert_eq!(lines.last().unwrap()["pipelineExecution"]["status"], "Succeeded");
}

#[test]
fn stages_are_held_stopped_retried_and_rolled_back() {
    let dir = scratch();
    let here = dir.path().display();
    let flaky = format!("test -e {here}/mended");
    let declared = pipeline(&[("Build", &[commands("Flaky", &[&flaky])]), ("Last", &[commands("Ship", &["true"])])]);
    files(dir.path(), &[("pipeline.json", &declared.to_string())]);
    super::support::repository(dir.path());
    let server = Server::start(dir);
    assert_eq!(server.run(&["create", "pipeline.json"]).code, 0);
    assert_eq!(server.run(&["watch", "web"]).code, 1);
    files(server.dir.path(), &[("mended", "")]);
    let hold = server.run(&["transition", "disable", "web", "Last", "--reason", "freeze"]);
    assert_eq!(hold.code, 0, "{}", hold.stderr);
    let retry = server.run(&["retry", "web", "Build"]);
    assert_eq!(retry.code, 0, "{}", retry.stderr);
    let why = server.until(&["why", "web"], "freeze");
    assert!(why.contains("waits before Last"), "{why}");
    assert_eq!(server.run(&["transition", "enable", "web", "Last"]).code, 0);
    assert_eq!(server.run(&["watch", "web"]).code, 0);
    let first = server.json(&["history", "web"])["pipelineExecutionSummaries"][0]["pipelineExecutionId"].clone();
    assert_eq!(server.run(&["start", "web", "--watch"]).code, 0);
    let rollback = server.run(&["rollback", "web", "Last", first.as_str().unwrap()]);
    assert_eq!(rollback.code, 0, "{}", rollback.stderr);
    assert_eq!(server.run(&["watch", "web", rollback.stdout.trim()]).code, 0);
    let idle = server.run(&["stop", "web"]);
    assert!(idle.code == 2 && idle.stderr.contains("no execution of web is running"), "{}", idle.stderr);
}

#[test]
fn a_stopped_execution_ends_watching_with_3() {
    let server = Server::with(&gated());
    server.started();
    server.until(&["why", "web"], "Gate/SignOff waits");
    let stop = server.run(&["stop", "web", "--abandon", "--reason", "wrong branch"]);
    assert_eq!(stop.code, 0, "{}", stop.stderr);
    assert_eq!(server.run(&["watch", "web"]).code, 3);
}

#[test]
fn what_is_refused_is_told_with_its_code_and_pages_are_whole() {
    let server = Server::with(&gated());
    let unknown = server.run(&["start", "nope"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("PipelineNotFoundException"), "{}", unknown.stderr);
    let twice = server.run(&["create", "pipeline.json"]);
    assert!(twice.code == 1 && twice.stderr.contains("PipelineNameInUseException"), "{}", twice.stderr);
    assert!(server.run(&["update", "pipeline.json"]).stdout.contains("version 2"));
    for number in 0..120 {
        let mut named = gated();
        named["name"] = json!(format!("p{number:03}"));
        files(server.dir.path(), &[("one.json", &named.to_string())]);
        let made = server.run(&["create", "one.json"]);
        assert_eq!(made.code, 0, "{number}: {}", made.stderr);
    }
    assert_eq!(server.json(&["pipelines"])["pipelines"].as_array().unwrap().len(), 121);
    assert_eq!(server.json(&["pipelines", "--limit", "7"])["pipelines"].as_array().unwrap().len(), 7);
    files(server.dir.path(), &[("bad.json", "{\"name\": \"x\"}")]);
    let bad = server.run(&["create", "bad.json"]);
    assert!(bad.code == 2 && bad.stderr.contains("bad.json:1"), "{}", bad.stderr);
}

#[test]
fn it_ends_when_asked_and_goes_on_at_the_next_start() {
    let mut server = Server::with(&gated());
    let id = server.started();
    server.until(&["why", "web"], "Gate/SignOff waits");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    let data = server.dir.path().join(".penstock");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(data.join("credentials")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let offline = run(server.dir.path(), &["history", "web", "--data", ".penstock"]);
    assert!(offline.stdout.contains(&id), "{}{}", offline.stdout, offline.stderr);
    let dir = std::mem::replace(&mut server.dir, scratch());
    let server = Server::start(dir);
    let busy = run(server.dir.path(), &["logs", "web", "--data", ".penstock"]);
    assert!(busy.code == 2 && busy.stderr.contains("another penstock"), "{}", busy.stderr);
    assert_eq!(server.run(&["approve", "web"]).code, 0);
    assert_eq!(server.run(&["watch", "web", &id]).code, 0);
}

#[test]
fn events_are_streamed_to_whoever_has_the_token() {
    let server = Server::with(&gated());
    let data = server.dir.path().join(".penstock");
    let token = std::fs::read_to_string(data.join("events-token")).unwrap();
    let refused = http(&format!("{}/events", server.url), "GET", "");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    server.started();
    server.until(&["why", "web"], "Gate/SignOff waits");
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let request = format!("GET /events?after=0&token={} HTTP/1.1\r\nHost: {host}\r\n\r\n", token.trim());
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let reader = BufReader::new(stream);
    let event = reader.lines().map_while(Result::ok).find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let event: Value = serde_json::from_str(&event.unwrap()).unwrap();
    assert_eq!(event["source"], "penstock.codepipeline");
}

#[test]
fn a_pipeline_without_stand_ins_is_made_with_a_warning() {
    let mut declared = gated();
    declared["stages"][2]["actions"][0] = json!({
        "name": "Fleet", "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "CodeDeploy", "version": "1"},
        "configuration": {"ApplicationName": "a", "DeploymentGroupName": "g"}, "inputArtifacts": [{"name": "Source"}]
    });
    let mut server = Server::with(&declared);
    let (_, log) = server.end();
    assert!(log.contains("WARN") && log.contains("Fleet"), "{log}");
}

#[test]
fn doctor_says_what_to_mend() {
    let server = Server::with(&gated());
    let good = server.run(&["doctor"]);
    assert!(good.code == 0 && good.stdout.contains("answers"), "{}", good.stdout);
    files(server.dir.path(), &[("penstock.toml", "[source.\"Checkout\"]\npath = \"nowhere\"\n")]);
    let broken = server.run(&["doctor"]);
    assert!(broken.code == 1 && broken.stdout.contains("nowhere, which does not exist"), "{}", broken.stdout);
    let dir = scratch();
    let unreachable = ended(penstock(dir.path()).args(["doctor", "--endpoint-url", "http://127.0.0.1:1"]));
    assert_eq!(unreachable.code, 1, "{}", unreachable.stdout);
    assert_eq!(run(dir.path(), &["doctor"]).code, 0);
}

#[test]
fn what_cannot_be_served_is_told_before_anything_starts() {
    let server = Server::with(&gated());
    let taken = server.url.strip_prefix("http://").unwrap();
    let dir = scratch();
    for (args, needed) in [
        (&["serve", "--listen", taken][..], "port 0"),
        (&["serve", "--listen", "0.0.0.0:0"], "--allow-non-loopback"),
        (&["serve", "--listen", "127.0.0.1:0", "--config", "none.toml"], "none.toml"),
    ] {
        let ended = run(dir.path(), args);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(needed), "{args:?}: {}", ended.stderr);
    }
    let nobody = run(dir.path(), &["pipelines"]);
    assert!(nobody.code == 2 && nobody.stderr.contains("no credentials"), "{}", nobody.stderr);
    let same = run(server.dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(same.code == 2 && same.stderr.contains("another penstock"), "{}", same.stderr);
    assert!(!Path::new(dir.path()).join(".penstock").exists());
}

//! Sizes and speeds of the Lambda functions, as Lambda loads them: each zip, the time from its start to its first question
//! for an event, and what one transition costs `advance-execution` once it is warm.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::http::{self, Request};
use crate::stack::FUNCTIONS;
use crate::{root, step, target_dir};

/// How often a start is timed.
const STARTS: usize = 21;
/// How many transitions are made, after as many that are not counted.
const TRANSITIONS: u32 = 300;
/// What a function may be: bytes of its zip, milliseconds of its start; and milliseconds of processor a transition.
const LIMITS: (u64, f64) = (5 << 20, 20.0);
const DISPATCH_LIMITS: (u64, f64) = (12 << 20, 40.0);
const TRANSITION_LIMIT: f64 = 5.0;
const PATIENCE: Duration = Duration::from_secs(30);
/// A stack as a release left it: with a hand-off that is on its way.
const STACK: &str = "crates/functions/tests/functions/frozen/v0.1/stack-4.json";

/// Builds the functions and measures them.
///
/// # Errors
/// One is over its limit, or does not run.
pub fn functions() -> anyhow::Result<()> {
    step("cargo", &["build", "--profile", "lambda", "--package", "penstock-functions", "--bins"])?;
    let stack: Value = serde_json::from_slice(&std::fs::read(root().join(STACK))?).context(STACK)?;
    let aws = Aws::serve(&stack)?;
    let mut over = Vec::new();
    println!("\n{:20} {:>9} {:>9} {:>14}", "function", "zip MiB", "init ms", "of those CPU");
    for name in FUNCTIONS {
        let binary = target_dir().join("lambda").join(name);
        let (bytes, start) = if *name == "dispatch-action" { DISPATCH_LIMITS } else { LIMITS };
        let zip = zipped(&binary)?;
        let (wall, cpu) = starts(&binary, &aws)?;
        #[expect(clippy::cast_precision_loss, reason = "a zip has fewer bytes than a float has digits")]
        let mib = zip as f64 / f64::from(1 << 20);
        println!("{name:20} {mib:>9.2} {wall:>9.1} {cpu:>14.1}");
        if zip > bytes {
            over.push(format!("{name}'s zip has {mib:.2} MiB"));
        }
        if wall > start {
            over.push(format!("{name} starts in {wall:.1} ms"));
        }
    }
    let transition = transition(&target_dir().join("lambda/advance-execution"), &aws, &stack)?;
    println!("\na warm transition: {transition:.2} ms of processor");
    if transition > TRANSITION_LIMIT {
        over.push(format!("a transition takes {transition:.2} ms of processor"));
    }
    if over.is_empty() { Ok(()) } else { bail!("over the limits: {}", over.join("; ")) }
}

/// The size of a binary's zip.
fn zipped(binary: &Path) -> anyhow::Result<u64> {
    const ZIP: &str = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as z: z.write(sys.argv[1], 'bootstrap')";
    let zip = tempfile::Builder::new().suffix(".zip").tempfile()?;
    let status = Command::new("python3").args(["-c", ZIP]).arg(binary).arg(zip.path()).status()?;
    if !status.success() {
        bail!("{} could not be zipped", binary.display());
    }
    Ok(zip.path().metadata()?.len())
}

/// Medians, in milliseconds: from a start to the first question for an event, and the processor's share.
fn starts(binary: &Path, aws: &Aws) -> anyhow::Result<(f64, f64)> {
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let began = Instant::now();
        let function = Function::start(binary, aws)?;
        walls.push(began.elapsed().as_secs_f64() * 1000.0);
        cpus.push(function.cpu()?);
    }
    Ok((median(walls), median(cpus)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds of processor that one transition takes. What it writes is accepted and forgotten: it is made each time.
fn transition(binary: &Path, aws: &Aws, stack: &Value) -> anyhow::Result<f64> {
    let events = stack["handoffs"].as_array().into_iter().flatten();
    let event = events.clone().find(|event| event["detail"]["task"] == "engine").context("no hand-off is frozen")?;
    let event = event.to_string();
    let mut function = Function::start(binary, aws)?;
    let mut before = 0.0;
    for number in 0..2 * TRANSITIONS {
        if number == TRANSITIONS {
            before = function.cpu()?;
        }
        let answer = function.invoke(&event)?;
        if answer["consumed"] != true {
            bail!("the hand-off was not consumed: {answer}");
        }
    }
    Ok((function.cpu()? - before) / f64::from(TRANSITIONS))
}

/// A function that runs, and the Runtime API that it asks for events.
struct Function {
    child: Child,
    requests: Receiver<Request>,
    /// It waits for this to be answered with an event.
    next: Option<Request>,
}

impl Function {
    /// Starts one, and waits for its first question.
    fn start(binary: &Path, aws: &Aws) -> anyhow::Result<Self> {
        let (address, requests) = http::serve()?;
        let mut command = Command::new(binary);
        command.env_clear().envs(aws.environment()).env("AWS_LAMBDA_RUNTIME_API", address).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("{} could not be started", binary.display()))?;
        let mut function = Self { child, requests, next: None };
        function.next = Some(function.request("GET", "/next")?);
        Ok(function)
    }

    fn request(&self, method: &str, end: &str) -> anyhow::Result<Request> {
        let request = self.requests.recv_timeout(PATIENCE).context("the function asks for nothing")?;
        if !(request.line.starts_with(method) && request.line.ends_with(end)) {
            bail!("{} instead of {end}: {}", request.line, String::from_utf8_lossy(&request.body));
        }
        Ok(request)
    }

    /// Gives it an event; its answer.
    fn invoke(&mut self, event: &str) -> anyhow::Result<Value> {
        let next = self.next.take().context("it asked for no event")?;
        let headers = [
            ("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
            ("Lambda-Runtime-Deadline-Ms", "4102444800000"),
            ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:f"),
        ];
        next.answer(&headers, event.as_bytes())?;
        let answer = self.request("POST", "/response")?;
        let said = serde_json::from_slice(&answer.body)?;
        answer.answer(&[], b"{}")?;
        self.next = Some(self.request("GET", "/next")?);
        Ok(said)
    }

    /// Milliseconds of processor that it took so far, by all its threads.
    fn cpu(&self) -> anyhow::Result<f64> {
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(nanoseconds / 1e6)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stand-ins for what functions call: a table that holds a frozen stack and forgets what is written, a bus, drivers and
/// keys that accept everything.
struct Aws {
    address: String,
}

impl Aws {
    fn serve(stack: &Value) -> anyhow::Result<Self> {
        let (address, requests) = http::serve()?;
        let mut items = BTreeMap::new();
        for item in stack["items"].as_array().into_iter().flatten() {
            let text = |name: &str| item[name].as_str().unwrap_or_default();
            let stored = json!({
                "pk": { "S": text("pk") }, "sk": { "S": text("sk") },
                "rev": { "N": item["revision"].to_string() }, "body": { "B": STANDARD.encode(text("body")) },
            });
            items.insert((text("pk").to_owned(), text("sk").to_owned()), stored);
        }
        std::thread::spawn(move || {
            for request in requests {
                let asked = serde_json::from_slice(&request.body).unwrap_or_default();
                let answer = answer(&items, &request.target, &asked);
                if request.answer(&[], answer.to_string().as_bytes()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { address })
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://{}", self.address);
        let arn = |rest: &str| format!("arn:aws:{rest}");
        vec![
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ACCESS_KEY_ID", "test".into()),
            ("AWS_SECRET_ACCESS_KEY", "test".into()),
            ("AWS_REGION", "eu-west-1".into()),
            ("AWS_LAMBDA_FUNCTION_NAME", "f".into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".into()),
            ("PENSTOCK_TABLE", "table".into()),
            ("PENSTOCK_BUS", "bus".into()),
            ("PENSTOCK_EVENT_SOURCE", "penstock.codepipeline".into()),
            ("PENSTOCK_ACCOUNT_ID", "123456789012".into()),
            ("PENSTOCK_STACK", "penstock".into()),
            ("PENSTOCK_STATE_MACHINE_ARN", arn("states:eu-west-1:123456789012:stateMachine:m")),
            ("PENSTOCK_SERVICE_ROLE_ARN", arn("iam::123456789012:role/penstock/p")),
            ("PENSTOCK_APPROVAL_URL", "https://approve.example.com".into()),
            ("PENSTOCK_LINK_KEYS", arn("kms:eu-west-1:123456789012:key/k")),
            ("PENSTOCK_SECRET_KEY", arn("kms:eu-west-1:123456789012:key/s")),
            ("PENSTOCK_POLICY_OBJECT", String::new()),
            ("PENSTOCK_ARTIFACT_BUCKET", "artifacts".into()),
            ("PENSTOCK_WEBHOOK_URL", "https://hooks.example.com".into()),
            ("PENSTOCK_TRIGGER_INTAKE_ARN", arn("lambda:eu-west-1:123456789012:function:t")),
            ("PENSTOCK_DEAD_LETTERS_ARN", arn("sqs:eu-west-1:123456789012:d")),
        ]
    }
}

/// What the stand-ins answer.
fn answer(items: &BTreeMap<(String, String), Value>, target: &str, asked: &Value) -> Value {
    let find = |key: &Value| {
        let text = |name: &str| key[name]["S"].as_str().unwrap_or_default().to_owned();
        items.get(&(text("pk"), text("sk"))).cloned()
    };
    match target.rsplit_once('.').map_or(target, |(_, operation)| operation) {
        "GetItem" => find(&asked["Key"]).map_or_else(|| json!({}), |item| json!({ "Item": item })),
        "BatchGetItem" => {
            let keys = asked["RequestItems"]["table"]["Keys"].as_array().into_iter().flatten();
            json!({ "Responses": { "table": keys.filter_map(find).collect::<Vec<_>>() }, "UnprocessedKeys": {} })
        }
        "Query" => {
            let value = |name: &str| asked["ExpressionAttributeValues"][name]["S"].as_str().unwrap_or_default();
            let found = items.iter().filter(|((pk, sk), _)| pk == value(":pk") && sk.starts_with(value(":prefix")));
            let found: Vec<_> = found.map(|(_, item)| item.clone()).collect();
            json!({ "Count": found.len(), "Items": found })
        }
        "BatchWriteItem" => json!({ "UnprocessedItems": {} }),
        "PutEvents" => {
            let entries = asked["Entries"].as_array().map_or(0, Vec::len);
            json!({ "FailedEntryCount": 0, "Entries": vec![json!({ "EventId": "1" }); entries] })
        }
        "StartExecution" => json!({ "executionArn": "arn:aws:states:eu-west-1:1:execution:m:x", "startDate": 1.0 }),
        "GenerateMac" => json!({ "Mac": STANDARD.encode([7; 32]), "KeyId": "k", "MacAlgorithm": "HMAC_SHA_256" }),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn functions_are_started_with_all_that_the_template_gives_them() {
        let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
        let named = template.lines().filter_map(|line| line.trim().split_once(':'));
        // What only an emulator's stack has set is not what is measured.
        let given: BTreeSet<&str> = named
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("PENSTOCK_") && *name != "PENSTOCK_EMULATOR")
            .collect();
        let aws = Aws { address: String::new() };
        let started: BTreeSet<&str> =
            aws.environment().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("PENSTOCK_")).collect();
        assert_eq!(started, given);
    }
}

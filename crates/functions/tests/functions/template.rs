//! The template against the functions: names, environments, roles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use functions::environment::{COMMON, names};
use functions::permissions::{self, BY_LAMBDA, BY_S3, Capability, DEPLOYED_OBJECTS, PIPELINES};

const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// The functions, by their binaries.
fn binaries() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let entries = std::fs::read_dir(directory).expect("src/bin").map(|entry| entry.expect("an entry").path());
    entries.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect()
}

/// A resource of the template: the lines below its name.
fn resources() -> BTreeMap<String, String> {
    let mut resources = BTreeMap::new();
    let mut at: Option<String> = None;
    for line in TEMPLATE.lines().skip_while(|line| *line != "Resources:").skip(1) {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ') && rest.ends_with(':')) {
            at = Some(name.trim_end_matches(':').to_owned());
        } else if line == "Outputs:" {
            break;
        }
        if let Some(name) = &at {
            let text: &mut String = resources.entry(name.clone()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    resources
}

/// The functions of the template: name → its lines.
fn functions_of_the_template() -> BTreeMap<String, String> {
    let all = resources().into_values().filter(|text| text.contains("Type: AWS::Serverless::Function"));
    all.map(|text| {
        let name = text.lines().find_map(|line| line.trim().strip_prefix("FunctionName: !Sub \"${AWS::StackName}-"));
        (name.expect("a FunctionName").trim_end_matches('"').to_owned(), text)
    })
    .collect()
}

/// The statements of a role: sid → actions.
fn statements(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let mut sid = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- Sid: ") {
            sid = name.to_owned();
        } else if let Some(list) = line.strip_prefix("Action: [") {
            let actions = list.trim_end_matches(']').split(", ").map(str::to_owned).collect();
            assert!(found.insert(sid.clone(), actions).is_none(), "{sid} stands twice");
        }
    }
    found
}

#[test]
fn every_binary_is_a_function_of_the_template_and_every_function_a_binary() {
    let named: BTreeSet<String> = functions_of_the_template().into_keys().collect();
    assert_eq!(named, binaries());
    for (name, text) in functions_of_the_template() {
        assert!(text.contains(&format!("CodeUri: target/lambda/{name}/\n")), "{name}");
    }
}

#[test]
fn a_role_allows_what_its_function_calls_and_nothing_else() {
    for (name, text) in functions_of_the_template() {
        let wanted = asked(&permissions::of(&name));
        let mut given = statements(&text);
        for (sid, actions) in BY_LAMBDA {
            if let Some(given) = given.remove(*sid) {
                assert_eq!(given, owned(actions), "{name}: {sid}");
            }
        }
        assert_eq!(given, wanted, "{name}");
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("Resource: ")) {
            let all = line == "Resource: [\"*\"]";
            assert!(!all || text.contains("Sid: Streams") || text.contains("Sid: ListRules"), "{name}: {line}");
        }
    }
}

/// What capabilities ask for: sid → actions.
fn asked(capabilities: &[Capability]) -> BTreeMap<String, BTreeSet<String>> {
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Capability { sid, calls, .. } in capabilities {
        let actions = calls.iter().flat_map(|(_, actions)| actions.iter().map(|action| (*action).to_owned()));
        asked.entry((*sid).to_owned()).or_default().extend(actions);
    }
    asked
}

fn owned(actions: &[&str]) -> BTreeSet<String> {
    actions.iter().map(|action| (*action).to_owned()).collect()
}

#[test]
fn the_pipelines_role_allows_what_providers_call_and_nothing_else() {
    let all = resources();
    let mut given = statements(&all["PipelineRole"]);
    assert_eq!(given.remove("Trust"), Some(owned(&["sts:AssumeRole", "sts:TagSession"])));
    assert_eq!(given.remove(BY_S3.0), Some(owned(BY_S3.1)));
    // Pipelines start what people made, never the control plane's own parts.
    assert_eq!(given.remove("NotPenstockItself"), Some(owned(&["lambda:InvokeFunction", "states:StartExecution"])));
    let denied = all["PipelineRole"].split("Sid: NotPenstockItself").nth(1).expect("a statement");
    for name in binaries() {
        assert!(
            denied.contains(&format!(":function:${{AWS::StackName}}-{name}*")),
            "{name} may be invoked by pipelines"
        );
    }
    assert!(denied.contains(":stateMachine:${AWS::StackName}-action-execution*"));
    let wanted = asked(&PIPELINES);
    assert_eq!(given, wanted);
    // Further buckets are given the same, and access lists.
    let mut objects: BTreeMap<_, _> = wanted.into_iter().filter(|(sid, _)| sid.ends_with("Objects")).collect();
    objects.get_mut("Objects").expect("objects").extend(owned(DEPLOYED_OBJECTS));
    assert_eq!(statements(&all["PipelineBucketsPolicy"]), objects);
}

/// The source files below a folder, without tests.
fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if !entry.ends_with("tests.rs") && !entry.ends_with("testing.rs") {
            found.push(entry);
        }
    }
    found
}

#[test]
fn every_call_of_a_provider_is_one_that_the_pipelines_role_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let client = regex::Regex::new(r"[cC]lient(?:::\w+\([^()]*\))?\.([a-z][a-z0-9_]*)\(\)").expect("a pattern");
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for file in sources(&root.join("crates/actions/src")) {
        let place = file.strip_prefix(&root).expect("below").with_extension("");
        let text: String = std::fs::read_to_string(&file).expect("source").split_whitespace().collect();
        let production = text.split("#[cfg(test)]modtests{").next().unwrap_or_default();
        for call in client.captures_iter(production).map(|captures| captures[1].to_owned()) {
            let named = PIPELINES.iter().find(|capability| place.starts_with(capability.source));
            let named = named.unwrap_or_else(|| panic!("{} calls {call}, which no role allows", place.display()));
            found.entry(named.source).or_default().insert(call);
        }
    }
    let mut named: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for capability in PIPELINES {
        named.entry(capability.source).or_default().extend(capability.calls.iter().map(|(call, _)| (*call).to_owned()));
    }
    assert_eq!(found, named);
}

/// Every call of an SDK in a file or folder: `.name()`, sent.
fn calls(source: &Path) -> BTreeSet<String> {
    let mut files = vec![source.to_owned()];
    if source.is_dir() || source.with_extension("rs").is_file() {
        files = vec![source.with_extension("rs")];
        files.extend(std::fs::read_dir(source).into_iter().flatten().map(|entry| entry.expect("an entry").path()));
    }
    let call =
        regex::Regex::new(r"\.([a-z]+(?:_[a-z0-9]+)+|decrypt|encrypt|query|invoke|publish)\(\)").expect("a pattern");
    let known: BTreeSet<&str> =
        all().iter().flat_map(|capability| capability.calls.iter().map(|(call, _)| *call)).collect();
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs") && file.is_file()) {
        let text =
            std::fs::read_to_string(file).expect("source").replace("\n            ", "").replace("\n        ", "");
        if text.contains("Request::get(") && text.contains(".name(\"s3\")") {
            // Signed by hand.
            found.insert("get_object".to_owned());
        }
        for name in call.captures_iter(&text).map(|captures| captures[1].to_owned()) {
            let is_call = known.contains(name.as_str())
                || [
                    "batch_write_item",
                    "put_item",
                    "delete_item",
                    "update_item",
                    "scan",
                    "stop_execution",
                    "send_task_failure",
                ]
                .contains(&name.as_str());
            if is_call {
                found.insert(name);
            }
        }
    }
    found
}

fn all() -> Vec<Capability> {
    let functions = binaries();
    functions.iter().flat_map(|function| permissions::of(function)).collect()
}

#[test]
fn the_capabilities_name_the_calls_of_the_adapters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut by_source: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for capability in all() {
        by_source
            .entry(capability.source)
            .or_default()
            .extend(capability.calls.iter().map(|(call, _)| (*call).to_owned()));
    }
    for (source, named) in by_source {
        assert_eq!(calls(&root.join(source)), named, "{source}");
    }
}

#[test]
fn every_variable_that_a_function_is_told_is_one_that_it_knows() {
    let known = [
        names::TABLE,
        names::BUS,
        names::EVENT_SOURCE,
        names::ACCOUNT,
        names::STATE_MACHINE,
        names::ARTIFACT_BUCKET,
        names::SERVICE_ROLE,
        names::APPROVAL_URL,
        names::LINK_KEYS,
        names::SECRET_KEY,
        names::POLICY_OBJECT,
        names::STACK,
        names::EMULATOR,
        names::TRIGGER_INTAKE,
        names::DEAD_LETTERS,
        names::WEBHOOK_URL,
    ];
    let told: BTreeSet<&str> = TEMPLATE
        .lines()
        .filter_map(|line| {
            line.trim().split_once(": ").map(|(name, _)| name).filter(|name| name.starts_with("PENSTOCK_"))
        })
        .collect();
    assert_eq!(told, known.into_iter().collect());
    let globals = TEMPLATE.split("Resources:").next().expect("what stands before");
    for name in COMMON {
        assert!(globals.contains(&format!("{name}: ")), "{name} is not told to every function");
    }
    // What a function needs is what its binary asks for.
    for (function, text) in functions_of_the_template() {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin").join(format!("{function}.rs"));
        let source = std::fs::read_to_string(binary).expect("a binary");
        for (constant, variable) in [
            ("LINK_KEYS", names::LINK_KEYS),
            ("SECRET_KEY", names::SECRET_KEY),
            ("POLICY_OBJECT", names::POLICY_OBJECT),
            ("SERVICE_ROLE", names::SERVICE_ROLE),
            ("APPROVAL_URL", names::APPROVAL_URL),
            ("TRIGGER_INTAKE", names::TRIGGER_INTAKE),
            ("DEAD_LETTERS", names::DEAD_LETTERS),
            ("ARTIFACT_BUCKET", names::ARTIFACT_BUCKET),
            ("WEBHOOK_URL", names::WEBHOOK_URL),
        ] {
            let asks = source.contains(&format!("names::{constant}"));
            assert_eq!(asks, text.contains(&format!("{variable}: ")), "{function}: {variable}");
        }
    }
}

#[test]
fn nothing_of_two_stacks_has_the_same_name() {
    for (resource, text) in resources() {
        let named = text.lines().map(str::trim).filter_map(|line| line.split_once(": ")).filter(|(key, _)| {
            let names = key.starts_with(char::is_uppercase) && key.ends_with("Name");
            names && !matches!(*key, "DisplayName" | "PolicyName" | "MetricName")
        });
        for (key, value) in named {
            let own = value.contains("${AWS::StackName}") || value.starts_with("!Ref ");
            assert!(own, "{resource}: {key}: {value}");
        }
        // Without a name SAM takes that of the resource, the same in every stack.
        let schedules = text.matches("Type: ScheduleV2").count();
        assert_eq!(text.matches("            Name: !Sub").count(), schedules, "{resource}");
    }
}

#[test]
fn no_role_gets_more_by_sam_than_logs_and_traces() {
    for (resource, text) in resources() {
        for widening in ["Type: DynamoDB\n", "Type: Kinesis\n", "Type: SQS\n", "ManagedPolicyArns", "- AWS"] {
            assert!(!text.contains(widening), "{resource}: {widening}");
        }
    }
}

//! The template against the functions: names, environments, roles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use functions::environment::{COMMON, names};
use functions::permissions::{self, BY_LAMBDA, Capability};

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
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Capability { sid, calls, .. } in permissions::of(&name) {
            let actions = calls.iter().flat_map(|(_, actions)| actions.iter().map(|action| (*action).to_owned()));
            wanted.insert(sid.to_owned(), actions.collect());
        }
        let mut given = statements(&text);
        for (sid, actions) in BY_LAMBDA {
            if let Some(given) = given.remove(*sid) {
                assert_eq!(given, actions.iter().map(|action| (*action).to_owned()).collect(), "{name}: {sid}");
            }
        }
        assert_eq!(given, wanted, "{name}");
        for line in text.lines().map(str::trim).filter(|line| line.starts_with("Resource: ")) {
            let all = line == "Resource: [\"*\"]";
            assert!(!all || text.contains("Sid: Streams") || text.contains("Sid: ListRules"), "{name}: {line}");
        }
    }
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

//! Namespaces, and whether every variable reference has something to refer to.

use std::collections::{HashMap, HashSet};

use super::configuration::setting_path;
use super::draft::{Draft, Task, list, text};
use crate::action_types::ValueType;
use crate::finding::{Code, Findings};
use crate::references::{self, EXECUTION_ID, EXECUTION_VARIABLES, PIPELINE_VARIABLES, Reference};
use crate::shapes::quote;
use crate::status::Category;
use crate::suggestion::{hint, hint_or_list};

/// Output variables of sources whose text strangers choose: whoever may push a branch or open a pull request.
const STRANGERS_WRITE: &[&str] = &[
    "AuthorDisplayName",
    "AuthorEmail",
    "AuthorId",
    "AuthorName",
    "BranchName",
    "CommitMessage",
    "CommitterEmail",
    "CommitterName",
    "HeadBranchName",
    "PullRequestDescription",
    "PullRequestTitle",
    "SourceBranchName",
    "TagName",
];

/// What references may refer to.
struct Names<'a> {
    namespaces: HashMap<&'a str, &'a Task<'a>>,
    variables: HashSet<&'a str>,
}

/// How a text is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A shell reads it.
    Shell,
    /// Anything else.
    Value,
}

pub(super) fn check(draft: &Draft<'_>, findings: &mut Findings) {
    let names = Names {
        namespaces: namespaces(draft, findings),
        variables: list(draft.value, "variables").iter().filter_map(|variable| text(variable, "name")).collect(),
    };
    for task in draft.tasks() {
        for (key, value) in task.settings() {
            let shell = task.known.and_then(|known| known.key(key)).is_some_and(|key| key.value == ValueType::Shell);
            let how = if shell { Use::Shell } else { Use::Value };
            check_text(task, &names, value, how, &|| setting_path(task, key), findings);
        }
        for (index, command) in task.commands() {
            check_text(task, &names, command, Use::Shell, &|| format!("{}.commands[{index}]", task.place), findings);
        }
        for (index, variable) in list(task.value, "environmentVariables").iter().enumerate() {
            let path = || format!("{}.environmentVariables[{index}].value", task.place);
            check_text(task, &names, text(variable, "value").unwrap_or_default(), Use::Value, &path, findings);
        }
    }
}

fn namespaces<'a>(draft: &'a Draft<'a>, findings: &mut Findings) -> HashMap<&'a str, &'a Task<'a>> {
    let artifacts: HashSet<_> =
        draft.actions.iter().flat_map(|action| action.artifacts("outputArtifacts")).map(|(_, name)| name).collect();
    let mut namespaces: HashMap<&str, &Task<'_>> = HashMap::new();
    for action in &draft.actions {
        let Some(namespace) = text(action.value, "namespace") else { continue };
        let fault = if matches!(namespace, PIPELINE_VARIABLES | EXECUTION_VARIABLES) {
            Some("is reserved".to_owned())
        } else if artifacts.contains(namespace) {
            Some("is the name of an artifact".to_owned())
        } else {
            namespaces.get(namespace).map(|first| format!("is already that of {}", first.describe()))
        };
        if let Some(fault) = fault {
            let message = format!("namespace \"{namespace}\" {fault}; choose another one");
            findings.error(Code::NamespaceConflict, action.path("namespace"), message);
        }
        namespaces.entry(namespace).or_insert(action);
    }
    namespaces
}

fn check_text(
    task: &Task<'_>,
    names: &Names<'_>,
    value: &str,
    how: Use,
    path: &dyn Fn() -> String,
    findings: &mut Findings,
) {
    if !value.contains("#{") {
        return;
    }
    for range in references::malformed(value) {
        let message = format!("{} is not a variable reference; one is #{{namespace.key}}", quote(&value[range]));
        // A shell may mean something else by it.
        if how == Use::Shell {
            findings.warning(Code::MalformedReference, path(), message);
        } else {
            findings.error(Code::MalformedReference, path(), message);
        }
    }
    let mut seen = HashSet::new();
    for reference in references::find(value) {
        if !seen.insert((reference.namespace, reference.key)) {
            continue;
        }
        if task.category == Some(Category::Source) {
            let message = format!("{} stands in a source action, where variables have no value yet", show(&reference));
            findings.error(Code::VariableInSource, path(), message);
        } else {
            check_reference(task, names, &reference, how, path, findings);
        }
    }
}

fn check_reference(
    task: &Task<'_>,
    names: &Names<'_>,
    reference: &Reference<'_>,
    how: Use,
    path: &dyn Fn() -> String,
    findings: &mut Findings,
) {
    let Reference { namespace, key, .. } = *reference;
    let unresolved = match namespace {
        EXECUTION_VARIABLES if key == EXECUTION_ID => None,
        EXECUTION_VARIABLES => Some(format!("; this namespace has {EXECUTION_ID} only")),
        PIPELINE_VARIABLES if names.variables.contains(key) => None,
        PIPELINE_VARIABLES => {
            let hint = hint_or_list(key, names.variables.iter().copied());
            Some(format!(": the pipeline declares no variable \"{key}\"{hint}"))
        }
        _ => match names.namespaces.get(namespace) {
            Some(producer) => return check_producer(task, producer, reference, how, path, findings),
            None => Some(format!(
                ": no action has the namespace \"{namespace}\"{}",
                hint_or_list(namespace, names.namespaces.keys().copied())
            )),
        },
    };
    if let Some(why) = unresolved {
        findings.error(Code::UnresolvedVariable, path(), format!("{} cannot be resolved{why}", show(reference)));
    }
}

fn check_producer(
    task: &Task<'_>,
    producer: &Task<'_>,
    reference: &Reference<'_>,
    how: Use,
    path: &dyn Fn() -> String,
    findings: &mut Findings,
) {
    let key = reference.key;
    if producer.moment >= task.moment {
        let message = format!(
            "{} has no value yet: {} must be in an earlier stage or have a lower runOrder",
            show(reference),
            producer.describe()
        );
        findings.error(Code::VariableOrder, path(), message);
    }
    if let Some(known) = producer.known.filter(|_| !produces(producer, key)) {
        let outputs = list(producer.value, "outputVariables").iter().filter_map(serde_json::Value::as_str);
        let variables: Vec<_> = known.variables.iter().map(String::as_str).chain(outputs).collect();
        let mut message = format!("{} is not an output variable of {}", show(reference), producer.describe());
        message += &match hint(key, variables.iter().copied()) {
            none if none.is_empty() && variables.is_empty() => "; it has none".to_owned(),
            none if none.is_empty() => format!("; it has {}", variables.join(", ")),
            hint => hint,
        };
        findings.warning(Code::UnknownVariable, path(), message);
    }
    if how == Use::Shell && producer.category == Some(Category::Source) && STRANGERS_WRITE.contains(&key) {
        let message = format!(
            "{} is text that whoever can push or open a pull request chooses, and a shell reads it here: a commit message \
             like $(command) would run. Pass it in an environment variable and quote that",
            show(reference)
        );
        findings.warning(Code::UntrustedVariable, path(), message);
    }
}

/// A Commands action has the variables that it lists.
fn produces(producer: &Task<'_>, key: &str) -> bool {
    if producer.is(Category::Compute, "Commands") {
        return list(producer.value, "outputVariables").iter().any(|variable| variable.as_str() == Some(key));
    }
    producer.known.is_none_or(|known| known.may_have_variable(key))
}

fn show(reference: &Reference<'_>) -> String {
    format!("#{{{}.{}}}", reference.namespace, reference.key)
}

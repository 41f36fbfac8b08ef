//! What single providers want of their configuration beyond its keys: what goes together, and what excludes what.

use super::configuration::setting_path;
use super::draft::Task;
use crate::finding::{Code, Findings};
use crate::shapes::quote;
use crate::status::Category;

/// The most of `ParameterOverrides` (semantics: Limits).
const MOST_OVERRIDES_BYTES: usize = 1024;

pub(super) fn check(task: &Task<'_>, findings: &mut Findings) {
    let Some(known) = task.known else { return };
    match (known.category, known.provider.as_str()) {
        (Category::Source, _) => check_polling(task, findings),
        (Category::Build | Category::Test | Category::Rule, "CodeBuild") => check_code_build(task, findings),
        (Category::Deploy, "S3") => {
            require_when(task, "Extract", &["false"], "ObjectKey", findings);
        }
        (Category::Deploy, "CloudFormation") => check_cloud_formation(task, findings),
        (Category::Deploy, "CloudFormationStackSet") => {
            require_beside(task, "DeploymentTargets", "Regions", findings);
            require_beside(task, "Regions", "DeploymentTargets", findings);
        }
        (Category::Deploy, "EC2") => {
            if task.setting("DeploySpec").is_none() && task.setting("TargetDirectory").is_none() {
                missing(task, "TargetDirectory", "unless DeploySpec is given", findings);
            }
        }
        (Category::Deploy, "EKS") => check_eks(task, findings),
        (Category::Deploy, "ServiceCatalog") => check_service_catalog(task, findings),
        (Category::Deploy, "Lambda") => {
            let no_input = task.artifacts("inputArtifacts").next().is_none();
            if no_input && task.setting("PublishedTargetVersion").is_none() {
                missing(task, "PublishedTargetVersion", "without an input artifact", findings);
            }
            require_beside(task, "DeployStrategy", "FunctionAlias", findings);
        }
        (Category::Invoke, "StepFunctions") => check_step_functions(task, findings),
        (Category::Invoke, "InspectorScan") => {
            require_when(task, "InspectorRunMode", &["ECRImageScan"], "ECRRepositoryName", findings);
        }
        (Category::Rule, "VariableCheck") => {
            check_expression(task, findings);
            check_variable(task, findings);
        }
        (_, _) => {}
    }
}

/// A text without a reference is compared itself, whatever happens.
fn check_variable(task: &Task<'_>, findings: &mut Findings) {
    if let Some(text) = task.setting("Variable").filter(|text| !text.contains("#{")) {
        let message = format!(
            "Variable {} is no reference, so that the check has the same result each time; a variable is read as \
             #{{namespace.name}}",
            quote(text)
        );
        findings.warning(Code::InvalidConfiguration, setting_path(task, "Variable"), message);
    }
}

/// A regular expression without references in it stays as wrong as it is.
fn check_expression(task: &Task<'_>, findings: &mut Findings) {
    let matches = task.setting("Operator") == Some("MATCHES");
    let Some(value) = task.setting("Value").filter(|value| matches && !value.contains("#{")) else { return };
    if let Err(error) = regex::Regex::new(value) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let message = format!("Value is no regular expression that can be used with MATCHES: {reason}");
        findings.error(Code::InvalidConfiguration, setting_path(task, "Value"), message);
    }
}

/// Without the key these sources poll, beside whatever event rule or webhook also starts the pipeline.
fn check_polling(task: &Task<'_>, findings: &mut Findings) {
    const KEY: &str = "PollForSourceChanges";
    let polls = task.known.is_some_and(|known| known.key(KEY).is_some());
    if polls && task.value.get("configuration").is_none_or(|settings| settings.get(KEY).is_none()) {
        let message = "is not given, so the source is polled; together with an event rule or a webhook each change starts \
                       the pipeline twice: say \"false\" when something else detects changes, \"true\" when polling is meant";
        findings.warning(Code::PollingDefault, setting_path(task, KEY), format!("{KEY} {message}"));
    }
}

fn check_code_build(task: &Task<'_>, findings: &mut Findings) {
    if task.artifacts("inputArtifacts").count() > 1 && task.setting("PrimarySource").is_none() {
        missing(
            task,
            "PrimarySource",
            "with more than one input artifact: it names the one with the buildspec",
            findings,
        );
    }
    if task.setting("CombineArtifacts") == Some("true") {
        match task.setting("BatchEnabled") {
            None => missing(task, "BatchEnabled", "as \"true\" with CombineArtifacts", findings),
            Some("false") => {
                let message = "BatchEnabled is \"false\"; with CombineArtifacts it must be \"true\"";
                findings.error(Code::InvalidConfiguration, setting_path(task, "BatchEnabled"), message);
            }
            Some(_) => {}
        }
    }
}

fn check_cloud_formation(task: &Task<'_>, findings: &mut Findings) {
    const MODE: &str = "ActionMode";
    require_when(task, MODE, &["CHANGE_SET_EXECUTE", "CHANGE_SET_REPLACE"], "ChangeSetName", findings);
    require_when(task, MODE, &["CREATE_UPDATE", "REPLACE_ON_FAILURE", "CHANGE_SET_REPLACE"], "TemplatePath", findings);
    let roled = ["CREATE_UPDATE", "REPLACE_ON_FAILURE", "DELETE_ONLY", "CHANGE_SET_REPLACE"];
    let mode = task.setting(MODE).filter(|mode| roled.contains(mode));
    // Documented as required, yet such templates are deployed: CloudFormation then acts as the action's role.
    if let Some(mode) = mode.filter(|_| task.setting("RoleArn").is_none()) {
        let message =
            format!("RoleArn is documented as required with {MODE} {mode}: the role that CloudFormation acts as");
        findings.warning(Code::MissingConfiguration, setting_path(task, "RoleArn"), message);
    }
    if let Some(size) = task.setting("ParameterOverrides").map(str::len).filter(|size| *size > MOST_OVERRIDES_BYTES) {
        let message = format!(
            "ParameterOverrides has {size} bytes; it has at most {MOST_OVERRIDES_BYTES}: put the rest into a template configuration file"
        );
        findings.error(Code::InvalidConfiguration, setting_path(task, "ParameterOverrides"), message);
    }
    require_output(task, findings);
}

fn require_output(task: &Task<'_>, findings: &mut Findings) {
    if task.setting("OutputFileName").is_some() && task.artifacts("outputArtifacts").next().is_none() {
        let message = "OutputFileName writes into the output artifact, and the action has none";
        findings.warning(Code::InvalidConfiguration, setting_path(task, "OutputFileName"), message);
    }
}

fn check_eks(task: &Task<'_>, findings: &mut Findings) {
    let helm = task.setting("HelmReleaseName").is_some() || task.setting("HelmChartLocation").is_some();
    if helm {
        require_beside(task, "HelmReleaseName", "HelmChartLocation", findings);
        require_beside(task, "HelmChartLocation", "HelmReleaseName", findings);
    } else if task.setting("ManifestFiles").is_none() {
        missing(task, "ManifestFiles", "unless HelmReleaseName and HelmChartLocation are given", findings);
    }
}

fn check_service_catalog(task: &Task<'_>, findings: &mut Findings) {
    if task.setting("ConfigurationFilePath").is_none() {
        for key in ["TemplateFilePath", "ProductVersionName", "ProductType"] {
            if task.setting(key).is_none() {
                missing(task, key, "unless ConfigurationFilePath is given", findings);
            }
        }
    }
}

fn check_step_functions(task: &Task<'_>, findings: &mut Findings) {
    require_when(task, "InputType", &["FilePath"], "Input", findings);
    let literal = task.setting("InputType") != Some("FilePath");
    let Some(input) = task.setting("Input").filter(|input| literal && !input.contains("#{")) else { return };
    if serde_json::from_str::<serde::de::IgnoredAny>(input).is_err() {
        let message = "Input must be JSON, or the path of a file with InputType \"FilePath\"";
        findings.error(Code::InvalidConfiguration, setting_path(task, "Input"), message);
    }
}

/// `needed` must be there when `key` has one of `values`.
fn require_when(task: &Task<'_>, key: &str, values: &[&str], needed: &str, findings: &mut Findings) {
    let value = task.setting(key).filter(|value| values.contains(value));
    if let Some(value) = value.filter(|_| task.setting(needed).is_none()) {
        missing(task, needed, &format!("with {key} \"{value}\""), findings);
    }
}

/// `needed` must be there when `key` is.
fn require_beside(task: &Task<'_>, key: &str, needed: &str, findings: &mut Findings) {
    if task.setting(key).is_some() && task.setting(needed).is_none() {
        missing(task, needed, &format!("beside {key}"), findings);
    }
}

fn missing(task: &Task<'_>, key: &str, when: &str, findings: &mut Findings) {
    let message = format!(
        "configuration of {} in stage \"{}\" is missing required configuration \"{key}\", which is needed {when}",
        task.describe(),
        task.stage_name
    );
    findings.error(Code::MissingConfiguration, setting_path(task, key), message);
}

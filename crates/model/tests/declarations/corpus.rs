//! The corpus of real pipelines, where it is at hand: what its manifest accepts is accepted, what it rejects is
//! rejected for the reasons it names.

use std::fs;
use std::path::PathBuf;

use model::parse::Format;
use model::{Code, Finding, Severity, validate_text};
use serde_json::Value;

/// One entry of the manifest.
pub struct Entry {
    pub file: String,
    pub text: Vec<u8>,
    pub accepted: bool,
    /// What the manifest names, in its own words.
    pub faults: Vec<String>,
}

/// The corpus; nothing, with a printed line, when it is absent.
pub fn entries() -> Vec<Entry> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(manifest) = fs::read(root.join("MANIFEST.json")) else {
        println!("SKIPPED: ../shared/corpus is absent");
        return Vec::new();
    };
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).expect("the manifest is JSON");
    let words = |entry: &Value, field: &str| -> Vec<String> {
        entry[field].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    manifest
        .iter()
        .map(|entry| {
            let file = entry["file"].as_str().expect("a file").to_owned();
            Entry {
                text: fs::read(root.join(&file)).expect("a file of the corpus"),
                accepted: entry["expect"] == "accept",
                faults: [words(entry, "modelErrors"), words(entry, "structuralFindings")].concat(),
                file,
            }
        })
        .collect()
}

fn show(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

#[test]
fn accepted_pipelines_are_accepted() {
    for entry in entries().iter().filter(|entry| entry.accepted) {
        let (pipeline, findings) = validate_text(&entry.text, Format::Json);
        assert!(pipeline.is_some(), "{} is refused:{}", entry.file, show(&findings));
    }
}

#[test]
fn rejected_pipelines_are_rejected_for_what_the_manifest_names() {
    for entry in entries().iter().filter(|entry| !entry.accepted) {
        let (pipeline, findings) = validate_text(&entry.text, Format::Json);
        assert!(pipeline.is_none(), "{} is accepted", entry.file);
        for fault in &entry.faults {
            let named = findings.iter().any(|finding| names(finding, fault));
            assert!(named, "{}: nothing says {fault}:{}", entry.file, show(&findings));
        }
    }
}

/// Whether a finding is what the manifest means by `fault`.
fn names(finding: &Finding, fault: &str) -> bool {
    let (subject, what) = fault.split_once(": ").unwrap_or(("", fault));
    let last = what.rsplit(' ').next().unwrap_or_default();
    let about = subject.split('/').next_back().is_none_or(|name| finding.message.contains(name));
    finding.severity == Severity::Error
        && match what {
            _ if what.contains("!~") => finding.code == Code::InvalidPattern && finding.path == "$.roleArn",
            "fewer than 2 stages" => finding.code == Code::TooFewStages,
            "needs exactly one of artifactStore/artifactStores" => finding.code == Code::ArtifactStoreChoice,
            "Source placement" => finding.code == Code::SourcePlacement && about,
            _ if what.starts_with("missing required config") => {
                finding.code == Code::MissingConfiguration && about && finding.path.ends_with(&format!(".{last}"))
            }
            _ if what.starts_with("undocumented config keys") => {
                finding.code == Code::UnknownConfiguration
                    && what.split('\'').skip(1).step_by(2).any(|key| finding.path.ends_with(&format!(".{key}")))
            }
            _ if what.contains("outputs, allowed") => finding.code == Code::ArtifactCount && about,
            _ => false,
        }
}

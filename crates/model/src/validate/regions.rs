//! Artifact stores, and the regions that need one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::{Draft, Task, has, list, text};
use crate::finding::{Code, Findings};
use crate::status::{Category, Owner};

/// `own` is the pipeline's region, when the caller knows it.
pub(super) fn check(draft: &Draft<'_>, own: Option<&str>, findings: &mut Findings) {
    match (has(draft.value, "artifactStore"), has(draft.value, "artifactStores")) {
        (true, true) => {
            let message = "a pipeline has exactly one of artifactStore and artifactStores: leave out artifactStore when \
                           actions run in several regions, and artifactStores when they do not";
            findings.error(Code::ArtifactStoreChoice, "$.artifactStores", message);
        }
        (false, false) => {
            let message = "a pipeline needs exactly one of artifactStore and artifactStores: add the bucket that its \
                           artifacts are kept in";
            findings.error(Code::ArtifactStoreChoice, "$.artifactStore", message);
        }
        (true, false) => check_single(draft, own, findings),
        (false, true) => check_regional(draft, own, findings),
    }
    // Where the pipeline's region is not known, the first action that is bound to it tells it.
    let bound = draft.actions.iter().filter(|action| is_bound(action));
    let told = own.or_else(|| bound.clone().find_map(|action| text(action.value, "region")));
    for action in bound {
        check_cross_region(action, told, findings);
    }
}

/// With one store there is one region, whichever it is.
fn check_single(draft: &Draft<'_>, own: Option<&str>, findings: &mut Findings) {
    let mut regions = regions(draft);
    if let Some(own) = own {
        regions.entry(own).or_insert_with(|| "the pipeline".into());
    }
    if regions.len() > 1 {
        let all: Vec<_> = regions.iter().map(|(region, user)| format!("{region} ({user})")).collect();
        let message = format!(
            "actions run in several regions: {}; replace artifactStore by artifactStores with a bucket for each",
            all.join(", ")
        );
        findings.error(Code::MissingRegionStore, "$.artifactStore", message);
    }
}

fn check_regional(draft: &Draft<'_>, own: Option<&str>, findings: &mut Findings) {
    let Some(stores) = draft.value.get("artifactStores").and_then(Value::as_object) else { return };
    let mut regions = regions(draft);
    if let Some(own) = own {
        regions.entry(own).or_insert_with(|| "the pipeline".into());
    }
    for (region, user) in regions.iter().filter(|(region, _)| !stores.contains_key(**region)) {
        let message = format!(
            "a pipeline needs an artifact store for each region where it has an action; {region} is missing, where {user} \
             runs"
        );
        findings.error(Code::MissingRegionStore, "$.artifactStores", message);
    }
    if stores.is_empty() {
        findings.error(
            Code::MissingRegionStore,
            "$.artifactStores",
            "names no region; at least the pipeline's is needed",
        );
    }
}

/// Every region that an action names, or a rule that reads artifacts, with the first that names it.
fn regions<'a>(draft: &Draft<'a>) -> BTreeMap<&'a str, String> {
    let mut regions = BTreeMap::new();
    let readers = draft.rules.iter().filter(|rule| !list(rule.value, "inputArtifacts").is_empty());
    for task in draft.actions.iter().chain(readers) {
        if let Some(region) = text(task.value, "region") {
            regions.entry(region).or_insert_with(|| task.describe());
        }
    }
    regions
}

/// Whether it runs in the pipeline's region only.
fn is_bound(action: &Task<'_>) -> bool {
    action.category == Some(Category::Source) || matches!(action.owner, Some(Owner::ThirdParty | Owner::Custom))
}

fn check_cross_region(action: &Task<'_>, own: Option<&str>, findings: &mut Findings) {
    let Some((own, region)) = own.zip(text(action.value, "region")) else { return };
    if own != region {
        let message = format!(
            "{} cannot run in {region}: Source, third-party and custom actions run in the pipeline's region, {own}",
            action.describe()
        );
        findings.error(Code::CrossRegion, action.path("region"), message);
    }
}

//! The arrows between crates, and what may depend on which library, are as ARCHITECTURE.md says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{metadata, root};

/// Which crates of the project a crate may depend on (arrows are transitive).
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("wire", &["model", "engine"]),
    ("control", &["model", "engine", "wire"]),
    ("actions", &["model", "engine", "wire", "control"]),
    ("api", &["model", "engine", "wire", "control"]),
    ("aws", &["model", "engine", "wire", "control", "actions", "api"]),
    ("local", &["model", "engine", "wire", "control", "actions"]),
    ("testkit", &["model", "engine", "wire", "control"]),
    ("functions", &["model", "engine", "wire", "control", "actions", "api", "aws"]),
    ("cli", &["model", "engine", "wire", "control", "actions", "api", "local"]),
];

/// Libraries that only these crates may depend on.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("redb", &["local"]),
    ("lambda_runtime", &["functions"]),
    ("aws-sdk-", &["aws", "actions", "cli"]),
    ("tokio", &["local", "cli", "functions", "aws", "actions"]),
    ("clap", &["cli"]),
    ("anyhow", &["local", "cli", "functions", "xtask"]),
];

/// Normal dependencies of each crate of `crates/`, by directory.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
            .collect::<BTreeSet<_>>()
    };
    packages
        .iter()
        .map(|package| (package["name"].as_str().expect("a name").to_owned(), normal(package)))
        .map(|(name, all)| (name.strip_prefix("penstock-").unwrap_or(&name).to_owned(), all))
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let all = dependencies();
    for (name, allowed) in ARROWS {
        let own = all.get(*name).unwrap_or_else(|| panic!("there is no crate {name}"));
        for dependency in own.iter().filter_map(|dependency| dependency.strip_prefix("penstock-")) {
            assert!(allowed.contains(&dependency), "{name} depends on {dependency}; it may depend on {allowed:?}");
        }
    }
    for name in all.keys().filter(|name| !["tests", "xtask"].contains(&name.as_str())) {
        assert!(ARROWS.iter().any(|(known, _)| known == name), "the crate {name} has no row here");
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (name, own) in dependencies() {
        for (library, allowed) in ONLY_IN {
            let uses = own
                .iter()
                .any(|dependency| dependency == library || (library.ends_with('-') && dependency.starts_with(library)));
            assert!(
                !uses || allowed.contains(&name.as_str()),
                "{name} depends on {library}, which only {allowed:?} may"
            );
        }
    }
}

#[test]
fn the_architecture_page_lists_every_crate() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for name in dependencies().keys() {
        assert!(page.contains(&format!("| `{name}` |")), "ARCHITECTURE.md has no row for the crate {name}");
    }
    assert!(page.lines().count() <= 300, "ARCHITECTURE.md has more than 300 lines");
}

//! Whatever is broken in an accepted declaration is found: the right code at the right path.

use std::cell::Cell;

use model::action_types::{self, ActionType, ValueType};
use model::parse::{Format, parse};
use model::{Category, Code, Owner, Severity, validate};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::{corpus, generate};

/// What a mutation must lead to.
type Expected = (Code, String);

/// Breaks a declaration somewhere; `None` where there is nothing of the kind to break.
type Mutation = fn(&mut Value, Index) -> Option<Expected>;

const MUTATIONS: &[Mutation] = &[
    field_dropped,
    unknown_field,
    wrong_type,
    wrong_enum,
    number_out_of_range,
    name_too_long,
    name_with_a_space,
    stage_name_doubled,
    action_name_doubled,
    namespace_doubled,
    input_renamed,
    output_renamed,
    output_doubled,
    input_read_before_it_is_made,
    source_moved,
    single_stage,
    stores_mixed_up,
    configuration_key_dropped,
    configuration_key_unknown,
    configuration_mistyped,
    reference_to_nothing,
    v2_feature_in_v1,
];

fn pick<T>(index: Index, mut items: Vec<T>) -> Option<T> {
    (!items.is_empty()).then(|| items.swap_remove(index.index(items.len())))
}

/// Every stage with its index.
fn stages(pipeline: &Value) -> Vec<(usize, &Value)> {
    pipeline["stages"].as_array().into_iter().flatten().enumerate().collect()
}

/// Every action, as stage, index and the action.
fn actions(pipeline: &Value) -> Vec<(usize, usize, &Value)> {
    let of = |(stage, content): (usize, &'_ Value)| -> Vec<(usize, usize)> {
        (0..content["actions"].as_array().map_or(0, Vec::len)).map(|index| (stage, index)).collect()
    };
    stages(pipeline).into_iter().flat_map(of).map(|(s, a)| (s, a, &pipeline["stages"][s]["actions"][a])).collect()
}

/// Every action of a kind, as stage and index.
fn places(pipeline: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<(usize, usize)> {
    actions(pipeline).into_iter().filter(|(_, _, action)| wanted(action)).map(|(s, a, _)| (s, a)).collect()
}

fn known(action: &Value) -> Option<&'static ActionType> {
    let id = &action["actionTypeId"];
    let word = |field: &str| id[field].as_str().unwrap_or_default();
    action_types::find(Category::parse(word("category"))?, Owner::parse(word("owner"))?, word("provider"))
}

fn path(stage: usize, action: usize, rest: &str) -> String {
    format!("$.stages[{stage}].actions[{action}]{rest}")
}

/// The JSON pointer of a path that has only plain names.
fn pointer(path: &str) -> String {
    path.trim_start_matches('$').replace('[', "/").replace(']', "").replace('.', "/")
}

/// Paths of what exists and is required by the API.
fn required_paths(pipeline: &Value) -> Vec<String> {
    let mut paths: Vec<String> = ["$.name", "$.roleArn", "$.stages"].map(str::to_owned).into();
    for (stage, _) in stages(pipeline) {
        paths.extend([format!("$.stages[{stage}].name"), format!("$.stages[{stage}].actions")]);
    }
    for (stage, action, content) in actions(pipeline) {
        for field in [
            ".name",
            ".actionTypeId",
            ".actionTypeId.category",
            ".actionTypeId.owner",
            ".actionTypeId.provider",
            ".actionTypeId.version",
        ] {
            paths.push(path(stage, action, field));
        }
        for list in ["inputArtifacts", "outputArtifacts"] {
            for index in 0..content[list].as_array().map_or(0, Vec::len) {
                paths.push(path(stage, action, &format!(".{list}[{index}].name")));
            }
        }
    }
    paths
}

/// Paths of objects with known fields.
fn object_paths(pipeline: &Value) -> Vec<String> {
    let mut paths = vec!["$".to_owned()];
    paths.extend(stages(pipeline).iter().map(|(stage, _)| format!("$.stages[{stage}]")));
    for (stage, action, _) in actions(pipeline) {
        paths.extend([path(stage, action, ""), path(stage, action, ".actionTypeId")]);
    }
    paths
}

fn field_dropped(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let path = pick(index, required_paths(pipeline))?;
    let (parent, field) = path.rsplit_once('.')?;
    pipeline.pointer_mut(&pointer(parent))?.as_object_mut()?.remove(field)?;
    Some((Code::MissingField, path))
}

fn unknown_field(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let path = pick(index, object_paths(pipeline))?;
    pipeline.pointer_mut(&pointer(&path))?.as_object_mut()?.insert("surprise".into(), json!(1));
    Some((Code::UnknownField, format!("{path}.surprise")))
}

fn wrong_type(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let path = pick(index, required_paths(pipeline))?;
    *pipeline.pointer_mut(&pointer(&path))? = json!(7);
    Some((Code::WrongType, path))
}

fn wrong_enum(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let mut paths = vec!["$.pipelineType".to_owned(), "$.executionMode".to_owned()];
    for (stage, action, _) in actions(pipeline) {
        paths.extend([path(stage, action, ".actionTypeId.category"), path(stage, action, ".actionTypeId.owner")]);
    }
    let path = pick(index, paths)?;
    let (parent, field) = path.rsplit_once('.')?;
    pipeline.pointer_mut(&pointer(parent))?.as_object_mut()?.insert(field.into(), json!("Wrong"));
    Some((Code::InvalidEnum, path))
}

fn number_out_of_range(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let (stage, action) = pick(index, places(pipeline, |_| true))?;
    let (field, value) =
        [("runOrder", 0), ("runOrder", 1000), ("timeoutInMinutes", 4), ("timeoutInMinutes", 86401)][index.index(4)];
    pipeline["stages"][stage]["actions"][action][field] = json!(value);
    Some((Code::InvalidRange, path(stage, action, &format!(".{field}"))))
}

fn set_name(pipeline: &mut Value, index: Index, name: &str) -> Option<String> {
    let paths = required_paths(pipeline).into_iter().filter(|path| path.ends_with(".name")).collect();
    let path = pick(index, paths)?;
    *pipeline.pointer_mut(&pointer(&path))? = json!(name);
    Some(path)
}

fn name_too_long(pipeline: &mut Value, index: Index) -> Option<Expected> {
    Some((Code::InvalidLength, set_name(pipeline, index, &"n".repeat(101))?))
}

fn name_with_a_space(pipeline: &mut Value, index: Index) -> Option<Expected> {
    Some((Code::InvalidPattern, set_name(pipeline, index, "a name")?))
}

fn stage_name_doubled(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let stage = pick(index, (1..stages(pipeline).len()).collect())?;
    pipeline["stages"][stage]["name"] = pipeline["stages"][0]["name"].clone();
    Some((Code::DuplicateName, format!("$.stages[{stage}].name")))
}

fn action_name_doubled(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let later = actions(pipeline).into_iter().filter(|(_, action, _)| *action > 0).map(|(s, a, _)| (s, a)).collect();
    let (stage, action) = pick(index, later)?;
    pipeline["stages"][stage]["actions"][action]["name"] = pipeline["stages"][stage]["actions"][0]["name"].clone();
    Some((Code::DuplicateName, path(stage, action, ".name")))
}

fn namespace_doubled(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let named = places(pipeline, |action| action["namespace"].is_string());
    let (first, rest) = named.split_first()?;
    let (stage, action) = pick(index, rest.to_vec())?;
    pipeline["stages"][stage]["actions"][action]["namespace"] =
        pipeline["stages"][first.0]["actions"][first.1]["namespace"].clone();
    Some((Code::NamespaceConflict, path(stage, action, ".namespace")))
}

fn first_input(pipeline: &Value) -> Vec<(usize, usize)> {
    places(pipeline, |action| action["inputArtifacts"][0]["name"].is_string())
}

fn first_output(pipeline: &Value) -> Vec<(usize, usize)> {
    places(pipeline, |action| action["outputArtifacts"][0]["name"].is_string())
}

fn input_renamed(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let (stage, action) = pick(index, first_input(pipeline))?;
    pipeline["stages"][stage]["actions"][action]["inputArtifacts"][0]["name"] = json!("Nowhere");
    Some((Code::UnknownArtifact, path(stage, action, ".inputArtifacts[0].name")))
}

fn output_renamed(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let (reader_stage, reader) = pick(index, first_input(pipeline))?;
    let name = pipeline["stages"][reader_stage]["actions"][reader]["inputArtifacts"][0]["name"].clone();
    let (stage, action) = *places(pipeline, |action| action["outputArtifacts"][0]["name"] == name).first()?;
    pipeline["stages"][stage]["actions"][action]["outputArtifacts"][0]["name"] = json!("Renamed");
    Some((Code::UnknownArtifact, path(reader_stage, reader, ".inputArtifacts[0].name")))
}

fn output_doubled(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let makers = first_output(pipeline);
    let (first, rest) = makers.split_first()?;
    let (stage, action) = pick(index, rest.to_vec())?;
    pipeline["stages"][stage]["actions"][action]["outputArtifacts"][0]["name"] =
        pipeline["stages"][first.0]["actions"][first.1]["outputArtifacts"][0]["name"].clone();
    Some((Code::DuplicateArtifact, path(stage, action, ".outputArtifacts[0].name")))
}

fn input_read_before_it_is_made(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let both = |action: &Value| {
        action["inputArtifacts"][0]["name"].is_string() && action["outputArtifacts"][0]["name"].is_string()
    };
    let (stage, action) = pick(index, places(pipeline, both))?;
    let content = &mut pipeline["stages"][stage]["actions"][action];
    content["inputArtifacts"][0]["name"] = content["outputArtifacts"][0]["name"].clone();
    Some((Code::ArtifactOrder, path(stage, action, ".inputArtifacts[0].name")))
}

fn source_moved(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let stage = pick(index, (1..stages(pipeline).len()).collect())?;
    let source = pipeline["stages"][0]["actions"][0].clone();
    let actions = pipeline["stages"][stage]["actions"].as_array_mut()?;
    actions.push(source);
    Some((Code::SourcePlacement, path(stage, actions.len() - 1, ".actionTypeId.category")))
}

fn single_stage(pipeline: &mut Value, _: Index) -> Option<Expected> {
    pipeline["stages"].as_array_mut()?.truncate(1);
    Some((Code::TooFewStages, "$.stages".into()))
}

fn stores_mixed_up(pipeline: &mut Value, _: Index) -> Option<Expected> {
    let fields = pipeline.as_object_mut()?;
    if fields.remove("artifactStore").is_some() {
        return Some((Code::ArtifactStoreChoice, "$.artifactStore".into()));
    }
    fields.insert("artifactStore".into(), json!({"type": "S3", "location": "bucket"}));
    Some((Code::ArtifactStoreChoice, "$.artifactStores".into()))
}

fn configuration_key_dropped(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let keys = |(stage, action, content): (usize, usize, &Value)| -> Vec<(usize, usize, String)> {
        let required = known(content).into_iter().flat_map(|known| &known.configuration).filter(|key| key.required);
        required.map(|key| (stage, action, key.key.clone())).collect()
    };
    let (stage, action, key) = pick(index, actions(pipeline).into_iter().flat_map(keys).collect())?;
    pipeline["stages"][stage]["actions"][action]["configuration"].as_object_mut()?.remove(&key)?;
    Some((Code::MissingConfiguration, path(stage, action, &format!(".configuration.{key}"))))
}

fn configuration_key_unknown(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let strict = |action: &Value| known(action).is_some_and(|known| !known.takes_any_key());
    let (stage, action) = pick(index, places(pipeline, strict))?;
    pipeline["stages"][stage]["actions"][action]["configuration"]["Surprise"] = json!("x");
    Some((Code::UnknownConfiguration, path(stage, action, ".configuration.Surprise")))
}

fn configuration_mistyped(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let keys = |(stage, action, content): (usize, usize, &Value)| -> Vec<(usize, usize, String)> {
        let typed = known(content).into_iter().flat_map(|known| &known.configuration);
        let typed = typed.filter(|key| !matches!(key.value, ValueType::Text | ValueType::Shell));
        typed.map(|key| (stage, action, key.key.clone())).collect()
    };
    let (stage, action, key) = pick(index, actions(pipeline).into_iter().flat_map(keys).collect())?;
    pipeline["stages"][stage]["actions"][action]["configuration"][&key] = json!("certainly not");
    Some((Code::InvalidConfiguration, path(stage, action, &format!(".configuration.{key}"))))
}

fn reference_to_nothing(pipeline: &mut Value, index: Index) -> Option<Expected> {
    let settings = |(stage, action, content): (usize, usize, &Value)| -> Vec<(usize, usize, String)> {
        let settings = content["configuration"].as_object().into_iter().flatten();
        settings
            .filter(|(key, _)| key.chars().all(char::is_alphanumeric))
            .map(|(key, _)| (stage, action, key.clone()))
            .collect()
    };
    let (stage, action, key) = pick(index, actions(pipeline).into_iter().flat_map(settings).collect())?;
    let code = if stage == 0 { Code::VariableInSource } else { Code::UnresolvedVariable };
    pipeline["stages"][stage]["actions"][action]["configuration"][&key] = json!("#{NoSuchNamespace.Key}");
    Some((code, path(stage, action, &format!(".configuration.{key}"))))
}

fn v2_feature_in_v1(pipeline: &mut Value, index: Index) -> Option<Expected> {
    pipeline["pipelineType"] = json!("V1");
    let (field, value) = [
        ("executionMode", json!("QUEUED")),
        ("variables", json!([{"name": "v"}])),
        (
            "triggers",
            json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "s"}}]),
        ),
    ][index.index(3)]
    .clone();
    pipeline[field] = value;
    Some((Code::RequiresV2, format!("$.{field}")))
}

/// The accepted declarations of the corpus.
fn real() -> Vec<Value> {
    let accepted = corpus::entries().into_iter().filter(|entry| entry.accepted);
    accepted.map(|entry| parse(&entry.text, Format::Json).expect("accepted").pipeline).collect()
}

fn check(mut pipeline: Value, mutation: usize, index: Index) -> Result<(), TestCaseError> {
    let Some((code, path)) = MUTATIONS[mutation](&mut pipeline, index) else { return Ok(()) };
    let (accepted, findings) = validate(&pipeline);
    let all: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
    let found = findings.iter().any(|f| f.severity == Severity::Error && f.code == code && f.path == path);
    prop_assert!(found, "{code} at {path} is not found:{all}\n{pipeline:#}");
    prop_assert!(accepted.is_none());
    Ok(())
}

#[test]
fn what_is_made_up_is_accepted() {
    proptest!(|(pipeline in generate::declarations())| {
        let (accepted, findings) = validate(&pipeline);
        let all: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
        prop_assert!(accepted.is_some(), "refused:{all}\n{pipeline:#}");
        // Reading back what was read gives the same declaration.
        let written = serde_json::to_value(accepted).expect("a declaration is JSON");
        prop_assert_eq!(serde_json::to_value(validate(&written).0).expect("JSON"), written);
    });
}

#[test]
fn mutations_of_made_up_declarations_are_found() {
    proptest!(ProptestConfig::with_cases(600), |(
        pipeline in generate::declarations(), mutation in 0..MUTATIONS.len(), index: Index
    )| check(pipeline, mutation, index)?);
}

#[test]
fn mutations_of_real_declarations_are_found() {
    let real = real();
    if real.is_empty() {
        return;
    }
    proptest!(ProptestConfig::with_cases(600), |(which: Index, mutation in 0..MUTATIONS.len(), index: Index)| {
        check(which.get(&real).clone(), mutation, index)?;
    });
}

#[test]
fn every_mutation_applies_somewhere() {
    let applied: Vec<_> = MUTATIONS.iter().map(|_| Cell::new(0)).collect();
    proptest!(|(pipeline in generate::declarations(), index: Index)| {
        for (count, mutation) in applied.iter().zip(MUTATIONS) {
            count.set(count.get() + usize::from(mutation(&mut pipeline.clone(), index).is_some()));
        }
    });
    assert!(applied.iter().all(|count| count.get() > 0), "{applied:?}");
}

//! Whatever stands in a file, it is read and judged without a panic, and what is found has a place in it.

use model::parse::{Format, locate};
use model::{shapes, validate, validate_text};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::generate;

const WORDS: &[&str] = &[
    "name",
    "roleArn",
    "stages",
    "actions",
    "actionTypeId",
    "category",
    "Source",
    "owner",
    "AWS",
    "provider",
    "S3",
    "version",
    "configuration",
    "commands",
    "inputArtifacts",
    "outputArtifacts",
    "namespace",
    "beforeEntry",
    "onFailure",
    "conditions",
    "rules",
    "ruleTypeId",
    "result",
    "RETRY",
    "triggers",
    "gitConfiguration",
    "push",
    "tags",
    "includes",
    "variables",
    "defaultValue",
    "artifactStore",
    "artifactStores",
    "pipelineType",
    "V2",
    "pipeline",
    "metadata",
    "#{a.b}",
    "",
    "1",
    "ä",
];

fn any_json() -> impl Strategy<Value = Value> {
    let word = || select(WORDS).prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        word().prop_map(Value::String),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(8, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((word(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A declaration in which some value is replaced by any other.
fn damaged() -> impl Strategy<Value = Value> {
    (generate::declarations(), any_json(), any::<Index>()).prop_map(|(mut pipeline, rubbish, index)| {
        let mut pointers = Vec::new();
        collect(&pipeline, String::new(), &mut pointers);
        if let Some(place) = pipeline.pointer_mut(index.get::<String>(&pointers)) {
            *place = rubbish;
        }
        pipeline
    })
}

fn collect(value: &Value, pointer: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{pointer}/{index}"), pointers));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| collect(field, format!("{pointer}/{name}"), pointers));
        }
        _ => {}
    }
    pointers.push(pointer);
}

fn judge(bytes: &[u8]) {
    for format in [Format::Json, Format::Yaml, Format::Unknown] {
        let (_, findings) = validate_text(bytes, format);
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        for finding in findings {
            let ranges = [finding.span.clone(), locate(text, &finding.path)];
            for range in ranges.into_iter().flatten() {
                assert!(text.get(range.clone()).is_some(), "{finding} lies at {range:?} of {text:?}");
            }
        }
    }
}

const YAML: &str = "pipeline:\n  name: &n 'p'\n  roleArn: \"arn:aws:iam::123456789012:role/r\"\n  stages:\n    - name: *n\n      \
                    actions: [{name: a, runOrder: 1}]\n    - ? name\n      : >-\n        folded\n        text\n# end\n...\n";

proptest! {
    #[test]
    fn any_json_is_judged(value in any_json()) {
        validate(&value);
        for (_, operation) in shapes::operations() {
            shapes::validate(&operation.input, &value);
        }
        judge(value.to_string().as_bytes());
    }

    #[test]
    fn damaged_declarations_are_judged(value in damaged()) {
        validate(&value);
        judge(value.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judge(&bytes);
    }

    #[test]
    fn any_text_is_judged(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \t\n\r~.a0ä\u{feff}]|\\n  |- |: ){0,60}") {
        judge(text.as_bytes());
    }

    #[test]
    fn damaged_texts_are_judged(
        yaml: bool,
        pipeline in generate::declarations(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = if yaml { YAML.as_bytes().to_vec() } else { serde_json::to_vec_pretty(&pipeline).expect("JSON") };
        for (index, byte) in changes {
            let length = bytes.len();
            bytes[index.index(length)] = byte;
        }
        judge(&bytes);
    }
}

use serde_json::json;

use super::*;
use crate::finding::Code;

fn found(shape: &str, value: Value) -> Vec<(String, Code)> {
    validate(shape, &value).into_iter().map(|finding| (finding.path, finding.code)).collect()
}

#[test]
fn the_table_is_read_whole() {
    assert_eq!(operations().count(), 44);
    assert_eq!(errors().count(), 42);
    assert_eq!(TABLE.shapes.len(), 400);
    assert_eq!(target_prefix(), "CodePipeline_20150709");
    for (name, operation) in operations() {
        assert!(!shape(&operation.input).expect(name).name.is_empty());
        assert!(operation.output.as_ref().is_none_or(|output| shape(output).is_some()), "{name}");
        assert!(operation.errors.iter().all(|name| error(name).is_some()), "{name}");
    }
    assert_eq!(error("ConflictException").expect("known").http_status, 409);
    assert_eq!(operation("ListPipelines").and_then(|o| o.paginator.as_ref()).expect("paged").result_key, "pipelines");
    let token = shape("StartPipelineExecutionInput").and_then(|s| s.member("clientRequestToken")).expect("member");
    assert!(token.idempotency_token && !token.required);
}

#[test]
fn every_pattern_compiles_and_matches_whole_texts_only() {
    for shape in &TABLE.shapes {
        if let Kind::String { pattern: Some(pattern), .. } = &shape.kind {
            assert!(pattern.regex().is_some(), "{}: {}", shape.name, pattern.source);
        }
    }
    let pattern = Pattern::new("a|b".into());
    assert!(pattern.matches("a") && pattern.matches("b") && !pattern.matches("ab") && !pattern.matches("a\n"));
    assert!(!Pattern::new(r"[\w]+".into()).matches("ä"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_kind_of_constraint_is_checked() {
    let long_key = format!("$.{}", "k".repeat(51));
    let cases = [
        ("StartPipelineExecutionInput", json!({"name": "p"}), vec![]),
        ("StartPipelineExecutionInput", json!({}), vec![("$.name", Code::MissingField)]),
        ("StartPipelineExecutionInput", json!({"name": null}), vec![("$.name", Code::MissingField)]),
        ("StartPipelineExecutionInput", json!({"name": "p", "variables": null}), vec![]),
        ("StartPipelineExecutionInput", json!({"name": "a b"}), vec![("$.name", Code::InvalidPattern)]),
        ("StartPipelineExecutionInput", json!({"name": ""}), vec![("$.name", Code::InvalidLength)]),
        ("StartPipelineExecutionInput", json!({"name": "p".repeat(101)}), vec![("$.name", Code::InvalidLength)]),
        ("StartPipelineExecutionInput", json!({"name": true}), vec![("$.name", Code::WrongType)]),
        ("StartPipelineExecutionInput", json!([]), vec![("$", Code::WrongType)]),
        (
            "StartPipelineExecutionInput",
            json!({"name": "p", "variables": []}),
            vec![("$.variables", Code::InvalidCount)],
        ),
        (
            "StartPipelineExecutionInput",
            json!({"name": "p", "nmae": 1, "variables": [{"name": "ü", "value": "x\ny"}]}),
            vec![
                ("$.nmae", Code::UnknownField),
                ("$.variables[0].name", Code::InvalidPattern),
                ("$.variables[0].value", Code::InvalidPattern),
            ],
        ),
        ("ListPipelinesInput", json!({"maxResults": 0}), vec![("$.maxResults", Code::InvalidRange)]),
        ("ListPipelinesInput", json!({"maxResults": 1001}), vec![("$.maxResults", Code::InvalidRange)]),
        ("ListPipelinesInput", json!({"maxResults": 1.5}), vec![("$.maxResults", Code::WrongType)]),
        ("ListPipelinesInput", json!({"maxResults": u64::MAX}), vec![("$.maxResults", Code::InvalidRange)]),
        (
            "StopPipelineExecutionInput",
            json!({"abandon": 1}),
            vec![
                ("$.abandon", Code::WrongType),
                ("$.pipelineExecutionId", Code::MissingField),
                ("$.pipelineName", Code::MissingField),
            ],
        ),
        ("ExecutionMode", json!("QUEUE"), vec![("$", Code::InvalidEnum)]),
        (
            "ActionConfigurationMap",
            json!({"k".repeat(51): "v", "": "", "a": null}),
            vec![
                ("$['']", Code::InvalidLength),
                ("$['']", Code::InvalidLength),
                ("$.a", Code::WrongType),
                (long_key.as_str(), Code::InvalidLength),
            ],
        ),
        ("ActionConfigurationValue", json!("x".repeat(50_000)), vec![]),
        ("ActionConfigurationValue", json!("ü".repeat(50_000)), vec![]),
        ("ActionConfigurationValue", json!("x".repeat(50_001)), vec![("$", Code::InvalidLength)]),
        ("Timestamp", json!(1.5), vec![]),
        ("Timestamp", json!("2020"), vec![("$", Code::WrongType)]),
    ];
    for (shape, value, expected) in cases {
        // Fields are looked at in the order of the map, which is not always that of their names.
        let mut expected: Vec<_> = expected.into_iter().map(|(path, code)| (path.to_owned(), code)).collect();
        let mut told = found(shape, value.clone());
        let by_path = |one: &(String, Code), other: &(String, Code)| one.0.cmp(&other.0);
        expected.sort_by(by_path);
        told.sort_by(by_path);
        assert_eq!(told, expected, "{shape} {value}");
    }
}

#[test]
fn messages_say_what_would_be_right_and_hide_values() {
    let message = |shape, value| validate(shape, &value).remove(0).message;
    assert_eq!(
        message("ActionTypeId", json!({"category": "Biuld", "owner": "AWS", "provider": "p", "version": "1"})),
        "\"Biuld\" is not one of Source, Build, Deploy, Test, Invoke, Approval, Compute; did you mean \"Build\"?"
    );
    assert_eq!(message("Version", json!(1)), "is a number, but a string is needed: put it in quotes as it is written");
    assert!(message("RoleArn", json!("")).starts_with("\"\" does not match"));
    assert!(!message("ActionConfigurationValue", json!(123_456)).contains("123"));
    assert_eq!(
        message("InputArtifact", json!({"naem": "x", "name": "x"})),
        "\"naem\" is not a field here; did you mean \"name\"?"
    );
}

#[test]
fn hostile_numbers_of_faults_are_cut() {
    let many: serde_json::Map<String, Value> = (0..5_000).map(|i| (format!("f{i}"), json!(1))).collect();
    let findings = validate("InputArtifact", &Value::Object(many));
    assert_eq!(findings.len(), 1_001);
    assert_eq!(findings.last().map(|f| f.code), Some(Code::TooManyFindings));
}

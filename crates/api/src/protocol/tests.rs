use http::HeaderName;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (k.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
}

fn parts(path: &str, pairs: &[(&str, &str)]) -> Parts {
    let mut parts = http::Request::builder().method("POST").uri(path).body(()).unwrap().into_parts().0;
    parts.headers = headers(pairs);
    parts
}

fn body(bytes: &[u8]) -> Result<Value, ApiError> {
    super::body(Protocol::Json, &HeaderMap::new(), bytes)
}

#[test]
fn targets_of_cbor() {
    let read = |path: &str, pairs: &[(&str, &str)]| super::target(Protocol::Cbor, &parts(path, pairs));
    let cbor = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    let path = "/service/CodePipeline_20150709/operation/GetPipeline";
    assert_eq!(read(path, &cbor), Ok(Target::CodePipeline("GetPipeline".into())));
    assert_eq!(read(path, &cbor[..1]), Ok(Target::CodePipeline("GetPipeline".into())));
    assert_eq!(read("/service/Penstock_20261124/operation/X", &cbor), Ok(Target::Extension("X".into())));
    assert_eq!(read(path, &cbor[1..]).unwrap_err().code, "UnknownOperationException");
    assert_eq!(read(path, &[cbor[0], ("content-type", "application/json")]).unwrap_err().status, 415);
    for wrong in
        ["/service/CodePipeline/operation/GetPipeline", "/service/", "/service/CodePipeline_20150709/operation/Get"]
    {
        assert_eq!(read(wrong, &cbor).unwrap_err().code, "UnknownOperationException", "{wrong}");
    }
}

#[test]
fn bodies_may_be_gzip() {
    use std::io::Write as _;
    let zip = |text: &[u8]| {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(text).unwrap();
        zip.finish().unwrap()
    };
    let gzip = headers(&[("content-encoding", "gzip")]);
    for coding in ["gzip", "GZIP", "x-gzip"] {
        let headers = headers(&[("content-encoding", coding)]);
        assert_eq!(super::body(Protocol::Json, &headers, &zip(b"{\"name\": \"a\"}")), Ok(json!({ "name": "a" })));
    }
    assert_eq!(super::body(Protocol::Json, &gzip, b"{}").unwrap_err().code, "SerializationException");
    let bomb = zip(&vec![b' '; MAX_REQUEST_BYTES + 1]);
    assert!(bomb.len() < 100_000);
    assert_eq!(super::body(Protocol::Json, &gzip, &bomb).unwrap_err().status, 413);
    for wrong in ["br", "gzip, gzip"] {
        let error = super::body(Protocol::Json, &headers(&[("content-encoding", wrong)]), b"{}").unwrap_err();
        assert_eq!(error.status, 415, "{wrong}");
    }
}

/// What libFuzzer found: a signature for `/` holds for every path that becomes it.
#[test]
fn paths_are_what_was_signed() {
    assert_eq!(Protocol::of("/service/CodePipeline_20150709/operation/GetPipeline"), Some(Protocol::Cbor));
    for path in ["/service/..", "/service/x/../..", "/./", "//", "/service//operation", "/service/./x"] {
        assert_eq!(Protocol::of(path), None, "{path}");
    }
}

#[test]
fn small_bodies_do_not_become_large() {
    let wide = format!("{{\"a\":[{}0]}}", "[],".repeat(MAX_VALUES));
    assert!(body(wide.as_bytes()).unwrap_err().message.contains("too many values"));
}

fn message(shape: &str, input: &Value) -> String {
    let error = check(shape, input).unwrap_err();
    assert_eq!((error.code, error.status), ("ValidationException", 400));
    error.message
}

#[test]
fn targets() {
    let read = |target: &str, content_type: &str| {
        super::target(Protocol::Json, &parts("/", &[("x-amz-target", target), ("content-type", content_type)]))
    };
    let json = "application/x-amz-json-1.1";
    assert_eq!(read("CodePipeline_20150709.GetPipeline", json), Ok(Target::CodePipeline("GetPipeline".into())));
    assert_eq!(read("Penstock_20261124.X", json), Ok(Target::Extension("X".into())));
    assert!(read("CodePipeline_20150709.GetPipeline", "Application/X-Amz-Json-1.1; charset=utf-8").is_ok());
    for wrong in ["CodePipeline_20150709.getPipeline", "CodePipeline_20150709", "DynamoDB_20120810.GetItem", "", "."] {
        assert_eq!(read(wrong, json).unwrap_err().code, "UnknownOperationException", "{wrong}");
    }
    for wrong in
        ["", "text/plain", "application/json", "application/x-www-form-urlencoded", "application/x-amz-json-1.10"]
    {
        assert_eq!(read("CodePipeline_20150709.GetPipeline", wrong).unwrap_err().status, 415, "{wrong}");
    }
    let twice = [
        ("x-amz-target", "CodePipeline_20150709.GetPipeline"),
        ("x-amz-target", "CodePipeline_20150709.DeletePipeline"),
        ("content-type", json),
    ];
    assert_eq!(target(Protocol::Json, &parts("/", &twice)).unwrap_err().code, "UnknownOperationException");
}

#[test]
fn bodies_are_objects() {
    assert_eq!(body(b""), Ok(json!({})));
    assert_eq!(body(b" \n"), Ok(json!({})));
    assert_eq!(
        body(r#"{"a": [1, -2, 1.5, "ä", null, true], "b": {}}"#.as_bytes()),
        Ok(json!({ "a": [1, -2, 1.5, "ä", null, true], "b": {} }))
    );
    for wrong in ["[]", "1", "null", "{", "{} {}", "{'a': 1}", "{\"a\": NaN}", "{\"a\": 1e999}", "\u{feff}{}"] {
        assert_eq!(body(wrong.as_bytes()).unwrap_err().code, "SerializationException", "{wrong}");
    }
}

#[test]
fn hostile_bodies_are_refused() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(body(deep.as_bytes()).unwrap_err().message.contains("recursion limit"));
    let deep = "{\"a\":".repeat(100_000);
    assert_eq!(body(deep.as_bytes()).unwrap_err().code, "SerializationException");
    assert!(body(b"{\"name\": \"\xff\xfe\"}").is_err());
    assert!(body(b"{\"name\": \"\\ud800\"}").is_err());
    for twice in [r#"{"name":"a","name":"b"}"#, r#"{"a":[{"x":{},"x":{}}]}"#, r#"{"a":1,"\u0061":2}"#] {
        assert!(body(twice.as_bytes()).unwrap_err().message.contains("twice"), "{twice}");
    }
    let huge = format!("{{\"name\": {}}}", "9".repeat(400));
    let error = body(huge.as_bytes()).and_then(|input| check("GetPipelineInput", &input)).unwrap_err();
    assert_eq!(error.code, "SerializationException");
}

#[test]
fn one_fault_is_worded_as_codepipeline_does() {
    assert_eq!(
        message("GetPipelineInput", &json!({ "name": "a b" })),
        "1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [A-Za-z0-9.@\\-_]+"
    );
    assert_eq!(
        message("GetPipelineInput", &json!({})),
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"
    );
    assert_eq!(
        message("ListPipelinesInput", &json!({ "maxResults": 1001 })),
        "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value \
         less than or equal to 1000"
    );
    assert_eq!(
        message("GetPipelineInput", &json!({ "name": "p", "nmae": "x" })),
        "1 validation error detected: Value given at 'nmae' failed to satisfy constraint: Member must be one of \
         [name, version]"
    );
}

#[test]
fn all_faults_come_in_one_answer() {
    assert_eq!(
        message("RetryStageExecutionInput", &json!({ "pipelineName": "", "retryMode": "SOME", "stageName": "s" })),
        "4 validation errors detected: Value null at 'pipelineExecutionId' failed to satisfy constraint: Member must not \
         be null; Value '' at 'pipelineName' failed to satisfy constraint: Member must have length greater than or equal \
         to 1; Value '' at 'pipelineName' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [A-Za-z0-9.@\\-_]+; Value 'SOME' at 'retryMode' failed to satisfy constraint: Member must satisfy enum value \
         set: [FAILED_ACTIONS, ALL_ACTIONS]"
    );
}

#[test]
fn places_in_lists_and_maps() {
    let input = json!({ "name": "p", "variables": [{ "name": "ok", "value": "v" }, { "name": "ü", "value": "" }] });
    let text = message("StartPipelineExecutionInput", &input);
    assert!(text.starts_with("2 validation errors detected: Value 'ü' at 'variables.2.member.name' failed"), "{text}");
    assert!(text.contains("Value '****' at 'variables.2.member.value' failed to satisfy constraint: Member must have"));
    let none = message("StartPipelineExecutionInput", &json!({ "name": "p", "variables": [] }));
    assert!(none.contains("Value of 0 members at 'variables' failed"), "{none}");
    let long = "k".repeat(51);
    let action = json!({ "name": "a", "actionTypeId": { "category": "Build", "owner": "AWS", "provider": "X", "version": "1" },
                         "configuration": { long: "v" } });
    let text = message("ActionDeclaration", &action);
    assert!(text.contains("at 'configuration' failed to satisfy constraint: Map keys must have length less"), "{text}");
}

#[test]
fn secret_values_are_not_shown() {
    let credentials = json!({ "name": "p", "variables": [{ "name": "TOKEN", "value": "hunter2\nhunter3" }] });
    assert!(!message("StartPipelineExecutionInput", &credentials).contains("hunter"));
}

#[test]
fn wrong_types_cannot_be_read() {
    for (input, place) in [
        (json!({ "name": 1 }), "'name' must be a string"),
        (json!({ "name": "p", "version": "1" }), "'version' must be a whole number"),
        (json!({ "name": "p", "version": 1.5 }), "'version' must be a whole number of 32 bits"),
        (json!({ "name": "p", "version": 4_294_967_296_i64 }), "'version' must be a whole number of 32 bits"),
        (json!({ "name": ["p"] }), "'name' must be a string"),
    ] {
        let error = check("GetPipelineInput", &input).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("SerializationException", place));
    }
}

#[test]
fn faults_are_bounded() {
    let variables: Vec<Value> = (0..10_000).map(|_| json!({ "name": "", "value": "" })).collect();
    let text = message("StartPipelineExecutionInput", &json!({ "name": "p".repeat(100_000), "variables": variables }));
    assert!(text.starts_with("100 validation errors detected"), "{}", &text[..80]);
    assert!(text.len() < 40_000, "{}", text.len());
}

#[test]
fn every_operation_has_an_input_that_is_checked() {
    for (name, operation) in shapes::operations() {
        let required = shapes::shape(&operation.input).unwrap().members().iter().any(|member| member.required);
        assert_eq!(check(&operation.input, &json!({})).is_err(), required, "{name}");
        assert!(check(&operation.input, &json!({ "noSuchField": 1 })).is_err(), "{name}");
    }
}

#[test]
fn both_readers_of_the_model_agree() {
    for (shape, input) in [
        ("GetPipelineInput", json!({ "name": "p", "version": 1 })),
        ("GetPipelineInput", json!({ "name": "p", "version": 0 })),
        ("GetPipelineInput", json!({ "name": "p", "version": null })),
        ("PutApprovalResultInput", json!({ "pipelineName": "p" })),
        ("ListPipelinesInput", json!({ "nextToken": "" })),
        ("TagResourceInput", json!({ "resourceArn": "arn:aws:codepipeline:us-east-1:123456789012:p", "tags": [] })),
    ] {
        assert_eq!(check(shape, &input).is_ok(), shapes::validate(shape, &input).is_empty(), "{shape} {input}");
    }
}

#[test]
fn answers_and_errors() {
    let target = Target::CodePipeline("GetPipeline".into());
    let ok = success(Protocol::Json, &target, json!({ "a": 1 }).into(), "id-1");
    assert_eq!(ok.headers()["content-type"], "application/x-amz-json-1.1");
    assert_eq!(ok.headers()["x-amzn-requestid"], "id-1");
    assert!(matches!(ok.body(), Body::Full(bytes) if bytes == r#"{"a":1}"#));
    assert!(
        matches!(success(Protocol::Json, &target, Value::Null.into(), "id").body(), Body::Full(bytes) if bytes.is_empty())
    );
    let error = failure(Protocol::Json, &ApiError::new("ConflictException", "busy"), "id-2");
    assert_eq!(error.status(), 409);
    assert_eq!(error.headers()["x-amzn-errortype"], "ConflictException");
    assert!(matches!(error.body(), Body::Full(bytes) if bytes == r#"{"__type":"ConflictException","message":"busy"}"#));
    let cbor = failure(Protocol::Cbor, &ApiError::new("ConflictException", "busy"), "id-3");
    assert_eq!(
        (cbor.status().as_u16(), &cbor.headers()["smithy-protocol"]),
        (409, &HeaderValue::from_static("rpc-v2-cbor"))
    );
    let Body::Full(bytes) = cbor.body() else { panic!("a stream") };
    let expected = json!({ "__type": "com.amazonaws.codepipeline#ConflictException", "message": "busy" });
    assert_eq!(cbor::body(bytes), Ok(expected));
    let none = success(Protocol::Cbor, &target, Value::Null.into(), "id");
    assert!(none.headers().get("content-type").is_none(), "there is no body");
}

#[test]
fn every_refusal_has_an_error_of_the_model() {
    use engine::Refusal as R;
    let why = || "why".to_owned();
    let all = [
        R::PipelineNotFound,
        R::PipelineNameInUse,
        R::ExecutionNotFound,
        R::StageNotFound("s".into()),
        R::ActionNotFound,
        R::PipelinesLimit(1000),
        R::ConcurrentExecutionsLimit(50),
        R::DuplicatedStop,
        R::NotStoppable(why()),
        R::StageNotRetryable(why()),
        R::NotLatestExecution(why()),
        R::Conflict(why()),
        R::UnableToRollback(why()),
        R::ExecutionOutdated(why()),
        R::ConditionNotOverridable(why()),
        R::InvalidApprovalToken,
        R::ApprovalAlreadyCompleted,
        R::Invalid(why()),
    ];
    let mut codes: Vec<&str> = all.map(|refusal| ApiError::from(refusal).code).to_vec();
    assert!(codes.iter().all(|code| shapes::error(code).is_some()), "{codes:?}");
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 18);
}

proptest! {
    #[test]
    fn no_body_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(input) = body(&bytes) {
            let _ = check("CreatePipelineInput", &input);
        }
    }
}

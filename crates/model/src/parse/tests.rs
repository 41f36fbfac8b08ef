use serde_json::json;

use super::*;

fn codes(text: &[u8], format: Format) -> Vec<(Code, String)> {
    let findings = match parse(text, format) {
        Ok(declared) => declared.findings,
        Err(findings) => findings,
    };
    findings.into_iter().map(|finding| (finding.code, finding.path)).collect()
}

fn value(text: &str, format: Format) -> Value {
    parse(text.as_bytes(), format).expect("readable").pipeline
}

#[test]
fn three_envelopes_in_two_formats() {
    let bare = json!({"name": "p", "stages": [{"name": "s"}]});
    for (text, format) in [
        (r#"{"name": "p", "stages": [{"name": "s"}]}"#, Format::Json),
        (r#"{"pipeline": {"name": "p", "stages": [{"name": "s"}]}, "metadata": {"created": 1}}"#, Format::Json),
        ("\u{FEFF}{\"name\": \"p\",\t\"stages\": [{\"name\": \"s\"}]}", Format::Unknown),
        ("{\n\t\"name\": \"p\",\n\t\"stages\": [{\"name\": \"s\"}]}", Format::Yaml),
        ("name: p\nstages:\n- name: s\n", Format::Yaml),
        ("\u{FEFF}name: p\nstages:\n- name: s\n", Format::Unknown),
        ("---\npipeline:\n  name: \"p\"\n  stages: [{name: s}]\nmetadata: ~\n", Format::Unknown),
        ("{name: p, stages: [{name: 's'}]}", Format::Yaml),
    ] {
        assert_eq!(value(text, format), bare, "{text}");
    }
    let declared = parse(br#"{"pipeline": {}, "tags": [{"key": "k", "value": "v"}]}"#, Format::Json).expect("readable");
    assert_eq!(declared.tags, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(declared.findings, []);
}

#[test]
fn names_tell_formats() {
    for (name, format) in
        [("a.json", Format::Json), ("a.YML", Format::Yaml), ("a.yaml", Format::Yaml), ("a", Format::Unknown)]
    {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    for (text, format, expected) in [
        (b"".to_vec(), Format::Json, vec![(Code::InvalidSyntax, "$")]),
        (b"".to_vec(), Format::Unknown, vec![(Code::InvalidSyntax, "$")]),
        (b"# nothing\n".to_vec(), Format::Yaml, vec![(Code::InvalidSyntax, "$")]),
        (b"{\"a\": 1,}".to_vec(), Format::Json, vec![(Code::InvalidSyntax, "$")]),
        (b"{} {}".to_vec(), Format::Json, vec![(Code::InvalidSyntax, "$")]),
        (b"a: [b".to_vec(), Format::Yaml, vec![(Code::InvalidSyntax, "$")]),
        (b"\xff\xfea\0".to_vec(), Format::Json, vec![(Code::InvalidEncoding, "$")]),
        (b"{\"a\": \"\xe4\"}".to_vec(), Format::Json, vec![(Code::InvalidEncoding, "$")]),
        (b"[]".to_vec(), Format::Json, vec![(Code::WrongType, "$")]),
        (b"just words".to_vec(), Format::Unknown, vec![(Code::WrongType, "$")]),
        (deep("[", 100_000), Format::Json, vec![(Code::TooDeep, "$")]),
        (deep("[", 100_000), Format::Yaml, vec![(Code::TooDeep, "$")]),
        (deep("- ", 100_000), Format::Yaml, vec![(Code::TooDeep, &*format!("${}", "[0]".repeat(MAX_DEPTH)))]),
        (b"a: 1\n---\nb: 2".to_vec(), Format::Yaml, vec![(Code::UnsupportedYaml, "$")]),
        (b"a: !Ref B".to_vec(), Format::Yaml, vec![(Code::UnsupportedYaml, "$.a")]),
        (b"a: !Sub {b: c}".to_vec(), Format::Yaml, vec![(Code::UnsupportedYaml, "$.a")]),
        (b"? [a]\n: b".to_vec(), Format::Yaml, vec![(Code::UnsupportedYaml, "$")]),
        (b"a: &x [*x]".to_vec(), Format::Yaml, vec![(Code::UnsupportedYaml, "$.a[0]")]),
        (
            br#"{"a": {"b": 1, "b": 2, "b": 3}}"#.to_vec(),
            Format::Json,
            vec![(Code::DuplicateKey, "$.a.b"), (Code::DuplicateKey, "$.a.b")],
        ),
        (br#"{"pipeline": {"b": [{"x": 1, "x": 2}]}}"#.to_vec(), Format::Json, vec![(Code::DuplicateKey, "$.b[0].x")]),
        (b"a:\n- b: 1\n  b: 2\n".to_vec(), Format::Yaml, vec![(Code::DuplicateKey, "$.a[0].b")]),
        (br#"{"pipeline": {}, "tag": []}"#.to_vec(), Format::Json, vec![(Code::UnknownField, "$.tag")]),
        (
            br#"{"pipeline": {}, "tags": [{"key": "k"}]}"#.to_vec(),
            Format::Json,
            vec![(Code::MissingField, "$.tags[0].value")],
        ),
        (br#"{"Resources": {}}"#.to_vec(), Format::Json, vec![(Code::UnknownField, "$.Resources")]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(code, path)| (code, path.to_owned())).collect();
        assert_eq!(codes(&text, format), expected, "{:?}", String::from_utf8_lossy(&text[..text.len().min(80)]));
    }
    assert_eq!(codes(&vec![b' '; MAX_BYTES + 1], Format::Json), [(Code::TooLarge, "$".to_owned())]);
}

#[test]
fn syntax_errors_say_where() {
    let finding = |text: &str, format| parse(text.as_bytes(), format).expect_err("faulty").remove(0);
    let json = finding("{\n  \"ä\": x}", Format::Json);
    assert_eq!(json.message, "is not JSON: expected value at line 2, column 9");
    assert_eq!(json.span, Some(10..11));
    let marked = finding("\u{FEFF}{\n  x}", Format::Json);
    assert_eq!(marked.span, Some(7..8));
    let yaml = finding("a: ä\nb: [\nc: }", Format::Yaml);
    assert!(yaml.message.contains("at line 3"), "{}", yaml.message);
    assert!(yaml.span.is_some_and(|span| span.start >= 10));
}

#[test]
fn yaml_scalars_are_typed_by_the_core_schema() {
    let text = "a: [true, False, 1, -2, +3, 0o17, 0xff, 1.5, 1e3, .5, ~, null, '', 'true', \"1\", yes, on, 012, 1.2.3, 2024-01-01,
      !!str 1, 123456789012, a b, -, .nan, 99999999999999999999]";
    assert_eq!(
        value(&text.replace("-,", "\"-\","), Format::Yaml)["a"],
        json!([
            true,
            false,
            1,
            -2,
            3,
            15,
            255,
            1.5,
            1000.0,
            0.5,
            null,
            null,
            "",
            "true",
            "1",
            "yes",
            "on",
            12,
            "1.2.3",
            "2024-01-01",
            "1",
            123_456_789_012_i64,
            "a b",
            "-",
            ".nan",
            99_999_999_999_999_999_999_f64
        ])
    );
    assert_eq!(value("a: |\n  x\n  y\nb: >-\n  1\n", Format::Yaml), json!({"a": "x\ny\n", "b": "1"}));
}

#[test]
fn aliases_are_copies_within_a_budget() {
    assert_eq!(
        value("a: &x {k: [1]}\nb: *x\nc: *x\n&y d: 1\n", Format::Yaml),
        json!({"a": {"k": [1]}, "b": {"k": [1]}, "c": {"k": [1]}, "d": 1})
    );
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{inner}]\n");
    }
    assert_eq!(codes(laughs.as_bytes(), Format::Yaml)[0].0, Code::TooLarge);
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert_eq!(codes(deep.as_bytes(), Format::Yaml)[0].0, Code::TooDeep);
}

#[test]
fn paths_are_found_in_texts() {
    let json = "\u{FEFF}{\"pipeline\": {\"name\": \"ä\", \"stages\": [{\"name\": true, \"actions\": [1]},\n  {\"x\": 1}]}, \"tags\": [{\"key\": \"k\"}]}";
    let yaml = "pipeline:\n  name: ä\n  stages:\n  - name: yes\n    actions: [1]\n  - x: 1\ntags:\n- key: k\n";
    let bare = "# first\nname: ä\nstages:\n- name: yes\n  actions: [1]\n- x: 1\n";
    for (path, in_json, in_yaml) in [
        ("$.name", "\"ä\"", "ä"),
        ("$.stages", "\"stages\"", "stages"),
        ("$.stages[0].name", "true", "yes"),
        ("$.stages[0].actions", "\"actions\"", "actions"),
        ("$.stages[0].actions[0]", "1", "1"),
        ("$.stages[1]", "{\"x\": 1}]}, \"tags\": [{\"key\": \"k\"}]}", "x: 1"),
        ("$.stages[1].missing", "{\"x\": 1}]}, \"tags\": [{\"key\": \"k\"}]}", "x: 1"),
        ("$.stages[9].name", "\"stages\"", "stages"),
    ] {
        assert_eq!(locate(json, path).map(|range| &json[range]), Some(in_json), "{path}");
        assert_eq!(locate(yaml, path).map(|range| &yaml[range]), Some(in_yaml), "{path}");
        assert_eq!(locate(bare, path).map(|range| &bare[range]), Some(in_yaml), "{path}");
    }
    let (mut of_json, mut of_yaml) = (Places::of(json), Places::of(yaml));
    for path in
        ["$.stages[1].missing", "$.name", "$", "$.tags[0].key", "$.stages[0].actions[0]", "$.stages[1]", "$.name"]
    {
        assert_eq!(of_json.locate(path), locate(json, path), "{path}");
        assert_eq!(of_yaml.locate(path), locate(yaml, path), "{path}");
    }
    assert_eq!(locate(json, "$.tags[0].key").map(|range| &json[range]), Some("\"k\""));
    assert_eq!(locate(yaml, "$.tags[0].key").map(|range| &yaml[range]), Some("k"));
    assert_eq!(locate(json, "nonsense"), None);
    assert_eq!(locate("", "$.a"), None);
}

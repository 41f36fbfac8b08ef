//! A declaration's file, JSON or YAML: read, validated, and each finding placed in the text.
#![no_main]

use model::parse::{Format, locate};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    for format in [Format::Unknown, Format::Yaml] {
        let (pipeline, findings) = model::validate_text(text, format);
        if let Ok(text) = std::str::from_utf8(text) {
            for finding in findings.iter().take(20) {
                let place = locate(text, &finding.path);
                assert!(place.is_none_or(|place| text.get(place).is_some()), "{finding:?}");
            }
        }
        if let Some(pipeline) = pipeline {
            penstock_fuzz::declared(&serde_json::to_value(pipeline).expect("a pipeline is JSON"));
        }
    }
});

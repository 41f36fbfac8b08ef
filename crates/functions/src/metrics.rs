//! Metrics in CloudWatch's embedded format: lines of the log, no calls.

use serde_json::{Map, Value, json};

/// The namespace.
pub const NAMESPACE: &str = "Penstock";

/// A metric's value and unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// As it is called.
    pub name: &'static str,
    /// CloudWatch's unit.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
}

/// A count.
pub fn count(name: &'static str, value: usize) -> Metric {
    #[expect(clippy::cast_precision_loss, reason = "counts of one invocation are small")]
    let value = value as f64;
    Metric { name, unit: "Count", value }
}

/// A time.
pub fn millis(name: &'static str, value: u64) -> Metric {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds stay exact for 285,000 years")]
    let value = value as f64;
    Metric { name, unit: "Milliseconds", value }
}

/// The line of some metrics, by dimensions.
pub fn line(at_millis: i64, dimensions: &[(&str, &str)], metrics: &[Metric]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let described: Vec<Value> =
        metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
    let mut line = Map::new();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": described });
    line.insert("_aws".into(), json!({ "Timestamp": at_millis, "CloudWatchMetrics": [directive] }));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
    Value::Object(line)
}

/// Writes what is not zero: a metric costs something for every hour in which it is told, and alarms take silence for zero.
pub fn put(at_millis: i64, dimensions: &[(&str, &str)], metrics: &[Metric]) {
    let told: Vec<_> = metrics.iter().filter(|metric| metric.value != 0.0).copied().collect();
    if !told.is_empty() {
        write(&line(at_millis, dimensions, &told));
    }
}

/// Writes a line to standard output, where Lambda takes logs from.
#[expect(clippy::print_stdout, reason = "this is how metrics leave a function")]
pub fn write(line: &Value) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_the_embedded_format() {
        let line = line(5, &[("Stack", "penstock")], &[count("RowsParked", 2), millis("OutboxAge", 1500)]);
        assert_eq!(line["_aws"]["Timestamp"], 5);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Penstock");
        assert_eq!(directive["Dimensions"], json!([["Stack"]]));
        assert_eq!(directive["Metrics"][1], json!({ "Name": "OutboxAge", "Unit": "Milliseconds" }));
        assert_eq!(
            (&line["Stack"], &line["RowsParked"], &line["OutboxAge"]),
            (&json!("penstock"), &json!(2.0), &json!(1500.0))
        );
    }
}

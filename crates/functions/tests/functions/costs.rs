//! The README's table of costs: requests counted here, times prices. A table that says something else fails.

use functions::{Handler, Invocation};
use serde_json::json;

use crate::budget::counted;
use crate::cloud::{Cloud, Counts, Weather};

/// Prices of us-east-1 in dollars, as AWS publishes them (November 2026); no free tier is taken off.
mod prices {
    /// DynamoDB on demand, a million write units.
    pub const WRITE_UNITS: f64 = 0.625;
    /// DynamoDB on demand, a million read units.
    pub const READ_UNITS: f64 = 0.125;
    /// Lambda, a million invocations.
    pub const INVOCATIONS: f64 = 0.20;
    /// Lambda on arm64, a million gigabyte-seconds.
    pub const GIGABYTE_SECONDS: f64 = 13.3334;
    /// EventBridge, a million events of one's own.
    pub const EVENTS: f64 = 1.00;
    /// EventBridge Scheduler, a million invocations.
    pub const SCHEDULED: f64 = 1.00;
    /// Step Functions (Standard), a million states.
    pub const STATES: f64 = 25.0;
    /// X-Ray, a million traces.
    pub const TRACES: f64 = 5.00;
    /// CloudWatch, a gigabyte of logs.
    pub const LOGS: f64 = 0.50;
    /// CloudWatch, an alarm in a month.
    pub const ALARM: f64 = 0.10;
    /// CloudWatch, a dashboard in a month.
    pub const DASHBOARD: f64 = 3.00;
    /// KMS, a key in a month.
    pub const KEY: f64 = 1.00;
}

/// What an invocation is taken to need at most (no account has measured it): seconds, gigabytes of memory
/// (dispatch-action's), kilobytes of logs.
const SECONDS: f64 = 0.1;
const MEMORY: f64 = 0.5;
const LOG_KILOBYTES: f64 = 1.0;
/// Minutes of a month of 30 days: each has a sweep and a look at sources.
const MINUTES: u64 = 30 * 24 * 60;

const README: &str = include_str!("../../../../README.md");
const TEMPLATE: &str = include_str!("../../../../template.yaml");
const BEGIN: &str = "<!-- costs: counted by crates/functions/tests/functions/costs.rs -->\n";
const END: &str = "<!-- end of costs -->";

/// A line of the table: what is counted, how much, what that costs in dollars.
struct Cost {
    counts: Counts,
    scheduled: u64,
    standing: f64,
}

impl Cost {
    fn dollars(&self) -> f64 {
        let million = |count: u64, price: f64| count as f64 / 1e6 * price;
        let Counts { write_units, read_units, events, states, invocations, .. } = self.counts;
        let calls = invocations as f64;
        million(write_units, prices::WRITE_UNITS)
            + million(read_units, prices::READ_UNITS)
            + million(events, prices::EVENTS)
            + million(states, prices::STATES)
            + million(self.scheduled, prices::SCHEDULED)
            + million(invocations, prices::INVOCATIONS + prices::TRACES)
            + calls * SECONDS * MEMORY / 1e6 * prices::GIGABYTE_SECONDS
            + calls * LOG_KILOBYTES / 1e6 * prices::LOGS
            + self.standing
    }

    fn row(&self, what: &str, digits: usize) -> String {
        let Counts { write_units, read_units, events, states, invocations, .. } = self.counts;
        let dollars = self.dollars();
        format!(
            "| {what} | {invocations} | {write_units} | {read_units} | {events} | {states} | {dollars:.digits$} |\n"
        )
    }
}

/// One execution of a pipeline of so many actions, the source among them. The call that starts it, and the relay's looks
/// at rows (one for each action at most), are invocations too.
async fn execution(actions: u32) -> Cost {
    let mut counts = counted(1, actions - 1).await;
    counts.invocations += 1 + u64::from(actions);
    Cost { counts, scheduled: 0, standing: 0.0 }
}

/// A month in which nothing happens: a minute's sweep, counted, and a look at sources, which reads one empty page.
async fn idle_month() -> Cost {
    let mut cloud = Cloud::new(41, Weather::default());
    // The day's round is done.
    for _ in 0..5 {
        cloud.clock.advance_millis(60_000);
        cloud.sweep().handle(json!({}), &Invocation::default()).await.expect("swept");
    }
    cloud.count();
    for _ in 0..5 {
        cloud.clock.advance_millis(60_000);
        cloud.sweep().handle(json!({}), &Invocation::default()).await.expect("swept");
    }
    let five = cloud.counts();
    let counts = Counts {
        read_units: five.read_units * MINUTES / 5 + MINUTES,
        write_units: five.write_units * MINUTES / 5,
        invocations: 2 * MINUTES,
        ..Counts::default()
    };
    let of = |kind: &str| TEMPLATE.matches(&format!("Type: {kind}\n")).count() as f64;
    let standing = of("AWS::CloudWatch::Alarm") * prices::ALARM
        + of("AWS::CloudWatch::Dashboard") * prices::DASHBOARD
        + of("AWS::KMS::Key") * prices::KEY;
    Cost { counts, scheduled: 2 * MINUTES, standing }
}

#[tokio::test]
async fn the_readme_says_what_an_execution_and_an_idle_month_cost() {
    let mut table = String::from(
        "| | invocations | write units | read units | events | states | dollars |\n|---|---|---|---|---|---|---|\n",
    );
    table += &idle_month().await.row("a month in which nothing happens", 2);
    table += &execution(5).await.row("an execution of 5 actions", 5);
    table += &execution(50).await.row("an execution of 50 actions", 5);
    let said = README.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(said, _)| said);
    assert!(said == Some(&table), "between the marks of costs, README.md must say:\n{table}\nand says:\n{said:?}");
}

use super::*;

fn settings(cron: &str, zone: Option<&str>) -> StringMap {
    let mut settings = StringMap::from([("Cron".into(), cron.into())]);
    settings.extend(zone.map(|zone| ("TimeZone".into(), zone.into())));
    settings
}

fn at(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// When the window is next open, from a time on: itself if it is open.
fn next(cron: &str, zone: Option<&str>, now: &str) -> String {
    match Window::parse(&settings(cron, zone)).unwrap().judge(at(now)) {
        Verdict::Open => "open".into(),
        Verdict::OpensAt(time) => time.to_iso_seconds(),
        Verdict::Never => "never".into(),
    }
}

/// When a window is open or next opens. 2024-03-01 was a Friday.
const DOCUMENTED_FORMS: &[(&str, &str, &str)] = &[
    ("* * * ? * *", "2024-03-01T10:20:30Z", "open"),
    ("* * * * * *", "2024-03-01T10:20:30Z", "open"),
    ("0 0 9-17 ? * MON-FRI *", "2024-03-01T09:00:59Z", "open"),
    ("0 0 9-17 ? * MON-FRI *", "2024-03-01T09:01:00Z", "2024-03-01T10:00:00Z"),
    ("0 0 9-17 ? * MON-FRI *", "2024-03-01T17:01:00Z", "2024-03-04T09:00:00Z"),
    ("* * 9-17 ? * mon-fri", "2024-03-01T12:34:56Z", "open"),
    ("* 10,12 10 ? * *", "2024-03-01T10:11:00Z", "2024-03-01T10:12:00Z"),
    ("* 0/15 * * * ?", "2024-03-01T10:16:00Z", "2024-03-01T10:30:00Z"),
    ("* */15 * * * ?", "2024-03-01T10:16:00Z", "2024-03-01T10:30:00Z"),
    ("* 5/15 * * * ?", "2024-03-01T10:36:00Z", "2024-03-01T10:50:00Z"),
    ("* 10-20/5 0 * * ?", "2024-03-01T00:16:00Z", "2024-03-01T00:20:00Z"),
    ("* * * L * ?", "2024-02-01T00:00:00Z", "2024-02-29T00:00:00Z"),
    ("* * * L * ?", "2023-02-01T00:00:00Z", "2023-02-28T00:00:00Z"),
    ("* * * L-3 * ?", "2024-03-01T00:00:00Z", "2024-03-28T00:00:00Z"),
    ("* * * LW * ?", "2024-03-01T00:00:00Z", "2024-03-29T00:00:00Z"),
    ("* * * 15W * ?", "2024-06-01T00:00:00Z", "2024-06-14T00:00:00Z"),
    ("* * * 15W * ?", "2024-09-01T00:00:00Z", "2024-09-16T00:00:00Z"),
    ("* * * 15W * ?", "2024-03-01T00:00:00Z", "2024-03-15T00:00:00Z"),
    ("* * * 1W * ?", "2024-06-01T00:00:00Z", "2024-06-03T00:00:00Z"),
    ("* * * 31W * ?", "2024-03-02T00:00:00Z", "2024-03-29T00:00:00Z"),
    ("* * * 31W * ?", "2024-04-01T00:00:00Z", "2024-05-31T00:00:00Z"),
    ("* * * 1,15,L * ?", "2024-03-16T00:00:00Z", "2024-03-31T00:00:00Z"),
    ("* * * ? * 6L", "2024-03-02T00:00:00Z", "2024-03-29T00:00:00Z"),
    ("* * * ? * FRIL", "2024-03-02T00:00:00Z", "2024-03-29T00:00:00Z"),
    ("* * * ? * L", "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"),
    ("* * * ? * 6#3", "2024-03-02T00:00:00Z", "2024-03-15T00:00:00Z"),
    ("* * * ? * FRI#5", "2024-04-01T00:00:00Z", "2024-05-31T00:00:00Z"),
    ("* * * ? * 1", "2024-03-01T00:00:00Z", "2024-03-03T00:00:00Z"),
    ("* * * ? * FRI-MON", "2024-03-05T00:00:00Z", "2024-03-08T00:00:00Z"),
    ("* * 22-2 ? * *", "2024-03-01T03:00:00Z", "2024-03-01T22:00:00Z"),
    ("* * 22-2 ? * *", "2024-03-01T01:59:00Z", "open"),
    ("* * * 29 2 ?", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
    ("* * * ? JAN-MAR *", "2024-04-01T00:00:00Z", "2025-01-01T00:00:00Z"),
    ("* * * ? NOV-FEB *", "2024-03-01T00:00:00Z", "2024-11-01T00:00:00Z"),
    ("* * * ? * * 2025/2", "2025-12-31T23:59:00Z", "open"),
    ("* * * ? * * 2025/2", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("* * * ? * * 2199", "2024-03-01T00:00:00Z", "2199-01-01T00:00:00Z"),
    ("* * * ? * * 2020-2023", "2024-01-01T00:00:00Z", "never"),
    ("* * * 30 2 ?", "2024-01-01T00:00:00Z", "never"),
    ("* 59 23 31 12 ? 2024", "2024-12-31T23:59:59Z", "open"),
    ("* 59 23 31 12 ? 2024", "2025-01-01T00:00:00Z", "never"),
];

#[test]
fn documented_forms_mean_what_the_reference_says() {
    for (cron, now, expected) in DOCUMENTED_FORMS {
        assert_eq!(next(cron, None, now), *expected, "{cron} at {now}");
    }
}

#[test]
fn zones_are_read_in_every_documented_form() {
    for (zone, expected) in [
        ("UTC", "2024-07-01T09:00:00Z"),
        ("Europe/Berlin", "2024-07-01T07:00:00Z"),
        ("America/New_York", "2024-07-01T13:00:00Z"),
        ("UTC+05:30", "2024-07-01T03:30:00Z"),
        ("UTC-03:00", "2024-07-01T12:00:00Z"),
        ("PST", "2024-07-01T16:00:00Z"),
        ("EST", "2024-07-01T14:00:00Z"),
        ("IST", "2024-07-01T03:30:00Z"),
        ("CST", "2024-07-01T14:00:00Z"),
        ("GMT", "2024-07-01T09:00:00Z"),
        ("CET", "2024-07-01T07:00:00Z"),
    ] {
        assert_eq!(next("0 0 9 ? * *", Some(zone), "2024-07-01T00:00:00Z"), expected, "{zone}");
    }
}

#[test]
fn changes_of_clocks_leave_minutes_out_and_repeat_them() {
    let berlin = Some("Europe/Berlin");
    for (cron, now, expected, why) in [
        // On 2024-03-31 clocks went from 02:00 to 03:00 (01:00 UTC).
        ("* 30 2 ? * *", "2024-03-30T23:30:00Z", "2024-04-01T00:30:00Z", "02:30 is left out"),
        ("* 0 3 ? * *", "2024-03-30T23:30:00Z", "2024-03-31T01:00:00Z", "03:00 comes an hour sooner"),
        ("* * 1-3 ? * *", "2024-03-31T00:59:30Z", "open", "the last minute before"),
        ("* * 1-3 ? * *", "2024-03-31T01:00:00Z", "open", "the first minute after"),
        // On 2024-10-27 clocks went from 03:00 back to 02:00 (01:00 UTC).
        ("* 30 2 ? * *", "2024-10-27T00:00:00Z", "2024-10-27T00:30:00Z", "the first time"),
        ("* 30 2 ? * *", "2024-10-27T00:30:10Z", "open", "the first time"),
        ("* 30 2 ? * *", "2024-10-27T00:31:00Z", "2024-10-27T01:30:00Z", "again"),
        ("* 30 2 ? * *", "2024-10-27T01:30:10Z", "open", "again"),
        ("* 30 2 ? * *", "2024-10-27T01:31:00Z", "2024-10-28T01:30:00Z", "the next day"),
        ("* 10 2 ? * *", "2024-10-27T00:59:00Z", "2024-10-27T01:10:00Z", "earlier by the clock, later in time"),
        ("* 50 2 ? * *", "2024-10-27T00:45:00Z", "2024-10-27T00:50:00Z", "the sooner of two"),
        ("* 0 3 ? * *", "2024-10-27T00:30:00Z", "2024-10-27T02:00:00Z", "03:00 comes once"),
    ] {
        assert_eq!(next(cron, berlin, now), expected, "{cron} at {now}: {why}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let fault = |cron: &str, zone| Window::parse(&settings(cron, zone)).unwrap_err().to_string();
    for (cron, said) in [
        ("* * * ? *", "has 5 fields, not 6 or 7"),
        ("", "has 0 fields"),
        ("* 60 * ? * *", "`60` is no minutes; it takes 0-59"),
        ("* * 24 ? * *", "`24` is no hours"),
        ("60 * * ? * *", "`60` is no seconds"),
        ("* * * 0 * ?", "`0` is no day of month"),
        ("* * * 32 * ?", "`32` is no day of month"),
        ("* * * 32W * ?", "`32W` is no day of month"),
        ("* * * L-31 * ?", "`L-31` is no day of month"),
        ("* * * ? 13 *", "`13` is no month"),
        ("* * * ? JANUARY *", "`JANUARY` is no month"),
        ("* * * ? * 8", "`8` is no day of week; it takes 1-7 (1 is Sunday)"),
        ("* * * ? * 0", "`0` is no day of week"),
        ("* * * ? * 6#6", "`6#6` is no day of week"),
        ("* * * ? * FUNL", "`FUNL` is no day of week"),
        ("* * * ? * * 1969", "`1969` is no year"),
        ("* 1/0 * ? * *", "`1/0` is no minutes"),
        ("* 1-2-3 * ? * *", "`1-2-3` is no minutes"),
        ("* +1 * ? * *", "`+1` is no minutes"),
        ("* 1, * ? * *", "`` is no minutes"),
        ("* ? * ? * *", "`?` is no minutes"),
        ("* * * 1 * MON", "one of them must be `?`"),
    ] {
        let found = fault(cron, None);
        assert!(found.contains(said), "{cron}: {found}");
    }
    for zone in ["Mars/Olympus", "UTC+5", "UTC+05", "UTC+25:00", "UTC+05:60", "UTC 05:00", "+05:00"] {
        let found = fault("* * * ? * *", Some(zone));
        assert!(
            found.contains("`TimeZone` is a region") && found.ends_with(&format!("not `{zone}`")),
            "{zone}: {found}"
        );
    }
    assert_eq!(Window::parse(&StringMap::new()).unwrap_err(), WindowError::Missing("Cron"));
}

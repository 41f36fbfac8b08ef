use super::super::board::{Board, State};
use super::*;
use serde_json::json;

fn pipeline(stages: &[(&str, &[&str])]) -> model::Pipeline {
    let stages: Vec<_> = stages
        .iter()
        .map(|(name, actions)| {
            let actions: Vec<_> = actions
                .iter()
                .map(|action| {
                    let category = if *action == "SignOff" { "Approval" } else { "Compute" };
                    json!({"name": action, "actionTypeId": {"category": category, "owner": "AWS", "provider": "P", "version": "1"}})
                })
                .collect();
            json!({"name": name, "actions": actions})
        })
        .collect();
    serde_json::from_value(json!({"name": "web", "roleArn": "r", "stages": stages})).unwrap()
}

fn event(stage: Option<&str>, action: Option<&str>, state: &str) -> serde_json::Value {
    let mut detail = json!({"execution-id": "e1", "state": state});
    if let Some(stage) = stage {
        detail["stage"] = json!(stage);
    }
    if let Some(action) = action {
        detail["action"] = json!(action);
    }
    json!({"detail": detail})
}

fn frame_of(board: &Board, columns: usize, rows: Option<usize>) -> Vec<String> {
    frame(board, Frame { now: Timestamp(9_000), columns, rows, look: Look { colour: false, unicode: true } })
}

#[test]
fn a_source_is_told_with_the_first_line_of_its_commits_message() {
    for message in ["Fix it\r\n\r\nbody\r\n", "Fix it\rbody"] {
        let mut board = Board::new(&pipeline(&[("Source", &["Checkout"])]), "e1", Timestamp(0));
        let mut ended = event(Some("Source"), Some("Checkout"), "SUCCEEDED");
        ended["detail"]["execution-result"]["external-execution-summary"] = json!(message);
        board.apply(&ended, Timestamp(340));
        assert_eq!(board.stages[0].actions[0].remark(), "Fix it");
    }
}

fn sample() -> Board {
    let stages: &[(&str, &[&str])] = &[
        ("Source", &["Checkout"]),
        ("Build", &["Compile", "テスト実行"]),
        ("Gate", &["SignOff"]),
        ("Deploy", &["Ship"]),
    ];
    let mut board = Board::new(&pipeline(stages), "e1", Timestamp(0));
    let script = [
        (0, Some("Source"), None, "STARTED"),
        (0, Some("Source"), Some("Checkout"), "STARTED"),
        (340, Some("Source"), Some("Checkout"), "SUCCEEDED"),
        (350, Some("Source"), None, "SUCCEEDED"),
        (360, Some("Build"), None, "STARTED"),
        (360, Some("Build"), Some("Compile"), "STARTED"),
        (360, Some("Build"), Some("テスト実行"), "STARTED"),
        (4_000, Some("Build"), Some("テスト実行"), "FAILED"),
    ];
    for (at, stage, action, state) in script {
        board.apply(&event(stage, action, state), Timestamp(at));
    }
    board.output("Build", "Compile", 1, "cc -O2 -o \u{1b}[1mdist/app\u{1b}[0m main.c\n");
    board
}

#[test]
fn the_tree_shows_status_time_and_last_line() {
    assert_eq!(
        frame_of(&sample(), 79, None),
        [
            "⠋ web e1  InProgress  9.0 s",
            "✓ Source          Succeeded     0.3 s",
            "  ✓ Checkout      Succeeded     0.3 s",
            "⠋ Build           InProgress    8.6 s",
            "  ⠋ Compile       InProgress    8.6 s  cc -O2 -o dist/app main.c",
            "  ✗ テスト実行    Failed        3.6 s",
            "○ Gate          ",
            "  ○ SignOff     ",
            "○ Deploy        ",
            "  ○ Ship        ",
        ]
    );
}

#[test]
fn what_does_not_fit_is_folded_from_the_least_telling_on() {
    let folded = |rows| {
        frame_of(&sample(), 79, Some(rows)).into_iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(folded(9).len(), 9);
    assert!(!folded(9).iter().any(|line| line.contains("Checkout")));
    assert_eq!(folded(7).len(), 7);
    assert!(folded(7).iter().any(|line| line == "○ Gate") && !folded(7).iter().any(|line| line.contains("Ship")));
    assert_eq!(folded(6).last().map(String::as_str), Some("○ 2 stages to come"));
    let five = folded(5);
    assert!(five.iter().all(|line| !line.contains("to come")) && five[3].contains("Compile"), "{five:?}");
    assert!(folded(4)[1].contains("Build") && folded(4)[3].contains("✗"), "{:?}", folded(4));
    assert!(folded(3).len() == 3 && folded(3)[2].contains("1 InProgress"), "{:?}", folded(3));
}

#[test]
fn every_line_fits_every_terminal() {
    let mut board = sample();
    board.footer = Some("stopping: waits for what runs; Ctrl-C again abandons it".into());
    board.output("Build", "Compile", 1, &"日本語 wide ".repeat(60));
    for columns in 1..100 {
        for rows in 1..14 {
            let lines = frame_of(&board, columns, Some(rows));
            assert!(lines.len() <= rows);
            for line in lines {
                assert!(width(&line) <= columns, "{columns}: {line:?}");
            }
        }
    }
}

#[test]
fn many_parallel_actions_keep_failures_in_sight() {
    let names: Vec<String> = (0..50).map(|n| format!("A{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut board = Board::new(&pipeline(&[("S", &["C"]), ("Wide", &names)]), "e1", Timestamp(0));
    board.apply(&event(Some("Wide"), None, "STARTED"), Timestamp(0));
    for name in &names {
        board.apply(&event(Some("Wide"), Some(name), "STARTED"), Timestamp(0));
    }
    for name in &names[..30] {
        board.apply(&event(Some("Wide"), Some(name), "SUCCEEDED"), Timestamp(5));
    }
    board.apply(&event(Some("Wide"), Some("A49"), "FAILED"), Timestamp(5));
    let lines = frame_of(&board, 60, Some(10));
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().any(|line| line.contains("A49")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("30 more Succeeded")), "{lines:?}");
}

#[test]
fn events_of_other_executions_and_unknown_names_change_nothing() {
    let mut board = sample();
    let before = frame_of(&board, 80, None);
    let mut other = event(Some("Build"), Some("Compile"), "FAILED");
    other["detail"]["execution-id"] = json!("e2");
    board.apply(&other, Timestamp(5_000));
    board.apply(&event(Some("Nowhere"), None, "FAILED"), Timestamp(5_000));
    board.apply(&event(Some("Build"), Some("Nothing"), "FAILED"), Timestamp(5_000));
    board.apply(&json!({"detail": {"execution-id": "e1", "state": "ODD"}}), Timestamp(5_000));
    assert_eq!(frame_of(&board, 80, None), before);
}

#[test]
fn a_retry_starts_its_time_and_its_output_anew() {
    let mut board = sample();
    board.output("Build", "テスト実行", 1, "of the first attempt");
    board.output("Build", "テスト実行", 2, "of the second, before its event");
    board.apply(&event(Some("Build"), Some("テスト実行"), "STARTED"), Timestamp(8_000));
    let row = board.action_mut("Build", "テスト実行").unwrap();
    assert_eq!((row.state, row.attempt, row.span.millis(Timestamp(9_000))), (State::InProgress, 2, Some(1_000)));
    assert_eq!(row.tail, ["of the second, before its event"]);
}

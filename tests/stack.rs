//! The stack, deployed with its compiled bootstraps into an emulator: what its users do, and what goes wrong there.

use std::process::Command;

use crate::support::{root, succeed};

/// Runs some scenarios of `e2e/scenario.py`, where a stack is deployed.
fn scenario(names: &[&str]) {
    scenarios("scenario.py", names);
}

/// Runs some scenarios of a script of `e2e/`, where a stack is deployed.
fn scenarios(script: &str, names: &[&str]) {
    let (stack, python) = (std::env::var_os("PENSTOCK_TEST_STACK"), std::env::var_os("PENSTOCK_TEST_PYTHON"));
    let (Some(_), Some(python)) = (stack, python) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "PENSTOCK_TEST_STACK is not set: CI runs `make test`, which deploys one"
        );
        eprintln!("SKIPPED: no stack is deployed; `make test` and `make e2e` deploy one");
        return;
    };
    let mut command = Command::new(python);
    let output = succeed(command.arg(root().join("tests/e2e").join(script)).args(names));
    eprintln!("{output}");
    let passed = format!("{} passed, 0 failed", names.len());
    assert!(output.trim_end().ends_with(&passed), "{output}");
}

#[test]
fn an_object_goes_through_builds_an_approval_and_a_deploy() {
    scenario(&["the_main_job"]);
}

#[test]
fn failures_are_told_and_retried() {
    scenario(&["a_failure_and_its_retry", "a_missing_object"]);
}

#[test]
fn a_function_that_asks_for_it_is_called_again() {
    scenario(&["a_function_called_again"]);
}

#[test]
fn only_ends_of_work_wake_the_dispatcher() {
    scenario(&["only_ends_wake_the_dispatcher"]);
}

#[test]
fn executions_supersede_one_another_and_are_stopped() {
    scenario(&["stopping_and_superseding"]);
}

#[test]
fn a_signed_push_starts_what_its_filters_pass() {
    scenario(&["a_push_by_webhook"]);
}

#[test]
fn messages_that_come_twice_late_forged_poisoned_or_never_change_nothing() {
    let messages =
        ["messages_repeated_and_reordered", "messages_forged", "events_poisoned", "an_event_that_never_comes"];
    scenarios("faults.py", &messages);
}

#[test]
fn what_a_crash_left_unsent_is_sent_by_the_relay() {
    scenarios("faults.py", &["nothing_sent_after_the_commit"]);
}

#[test]
fn what_no_function_takes_lies_among_the_dead_letters() {
    scenarios("faults.py", &["an_event_poisoned_for_good"]);
}

#[test]
fn an_end_that_nobody_tells_is_found_by_the_poll() {
    scenarios("faults.py", &["an_end_that_nobody_tells"]);
}

#[test]
fn boto3_reaches_the_stack_through_the_proxy() {
    scenarios("proxy.py", &["boto3_in_either_protocol"]);
}

#[test]
fn the_aws_command_line_reaches_the_stack_through_the_proxy() {
    scenarios("proxy.py", &["the_aws_command_line"]);
}

#[test]
fn an_unmodified_handler_answers_its_job_through_the_extension() {
    scenarios("proxy.py", &["an_unmodified_handler"]);
}

#[test]
fn the_stack_is_reached_over_tls_and_with_any_profile() {
    scenarios("proxy.py", &["over_tls", "a_profile_of_its_own"]);
}

#[test]
fn the_doctor_looks_at_the_stack() {
    scenarios("proxy.py", &["the_doctor"]);
}

//! Section 7: approvals.

use engine::ActionExecution;

use crate::play::{Play, play};

const WAITING: &str = "given A(s) -> B(ok?) -> C(c)
    start #1
    A/s of #1 succeeds
    forget events";

fn approval<'a>(play: &'a Play, number: &str) -> &'a ActionExecution {
    play.world.action(&play.key("B/ok", number).unwrap()).unwrap()
}

/// 7: "Approve needs the token from GetPipelineState".
#[test]
fn an_approval_lets_the_execution_go_on() {
    let mut play = play(WAITING);
    play.more(
        "B/ok of #1 is approved with a wrong token -- refused InvalidApprovalToken
         then B/ok of #1 is InProgress
         B/ok of #1 is approved
         then B/ok of #1 is Succeeded
         then #1 is in C
         then events: #1 B/ok SUCCEEDED | #1 B SUCCEEDED | #1 C STARTED | #1 C/c STARTED",
    );
    let decisions = &approval(&play, "#1").approval.as_ref().unwrap().decisions;
    assert_eq!((decisions.len(), decisions[0].by.as_str()), (1, "arn:ann"));
    assert_eq!(play.world.drivers_ended.len(), 1);
}

/// 7: "Errors InvalidApprovalTokenException, ApprovalAlreadyCompletedException."
#[test]
fn an_approval_is_decided_once() {
    play(WAITING).more(
        "B/ok of #1 is approved
         B/ok of #1 is rejected -- refused ApprovalAlreadyCompleted
         B/ok of #1 is approved -- refused ApprovalAlreadyCompleted
         then #1 is in C",
    );
    play(WAITING).more("A/s of #1 is approved -- refused InvalidApprovalToken");
}

/// 7: "Reject and timeout are the action's Failed."
#[test]
fn a_rejection_fails_the_action() {
    let mut play = play(WAITING);
    play.more(
        "B/ok of #1 is rejected
         then B/ok of #1 is Failed
         then #1 is Failed
         then events: #1 B/ok FAILED | #1 B FAILED | #1 FAILED",
    );
    let error = approval(&play, "#1").error.clone().unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("Rejected", "Rejected by arn:ann: seen"));
}

/// 7: "7 days by default, timeoutInMinutes 5–86400."
#[test]
fn an_approval_times_out() {
    let mut play = play(WAITING);
    play.more(
        "wait 10079 minutes
         then B/ok of #1 is InProgress
         wait 1 minutes
         then B/ok of #1 is Failed
         then #1 is Failed
         B/ok of #1 is approved -- refused ApprovalAlreadyCompleted",
    );
    let error = approval(&play, "#1").error.clone().unwrap();
    assert_eq!(error.message, "Nobody approved or rejected within 10080 minutes.");
    self::play(
        "given A(s) -> B(ok?=5)
         start #1
         A/s of #1 succeeds
         wait 5 minutes
         then B/ok of #1 is Failed",
    );
}

/// A decision after the deadline comes too late even if nobody has looked yet.
#[test]
fn a_late_decision_does_not_count() {
    play(WAITING).more(
        "the clock jumps 10080 minutes
         B/ok of #1 is approved -- refused ApprovalAlreadyCompleted
         release
         wait 0 minutes
         then B/ok of #1 is Failed",
    );
}

/// 1 and 7: "(PARALLEL: externalExecutionId from ListActionExecutions)": each execution's approval has a token of its own.
#[test]
fn parallel_approvals_have_tokens_of_their_own() {
    let mut play = play(
        "given A(s) -> B(ok?) in PARALLEL mode
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds",
    );
    let token = |number: &str| approval(&play, number).approval.as_ref().unwrap().token.clone();
    assert_ne!(token("#1"), token("#2"));
    play.more(
        "B/ok of #2 is approved
         then #2 is Succeeded
         then #1 is in B",
    );
}

/// A retried approval is a new one, with a new token.
#[test]
fn a_retried_approval_has_a_new_token() {
    let mut play = play(WAITING);
    let token = |play: &Play| approval(play, "#1").approval.as_ref().unwrap().token.clone();
    let before = token(&play);
    play.more(
        "B/ok of #1 is rejected
         retry B of #1 with FAILED_ACTIONS
         then B/ok of #1 is in attempt 2",
    );
    assert_ne!(before, token(&play));
    play.more(
        "B/ok@1 of #1 is approved -- refused ApprovalAlreadyCompleted
         B/ok of #1 is approved
         then #1 is in C",
    );
}

/// Nobody can approve before the approval was claimed: there is no token yet.
#[test]
fn an_approval_that_was_not_claimed_has_no_token() {
    play(
        "given A(s) -> B(ok?)
         start #1
         hold dispatch
         A/s of #1 succeeds
         B/ok of #1 is approved -- refused InvalidApprovalToken",
    );
}

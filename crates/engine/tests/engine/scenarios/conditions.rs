//! Section 4: stage conditions and their rules.

use crate::play::play;

/// 4: "beforeEntry: FAIL"; "1–5 rules, all must succeed"; "beforeEntry and onSuccess engage the result when a rule FAILS".
#[test]
fn before_entry_all_rules_must_succeed() {
    play(
        "given A(s) -> B(x) before=FAIL:q,r
         start #1
         A/s of #1 succeeds
         then #1 is in B
         then B of #1 is InProgress
         then BEFORE_ENTRY of B for #1 is InProgress
         then #1 waits because B: the rule q of its beforeEntry condition is being evaluated; it times out at
         B/before:q of #1 succeeds
         then B/x of #1 did not run
         B/before:r of #1 succeeds
         then BEFORE_ENTRY of B for #1 is Succeeded
         then B/x of #1 is InProgress
         start #2
         A/s of #2 succeeds
         B/x of #1 succeeds
         forget events
         B/before:q of #2 fails
         then BEFORE_ENTRY of B for #2 is InProgress
         B/before:r of #2 succeeds
         then BEFORE_ENTRY of B for #2 is Failed
         then B of #2 is Failed
         then #2 is Failed
         then B/x of #2 did not run
         then events: #2 B FAILED | #2 FAILED",
    );
}

/// DESIGN: "The lane is held from the start of beforeEntry's evaluation until onSuccess or onFailure is settled".
#[test]
fn the_stage_is_held_while_conditions_are_evaluated() {
    play(
        "given A(s) -> B(x) before=FAIL:q success=FAIL:r failure=FAIL:f
         start #1
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         then #2 waits because execution #1 is in it
         B/before:q of #1 succeeds
         then #2 is before B
         B/x of #1 succeeds
         then #1 is in B
         then #2 is before B
         B/success:r of #1 succeeds
         then #2 is in B
         start #3
         A/s of #3 succeeds
         B/before:q of #2 succeeds
         B/x of #2 fails
         then ON_FAILURE of B for #2 is InProgress
         then B of #2 is Failed
         then #3 is before B
         B/failure:f of #2 succeeds
         then #2 is Failed
         then #3 is in B",
    );
}

/// A rule that cannot be judged skips nothing.
#[test]
fn a_rule_at_fault_fails_a_stage_that_it_would_have_skipped() {
    play(
        "given A(s) -> B(x) before=SKIP:v -> C(c)
         start #1
         A/s of #1 succeeds
         B/before:v of #1 fails with ConfigurationError
         then B of #1 is Failed
         then #1 is Failed",
    );
}

/// 4: "SKIP: … a skipped stage is Skipped, actions \"Didn't Run\", it cannot be overridden, retried or rolled back; execution
/// goes on."
#[test]
fn a_skipped_stage_runs_nothing_and_the_execution_goes_on() {
    play(
        "given A(s) -> B(x) before=SKIP:v -> C(c)
         start #1
         A/s of #1 succeeds
         override BEFORE_ENTRY of B for #1 -- refused ConditionNotOverridable
         forget events
         B/before:v of #1 fails
         then B of #1 is Skipped
         then BEFORE_ENTRY of B for #1 is Failed
         then B/x of #1 did not run
         then #1 is in C
         override BEFORE_ENTRY of B for #1 -- refused ConditionNotOverridable
         retry B of #1 with ALL_ACTIONS -- refused StageNotRetryable
         roll B back to #1 -- refused UnableToRollback
         C/c of #1 succeeds
         then #1 is Succeeded
         start #2
         A/s of #2 succeeds
         B/before:v of #2 succeeds
         then B/x of #2 is InProgress",
    );
}

/// No word for a skipped stage is documented among the events: its end is told as SUCCEEDED, for the execution goes on.
#[test]
fn a_skipped_last_stage_ends_the_execution() {
    play(
        "given A(s) -> B(x) before=SKIP:v
         start #1
         A/s of #1 succeeds
         forget events
         B/before:v of #1 fails
         then #1 is Succeeded
         then B of #1 is Skipped
         then events: #1 B SUCCEEDED | #1 SUCCEEDED",
    );
}

/// 4: "onSuccess: ROLLBACK or FAIL".
#[test]
fn on_success_fails_the_stage_when_a_rule_fails() {
    play(
        "given A(s) -> B(x; y) success=FAIL:r -> C(c)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         B/y of #1 succeeds
         then ON_SUCCESS of B for #1 is InProgress
         then B of #1 is InProgress
         forget events
         B/success:r of #1 fails
         then ON_SUCCESS of B for #1 is Failed
         then B of #1 is Failed
         then #1 is Failed
         then events: #1 B FAILED | #1 FAILED
         roll B back to #1 -- refused UnableToRollback",
    );
}

/// A retry after a failed onSuccess condition evaluates it again, or runs the whole stage again.
#[test]
fn a_failed_on_success_condition_can_be_retried() {
    play(
        "given A(s) -> B(x) success=FAIL:r -> C(c)
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         B/success:r of #1 fails
         retry B of #1 with FAILED_ACTIONS
         then B/x of #1 is in attempt 1
         then B/success:r of #1 is in attempt 2
         then ON_SUCCESS of B for #1 is InProgress
         B/success:r of #1 fails
         then #1 is Failed
         retry B of #1 with ALL_ACTIONS
         then ON_SUCCESS of B for #1 is absent
         then B/x of #1 is in attempt 2
         B/x of #1 succeeds
         B/success:r of #1 succeeds
         then B/success:r of #1 is in attempt 3
         then #1 is in C",
    );
}

/// 4: "onSuccess: ROLLBACK".
#[test]
fn on_success_rolls_back_when_a_rule_fails() {
    play(
        "given A(s) -> B(x) success=ROLLBACK:r
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         B/success:r of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #2 succeeds
         B/success:r of #2 fails
         then #2 is Failed
         then #3 is in B
         override ON_SUCCESS of B for #2 -- refused NotLatest
         B/x of #3 succeeds
         B/success:r of #3 fails
         then #3 is Failed
         start #4
         A/s of #4 succeeds
         then #4 is in B",
    );
}

/// 4: "onFailure engages the result when its rules SUCCEED (no rules → straight away)."
#[test]
fn on_failure_without_rules_engages_straight_away() {
    play(
        "given A(s) -> B(x) failure=ROLLBACK:
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #2 fails
         then #2 is Failed
         then #3 is in B",
    );
}

/// 4: "onFailure engages the result when its rules SUCCEED (no rules → straight away)."
#[test]
fn on_failure_rolls_back_when_its_rules_succeed() {
    let script = "given A(s) -> B(x) failure=ROLLBACK:f
         start #1
         A/s of #1 succeeds
         B/x of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/x of #2 fails
         then B of #2 is Failed
         then #2 is InProgress
         then #2 waits because the rule f of its onFailure condition
         retry B of #2 with FAILED_ACTIONS -- refused StageNotRetryable
         override ON_FAILURE of B for #2 -- refused ConditionNotOverridable";
    play(script).more(
        "B/failure:f of #2 succeeds
         then ON_FAILURE of B for #2 is Succeeded
         then #2 is Failed
         then #3 is in B",
    );
    play(script).more(
        "forget events
         B/failure:f of #2 fails
         then ON_FAILURE of B for #2 is Failed
         then #2 is Failed
         then events: #2 FAILED
         retry B of #2 with FAILED_ACTIONS
         then B/x of #2 is in attempt 2",
    );
}

/// 4: "OverrideStageCondition: only BEFORE_ENTRY / ON_SUCCESS; the condition's status becomes `Overridden` and the execution
/// proceeds." User Guide: "The rule status is Abandoned due to the override."
#[test]
fn a_condition_being_evaluated_can_be_overridden() {
    play(
        "given A(s) -> B(x) before=FAIL:q success=FAIL:r -> C(c)
         start #1
         A/s of #1 succeeds
         override ON_SUCCESS of B for #1 -- refused ConditionNotOverridable
         override BEFORE_ENTRY of B for #1
         then BEFORE_ENTRY of B for #1 is Overridden
         then B/before:q of #1 is Abandoned
         then B/x of #1 is InProgress
         then #1 is in attempt 1
         B/before:q of #1 fails -- ignored ActionEnded
         override BEFORE_ENTRY of B for #1 -- refused ConditionNotOverridable
         B/x of #1 succeeds
         forget events
         override ON_SUCCESS of B for #1
         then ON_SUCCESS of B for #1 is Overridden
         then B of #1 is Succeeded
         then #1 is in C
         then events: #1 B SUCCEEDED | #1 C STARTED | #1 C/c STARTED",
    );
}

/// User Guide, stage-conditions: Entry/Fail and OnSuccess/Fail, "The stage proceeds".
#[test]
fn a_condition_that_failed_the_stage_can_be_overridden() {
    play(
        "given A(s) -> B(x) before=FAIL:q success=FAIL:r -> C(c)
         start #1
         A/s of #1 succeeds
         B/before:q of #1 fails
         then #1 is Failed
         forget events
         override BEFORE_ENTRY of B for #1
         then #1 is InProgress
         then #1 is in attempt 2
         then B/x of #1 is InProgress
         then events: #1 RESUMED | #1 B RESUMED | #1 B/x STARTED
         B/x of #1 succeeds
         B/success:r of #1 fails
         then #1 is Failed
         override ON_SUCCESS of B for #1
         then #1 is in C
         then B of #1 is Succeeded
         then events: #1 B/x SUCCEEDED | #1 B FAILED | #1 FAILED | #1 RESUMED | #1 B RESUMED | #1 B SUCCEEDED
         | #1 C STARTED | #1 C/c STARTED",
    );
}

/// 4: "ConditionNotOverridableException, NotLatestPipelineExecutionException, ConcurrentPipelineExecutionsLimitExceeded."
#[test]
fn what_cannot_be_overridden_says_why() {
    play(
        "given A(s) -> B(x) before=FAIL:q
         start #1
         override BEFORE_ENTRY of B for #1 -- refused NotLatest
         override BEFORE_ENTRY of D for #1 -- refused StageNotFound
         A/s of #1 succeeds
         start #2
         A/s of #2 succeeds
         B/before:q of #1 fails
         then #2 is in B
         override BEFORE_ENTRY of B for #1 -- refused NotLatest
         update to A(s) -> B(x) before=FAIL:q
         override BEFORE_ENTRY of B for #2 -- refused ConditionNotOverridable",
    );
}

/// A retry after a failed beforeEntry condition evaluates it again.
#[test]
fn a_failed_entry_can_be_retried() {
    play(
        "given A(s) -> B(x) before=FAIL:q
         start #1
         A/s of #1 succeeds
         B/before:q of #1 fails
         retry B of #1 with ALL_ACTIONS
         then BEFORE_ENTRY of B for #1 is InProgress
         then B/before:q of #1 is in attempt 2
         B/before:q of #1 succeeds
         then B/x of #1 is InProgress",
    );
}

/// 4: rules have "timeout fields as actions"; a rule that cannot be evaluated makes its condition Errored.
#[test]
fn rules_time_out_and_err() {
    play(
        "given A(s) -> B(x) before=FAIL:q
         start #1
         A/s of #1 succeeds
         wait 10 minutes
         then B/before:q of #1 is Failed
         then BEFORE_ENTRY of B for #1 is Failed
         then #1 is Failed
         retry B of #1 with FAILED_ACTIONS
         B/before:q of #1 fails with ConfigurationError
         then BEFORE_ENTRY of B for #1 is Errored
         then #1 is Failed",
    );
}

/// A rollback passes the stage's conditions as every execution does.
#[test]
fn a_rollback_passes_the_stages_conditions() {
    play(
        "given A(s) -> B(x) before=FAIL:q
         start #1
         A/s of #1 succeeds
         B/before:q of #1 succeeds
         B/x of #1 succeeds
         roll B back to #1
         then BEFORE_ENTRY of B for #2 is InProgress
         B/before:q of #2 fails
         then #2 is Failed
         override BEFORE_ENTRY of B for #2
         B/x of #2 succeeds
         then #2 is Succeeded",
    );
}

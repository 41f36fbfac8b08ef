//! Section 5: pipeline variables at the start, in retries and in rollbacks.

use crate::play::play;

/// 5: "Pipeline variables: default optional; without default a value is required at start; … override on
/// StartPipelineExecution.variables".
#[test]
fn a_variable_has_its_given_value_or_its_default() {
    let play = play(
        "given A(s) -> B(x) variables N M=m
         start #1 -- refused N has no default value
         start #1 with N=n
         start #2 with N=o with M=p
         start #3 with N=o with K=k -- refused no variable named K; it declares: N, M",
    );
    let of = |number: &str| play.world.execution(play.id(number)).variables.clone();
    assert_eq!((of("#1")["N"].as_str(), of("#1")["M"].as_str()), ("n", "m"));
    assert_eq!((of("#2")["N"].as_str(), of("#2")["M"].as_str()), ("o", "p"));
}

/// 5: "a rollback uses the target's values; retry keeps the values".
#[test]
fn a_retry_keeps_the_values_and_a_rollback_has_the_targets() {
    let play = play(
        "given A(s) -> B(x) failure=ROLLBACK variables N
         start #1 with N=1
         A/s of #1 succeeds
         B/x of #1 fails
         retry B of #1 with ALL_ACTIONS
         B/x of #1 succeeds
         start #2 with N=2
         A/s of #2 succeeds
         B/x of #2 fails
         then #3 is in B",
    );
    assert_eq!(play.world.execution(play.id("#1")).variables["N"], "1");
    assert_eq!(play.world.execution(play.id("#3")).variables["N"], "1");
}

//! Moves one execution one step: the consumer of work rows.

use functions::environment::names;
use functions::handlers::advance_execution::AdvanceExecution;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    // Told, so that the artifacts of a deleted pipeline expire.
    let optional = [names::ARTIFACT_BUCKET];
    run(&[], &optional, |environment, config| async move {
        Ok(AdvanceExecution { sender: plane::sender(&environment, &config) })
    })
    .await
}

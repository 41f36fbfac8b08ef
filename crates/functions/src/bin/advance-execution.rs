//! Moves one execution one step: the consumer of work rows.

use functions::handlers::advance_execution::AdvanceExecution;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(
        &[],
        &[],
        |environment, config| async move { Ok(AdvanceExecution { sender: plane::sender(&environment, &config) }) },
    )
    .await
}

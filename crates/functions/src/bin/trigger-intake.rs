//! Matches events and webhooks to source actions and starts executions.

use functions::handlers::trigger_intake::TriggerIntake;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(
        &[],
        &[],
        |environment, config| async move { Ok(TriggerIntake { sender: plane::sender(&environment, &config) }) },
    )
    .await
}

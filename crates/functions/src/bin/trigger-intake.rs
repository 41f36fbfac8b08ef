//! Matches events and webhooks to source actions and starts executions.

use control::handoff::Sender;
use functions::environment::names;
use functions::handlers::trigger_intake::TriggerIntake;
use functions::{plane, providers, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&[], &[], |environment, config| async move {
        let sender = plane::sender(&environment, &config);
        let control = providers::with_files(sender.control.clone());
        Ok(TriggerIntake { sender: Sender { control, ..sender }, stack: environment.get(names::STACK).into() })
    })
    .await
}

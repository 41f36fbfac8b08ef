//! Starts, polls or completes one action through its provider.

use std::sync::Arc;

use functions::environment::names;
use functions::handlers::dispatch_action::DispatchAction;
use functions::{plane, providers, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let needed = [names::SERVICE_ROLE, names::APPROVAL_URL, names::LINK_KEYS, names::SECRET_KEY];
    run(&needed, &[names::POLICY_OBJECT], |environment, config| async move {
        let sender = plane::sender(&environment, &config);
        let runner = Arc::new(providers::runner(&environment, &config, &sender.control));
        Ok(DispatchAction { sender, runner, state_machine_arn: environment.get(names::STATE_MACHINE).into() })
    })
    .await
}

//! Polling change detection, and the heads of webhook-fed branches.

use control::handoff::Sender;
use functions::environment::names;
use functions::handlers::poll_sources::PollSources;
use functions::{plane, providers, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&[names::SERVICE_ROLE], &[], |environment, config| async move {
        let sender = plane::sender(&environment, &config);
        let heads = Box::new(providers::heads(&environment, &config, &sender.control));
        let control = providers::with_files(sender.control.clone());
        Ok(PollSources { sender: Sender { control, ..sender }, heads, stack: environment.get(names::STACK).into() })
    })
    .await
}

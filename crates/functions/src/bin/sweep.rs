//! Sends overdue rows, each minute; has expire what is kept for a time only.

use std::sync::Arc;

use aws::S3Artifacts;
use functions::environment::names;
use functions::handlers::sweep::Sweep;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let optional = [names::TRIGGER_INTAKE, names::DEAD_LETTERS, names::ARTIFACT_BUCKET];
    run(&[], &optional, |environment, config| async move {
        let (sender, marks) = (plane::sender(&environment, &config), Arc::new(S3Artifacts::new(&config)));
        Ok(Sweep { sender, marks, stack: environment.get(names::STACK).into() })
    })
    .await
}

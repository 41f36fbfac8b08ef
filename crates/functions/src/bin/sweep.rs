//! Sends overdue rows, each minute.

use functions::environment::names;
use functions::handlers::sweep::Sweep;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let optional = [names::TRIGGER_INTAKE, names::DEAD_LETTERS, names::ARTIFACT_BUCKET];
    run(&[], &optional, |environment, config| async move {
        Ok(Sweep { sender: plane::sender(&environment, &config), stack: environment.get(names::STACK).into() })
    })
    .await
}

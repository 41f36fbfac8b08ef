//! Sends what a crash left behind: the consumer of the table's stream.

use functions::handlers::relay_outbox::RelayOutbox;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&[], &[], |environment, config| async move { Ok(RelayOutbox { sender: plane::sender(&environment, &config) }) })
        .await
}

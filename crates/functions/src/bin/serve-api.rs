//! CodePipeline's API.

use functions::environment::names;
use functions::handlers::serve_api::ServeApi;
use functions::run;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let needed = [names::APPROVAL_URL, names::LINK_KEYS, names::SECRET_KEY, names::SERVICE_ROLE];
    run(
        &needed,
        &[
            names::EMULATOR,
            names::TRIGGER_INTAKE,
            names::DEAD_LETTERS,
            names::ARTIFACT_BUCKET,
            names::WEBHOOK_URL,
            names::POLICY_OBJECT,
        ],
        |environment, config| async move { Ok(ServeApi::new(&environment, &config).await?) },
    )
    .await
}

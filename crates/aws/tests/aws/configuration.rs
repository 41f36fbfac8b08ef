//! The configuration: of the environment only. Children, because an environment is a process's.

use std::process::Command;

fn child(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_clear().envs(variables.iter().copied());
    command.args(["--exact", "configuration::child_that_loads", "--ignored", "--nocapture"]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn comes_from_the_environment() {
    let said = child(&[]);
    assert!(said.contains("the environment variable AWS_REGION is not set; it must name a region"), "{said}");
    let said = child(&[("AWS_REGION", "")]);
    assert!(said.contains("AWS_REGION is not set"), "{said}");
    let said = child(&[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]);
    assert!(said.contains("region eu-west-1, endpoint http://127.0.0.1:1, Adaptive, 4 attempts"), "{said}");
    // Credentials come from the environment or not at all: the network is not asked.
    assert!(said.contains("credentials false"), "{said}");
    let given = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    assert!(child(&given).contains("credentials true"));
}

#[tokio::test]
#[ignore = "a child process of another test"]
async fn child_that_loads() {
    use aws_sdk_dynamodb::config::ProvideCredentials;
    let config = match aws::load_config().await {
        Ok(config) => config,
        Err(error) => return println!("{error}"),
    };
    let retries = config.retry_config().unwrap();
    println!(
        "region {}, endpoint {}, {:?}, {} attempts",
        config.region().unwrap(),
        config.endpoint_url().unwrap_or("none"),
        retries.mode(),
        retries.max_attempts()
    );
    println!("credentials {}", config.credentials_provider().unwrap().provide_credentials().await.is_ok());
}

//! Secrets in Secrets Manager, under the stack's own prefix.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata as _;
use control::connections::Vault;
use control::ports::PortError;

use crate::failure::port_error;

/// What is not there.
const GONE: &str = "ResourceNotFoundException";

/// The secrets of a stack: `<stack>/connection/<name>`.
#[derive(Clone, Debug)]
pub struct SecretsManagerVault {
    client: Client,
    prefix: String,
}

impl SecretsManagerVault {
    /// The secrets of this stack.
    pub fn from_config(config: &SdkConfig, stack: &str) -> Self {
        Self { client: Client::new(config), prefix: format!("{stack}/connection/") }
    }

    fn id(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[async_trait]
impl Vault for SecretsManagerVault {
    async fn put(&self, name: &str, secret: &str) -> Result<(), PortError> {
        let id = self.id(name);
        match self.client.put_secret_value().secret_id(&id).secret_string(secret).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(GONE) => {
                let made = self.client.create_secret().name(&id).secret_string(secret).send().await;
                made.map(drop).map_err(|error| port_error("Secrets Manager", &error))
            }
            Err(error) => Err(port_error("Secrets Manager", &error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<String>, PortError> {
        match self.client.get_secret_value().secret_id(self.id(name)).send().await {
            Ok(found) => Ok(found.secret_string().map(str::to_owned)),
            Err(error) if error.code() == Some(GONE) => Ok(None),
            Err(error) => Err(port_error("Secrets Manager", &error)),
        }
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        let deleted = self.client.delete_secret().secret_id(self.id(name)).force_delete_without_recovery(true);
        match deleted.send().await {
            Err(error) if error.code() != Some(GONE) => Err(port_error("Secrets Manager", &error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

//! Adapters from the one configuration: hosts need no client of their own.

use aws_config::SdkConfig;

use crate::{DynamoTable, EventBridgeBus, KmsLinkKeys, KmsSealer, StepFunctionsDrivers};

impl DynamoTable {
    /// The table of this name.
    pub fn from_config(config: &SdkConfig, table: &str) -> Self {
        Self::new(aws_sdk_dynamodb::Client::new(config), table)
    }
}

impl EventBridgeBus {
    /// The bus of this name.
    pub fn from_config(config: &SdkConfig, bus: &str) -> Self {
        Self::new(aws_sdk_eventbridge::Client::new(config), bus)
    }
}

impl StepFunctionsDrivers {
    /// Drivers are executions of this state machine.
    pub fn from_config(config: &SdkConfig, state_machine_arn: &str) -> Self {
        Self::new(aws_sdk_sfn::Client::new(config), state_machine_arn)
    }
}

impl KmsLinkKeys {
    /// Comma-separated keys: new links are signed with the first.
    pub fn from_config(config: &SdkConfig, keys: &str) -> Self {
        let mut keys = keys.split(',').map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let current = keys.next().unwrap_or_default();
        Self::new(aws_sdk_kms::Client::new(config), current, keys)
    }
}

impl KmsSealer {
    /// With this key.
    pub fn from_config(config: &SdkConfig, key: &str) -> Self {
        Self::new(aws_sdk_kms::Client::new(config), key)
    }
}

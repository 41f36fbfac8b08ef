//! The control plane over the ports on AWS.

use std::sync::{Arc, OnceLock};

use aws::{DynamoTable, EventBridgeBus, EventBridgeRules, KmsSealer, SecretsManagerVault, StepFunctionsDrivers};
use aws_config::SdkConfig;
use control::handoff::{Outbox, Sender};
use control::keys::Place;
use control::sealing::Sealer;
use control::sources::{DEFAULT_RULE_QUOTA, Detection, Rules};
use control::system::{SystemClock, SystemEntropy};
use control::{Control, Ports};

use crate::environment::{Environment, names};
use crate::measuring::Measuring;

/// The control plane of a function, and what sends the rest of its commits.
pub fn sender(environment: &Environment, config: &SdkConfig) -> Sender {
    let outbox = Arc::new(Outbox::default());
    let ports = Ports {
        table: Arc::new(DynamoTable::from_config(config, environment.get(names::TABLE))),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        handoff: Arc::new(Measuring { outbox: outbox.clone(), stack: environment.get(names::STACK).into() }),
        sealer: environment
            .find(names::SECRET_KEY)
            .map(|key| -> Arc<dyn Sealer> { Arc::new(KmsSealer::from_config(config, key)) }),
    };
    let place =
        Place { account: environment.get(names::ACCOUNT).into(), region: environment.get(names::REGION).into() };
    Sender {
        control: Control::new(ports, place)
            .with_detection(Arc::new(detection(environment, config)))
            .with_artifact_bucket(environment.find(names::ARTIFACT_BUCKET).map(str::to_owned)),
        outbox,
        bus: Arc::new(EventBridgeBus::from_config(config, environment.get(names::BUS))),
        drivers: Arc::new(StepFunctionsDrivers::from_config(config, environment.get(names::STATE_MACHINE))),
        source: environment.get(names::EVENT_SOURCE).into(),
    }
}

/// What change detection needs. Rules are made where the function is told what they invoke.
fn detection(environment: &Environment, config: &SdkConfig) -> Detection {
    let stack = environment.get(names::STACK);
    let rules = environment.find(names::TRIGGER_INTAKE).map(|target| Rules {
        port: Arc::new(EventBridgeRules::from_config(config, target, environment.find(names::DEAD_LETTERS))),
        quota: DEFAULT_RULE_QUOTA,
        artifact_buckets: environment.find(names::ARTIFACT_BUCKET).map(str::to_owned).into_iter().collect(),
    });
    let url = environment.find(names::WEBHOOK_URL).map(|url| url.trim_end_matches('/').to_owned());
    Detection {
        stack: Some(stack.into()),
        rules,
        vault: Some(Arc::new(SecretsManagerVault::from_config(config, stack))),
        files: None,
        webhook_url: url.map_or_else(OnceLock::new, OnceLock::from),
    }
}

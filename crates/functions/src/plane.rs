//! The control plane over the ports on AWS.

use std::sync::Arc;

use aws::{DynamoTable, EventBridgeBus, StepFunctionsDrivers, SystemClock, SystemEntropy};
use aws_config::SdkConfig;
use control::handoff::{Outbox, Sender};
use control::keys::Place;
use control::{Control, Ports};

use crate::environment::{Environment, names};

/// The control plane of a function, and what sends the rest of its commits.
pub fn sender(environment: &Environment, config: &SdkConfig) -> Sender {
    let outbox = Arc::new(Outbox::default());
    let ports = Ports {
        table: Arc::new(DynamoTable::from_config(config, environment.get(names::TABLE))),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        handoff: outbox.clone(),
    };
    let place =
        Place { account: environment.get(names::ACCOUNT).into(), region: environment.get(names::REGION).into() };
    Sender {
        control: Control::new(ports, place),
        outbox,
        bus: Arc::new(EventBridgeBus::from_config(config, environment.get(names::BUS))),
        drivers: Arc::new(StepFunctionsDrivers::from_config(config, environment.get(names::STATE_MACHINE))),
        source: environment.get(names::EVENT_SOURCE).into(),
    }
}

//! The control planes, one a region: a request works in the region that it is signed for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use control::keys::Place;
use control::sources::Detection;
use control::{Control, Ports};

/// The most regions that one process serves: a signature can name any.
const MAX_REGIONS: usize = 64;

/// Gives the control plane of a region.
pub trait Regions: Send + Sync {
    /// The control plane of a region; none for one that is not served.
    fn control(&self, region: &str) -> Option<Control>;

    /// Any of them: for what an account has in all regions together.
    fn any(&self) -> Option<Control> {
        self.control("us-east-1")
    }
}

/// One region: every other is refused.
#[derive(Clone)]
pub struct OneRegion(pub Control);

impl Regions for OneRegion {
    fn control(&self, region: &str) -> Option<Control> {
        (self.0.place().region == region).then(|| self.0.clone())
    }

    fn any(&self) -> Option<Control> {
        Some(self.0.clone())
    }
}

/// Every region over the same ports, made when first asked for.
pub struct EveryRegion {
    ports: Ports,
    account: String,
    detection: Arc<Detection>,
    controls: Mutex<HashMap<String, Control>>,
}

impl EveryRegion {
    /// Regions of an account.
    pub fn new(ports: Ports, account: impl Into<String>) -> Self {
        Self { ports, account: account.into(), detection: Arc::default(), controls: Mutex::default() }
    }

    /// The same regions, with what change detection needs.
    #[must_use]
    pub fn with_detection(self, detection: Arc<Detection>) -> Self {
        Self { detection, ..self }
    }
}

impl Regions for EveryRegion {
    fn control(&self, region: &str) -> Option<Control> {
        let is_region = (4..=30).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(control) = controls.get(region) {
            return Some(control.clone());
        }
        if !is_region || controls.len() >= MAX_REGIONS {
            return None;
        }
        let place = Place { account: self.account.clone(), region: region.into() };
        let control = Control::new(self.ports.clone(), place).with_detection(self.detection.clone());
        controls.insert(region.into(), control.clone());
        Some(control)
    }
}

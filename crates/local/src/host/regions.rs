//! One control plane a region, over the same table: a request works in the region that it is signed for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use control::keys::Place;
use control::sources::Detection;
use control::{Control, Ports};

/// The most regions that requests can name; what is stored already is served whatever its region.
const MAX_REGIONS: usize = 64;

/// The control planes of an account.
pub struct Regions {
    ports: Ports,
    account: String,
    detection: Arc<Detection>,
    controls: Mutex<HashMap<String, Arc<Control>>>,
}

impl Regions {
    /// Of an account, none made yet.
    pub fn new(ports: Ports, account: String, detection: Arc<Detection>) -> Self {
        Self { ports, account, detection, controls: Mutex::default() }
    }

    /// The control plane of a region that something is stored for.
    pub fn control(&self, region: &str) -> Arc<Control> {
        let mut controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(control) = controls.get(region) {
            return control.clone();
        }
        let place = Place { account: self.account.clone(), region: region.to_owned() };
        let control = Control::new(self.ports.clone(), place).with_detection(self.detection.clone());
        let control = Arc::new(control);
        controls.insert(region.to_owned(), control.clone());
        control
    }

    /// The control plane of a region that a request names; none when it is no region's name, or one too many.
    pub fn named(&self, region: &str) -> Option<Arc<Control>> {
        let is_region = (4..=30).contains(&region.len())
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let (known, full) = {
            let controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
            (controls.contains_key(region), controls.len() >= MAX_REGIONS)
        };
        (known || (is_region && !full)).then(|| self.control(region))
    }
}

//! Sealing in memory.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use control::ports::PortError;
use control::sealing::Sealer;

/// Seals by keeping the secret: what is sealed is only its number.
#[derive(Debug, Default)]
pub struct MemorySealer(Mutex<Vec<(String, String)>>);

/// Twice, so that a changed one is none.
fn number(index: usize) -> String {
    format!("sealed-{index}-{index}")
}

#[async_trait]
impl Sealer for MemorySealer {
    async fn seal(&self, place: &str, secret: &str) -> Result<String, PortError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((place.to_owned(), secret.to_owned()));
        Ok(number(kept.len() - 1))
    }

    async fn open(&self, place: &str, sealed: &str) -> Result<String, PortError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().enumerate().find(|(index, (of, _))| number(*index) == sealed && of == place);
        found.map(|(_, (_, secret))| secret.clone()).ok_or_else(|| PortError::Corrupt("a sealed secret".into()))
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_one_in_memory_keeps_the_contract() {
        let sealer = super::MemorySealer::default();
        crate::contract::sealing(&sealer).await;
        crate::contract::sealing_tells_changes(&sealer).await;
    }
}

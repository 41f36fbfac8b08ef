//! Secrets sealed by MiniStack's KMS, and what KMS says when it cannot.

use aws::KmsSealer;
use aws_sdk_kms::Client;
use control::ports::PortError;
use control::sealing::Sealer;

use crate::front::{Fate, Front};
use crate::support::{Emulator, config};

#[tokio::test]
async fn keeps_the_contract_on_ministack() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let client = Client::new(&config(&url).await);
    let key = client.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
    let sealer = KmsSealer::new(client, key);
    testkit::contract::sealing(&sealer).await;
    // Parts hold together: none can be left out, none put elsewhere.
    let long = sealer.seal("place", &"x".repeat(10_000)).await.unwrap();
    let mut parts: Vec<&str> = long.split('.').collect();
    assert_eq!(parts.len(), 3);
    parts.swap(0, 1);
    assert!(matches!(sealer.open("place", &parts.join(".")).await, Err(PortError::Corrupt(_))));
    assert!(matches!(sealer.open("place", &parts[..2].join(".")).await, Err(PortError::Corrupt(_))));
}

#[tokio::test]
async fn a_key_that_may_not_be_used_is_no_corrupt_secret() {
    let front = Front::instead(Fate::error(400, "AccessDeniedException")).await;
    let sealer = KmsSealer::new(Client::new(&config(&front.url).await), "key");
    for error in [sealer.seal("place", "hush").await, sealer.open("place", "AAAA").await] {
        let Err(PortError::Unavailable(message)) = error else { panic!("{error:?}") };
        assert!(message.contains("AccessDeniedException") && !message.contains("hush"), "{message}");
    }
}

/// MiniStack opens what was changed, and with any key; KMS says these.
#[tokio::test]
async fn what_kms_does_not_know_is_corrupt() {
    for code in ["InvalidCiphertextException", "IncorrectKeyException"] {
        let front = Front::instead(Fate::error(400, code)).await;
        let sealer = KmsSealer::new(Client::new(&config(&front.url).await), "key");
        assert!(matches!(sealer.open("place", "AAAA").await, Err(PortError::Corrupt(_))), "{code}");
    }
}

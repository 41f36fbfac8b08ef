//! Link keys in MiniStack's KMS: rotation, and no call for what is not ours.

use api::approval::LinkKeys;
use aws::KmsLinkKeys;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};

use crate::front::{Fate, Front};
use crate::support::{Emulator, config};

async fn key(client: &Client) -> String {
    let request = client.create_key().key_spec(KeySpec::Hmac256).key_usage(KeyUsageType::GenerateVerifyMac);
    request.send().await.unwrap().key_metadata.unwrap().key_id
}

#[tokio::test]
async fn links_hold_until_their_key_is_dropped() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let client = Client::new(&config(&url).await);
    let (old, new) = (key(&client).await, key(&client).await);
    let before = KmsLinkKeys::new(client.clone(), &old, []);
    let mac = before.mac(before.current(), b"payload").await.unwrap();
    assert!(before.verify(&old, b"payload", &mac).await);

    let rotated = KmsLinkKeys::new(client.clone(), &new, [old.clone()]);
    assert_eq!(rotated.current(), new);
    assert!(rotated.verify(&old, b"payload", &mac).await, "links outlive the rotation");
    assert!(!rotated.verify(&new, b"payload", &mac).await, "each key has its own MACs");
    assert!(!rotated.verify(&old, b"payloae", &mac).await);
    let mut changed = mac;
    changed[31] ^= 1;
    assert!(!rotated.verify(&old, b"payload", &changed).await);
    assert_ne!(rotated.mac(&new, b"payload").await.unwrap(), mac);

    let dropped = KmsLinkKeys::new(client, &new, []);
    assert!(!dropped.verify(&old, b"payload", &mac).await, "a dropped key verifies nothing");
    assert_eq!(dropped.mac(&old, b"payload").await, None);
}

#[tokio::test]
async fn keys_that_are_not_ours_reach_no_kms() {
    let front = Front::instead(Fate::error(400, "AccessDeniedException")).await;
    let keys = KmsLinkKeys::new(Client::new(&config(&front.url).await), "ours", ["older".to_owned(), String::new()]);
    for foreign in ["", "Ours", "theirs", "alias/aws/s3"] {
        assert_eq!(keys.mac(foreign, b"payload").await, None);
        assert!(!keys.verify(foreign, b"payload", &[0; 32]).await);
    }
    assert!(front.requests().is_empty());
    // Ours do; what fails there verifies nothing.
    assert!(!keys.verify("older", b"payload", &[0; 32]).await);
    assert_eq!(keys.mac("ours", b"payload").await, None);
    let asked: Vec<_> = front.requests().iter().map(|request| request.operation().to_owned()).collect();
    assert_eq!(asked, ["VerifyMac", "GenerateMac"]);
}

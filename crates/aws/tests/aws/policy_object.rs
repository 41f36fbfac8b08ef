//! The policies' object in MiniStack's S3.

use aws::PolicyObject;
use aws_sdk_s3::Client;
use control::ports::PortError;

use crate::support::{Emulator, config, unique};

#[tokio::test]
async fn policies_are_read_when_they_changed_and_faults_name_the_object() {
    let Some(url) = Emulator::MiniStack.url() else { return };
    let config = config(&url).await;
    let builder = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let (client, bucket) = (Client::from_conf(builder.build()), unique("policies"));
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let put = async |body: Vec<u8>| {
        client.put_object().bucket(&bucket).key("who/may.cedar").body(body.into()).send().await.unwrap();
    };
    let object = PolicyObject::from_config(&config, &format!("{bucket}/who/may.cedar"));
    let missing = object.read(None).await.unwrap_err().to_string();
    assert!(missing.contains("/who/may.cedar") && missing.contains("NoSuchKey"), "{missing}");
    put(b"permit (principal, action, resource);".to_vec()).await;
    let (text, tag) = object.read(None).await.unwrap().unwrap();
    assert_eq!(text, "permit (principal, action, resource);");
    assert_eq!(object.read(Some(&tag)).await.unwrap(), None);
    put(b"".to_vec()).await;
    let (text, newer) = object.read(Some(&tag)).await.unwrap().unwrap();
    assert!(text.is_empty() && newer != tag);
    for wrong in [vec![b'x'; 1024 * 1024 + 1], vec![0xff]] {
        put(wrong).await;
        assert!(matches!(object.read(None).await, Err(PortError::Invalid(_))));
    }
    let nowhere = PolicyObject::from_config(&config, "no-key").read(None).await.unwrap_err().to_string();
    assert!(nowhere.contains("BUCKET/KEY"), "{nowhere}");
}

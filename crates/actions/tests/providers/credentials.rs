//! Credentials of job workers, minted by STS.

use std::collections::BTreeSet;

use actions::roles::{StsRoles, artifact_credentials};
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::setup::{Now, artifact, config, request, s3, unique};

#[tokio::test]
async fn a_jobs_credentials_are_fresh_and_reach_its_artifacts() {
    let Some(config) = config() else { return };
    let bucket = unique("jobs");
    s3(&config).create_bucket().bucket(&bucket).send().await.unwrap();
    let mut request = request("Build", "CodeBuild", &[]);
    request.action.inputs = vec![artifact(&bucket, "In")];
    request.action.outputs = vec![artifact(&bucket, "Out")];
    let (input, output) = (request.action.inputs[0].key.clone(), request.action.outputs[0].key.clone());
    s3(&config).put_object().bucket(&bucket).key(&input).body(b"in".to_vec().into()).send().await.unwrap();
    let service = Some("arn:aws:iam::000000000000:role/penstock-service".to_owned());
    let roles = StsRoles::new(config.clone(), service, std::sync::Arc::new(Now));
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let minted = artifact_credentials(&roles, &request).await.unwrap();
        assert!(minted.session_token().is_some_and(|token| !token.is_empty()) && minted.expiry().is_some());
        seen.insert(minted.secret_access_key().to_owned());
        let as_worker = config.to_builder().credentials_provider(SharedCredentialsProvider::new(minted)).build();
        let got = s3(&as_worker).get_object().bucket(&bucket).key(&input).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"in");
        s3(&as_worker).put_object().bucket(&bucket).key(&output).body(b"out".to_vec().into()).send().await.unwrap();
    }
    assert_eq!(seen.len(), 2, "no credentials are given twice");
}

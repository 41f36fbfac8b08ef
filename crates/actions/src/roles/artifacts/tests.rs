use super::*;
use crate::testing;

fn request() -> ActionRequest {
    let mut request = testing::request("Build", "Builder", &[]);
    request.action.inputs = vec![testing::artifact("In", "pipe/In/1")];
    request.action.outputs = vec![testing::artifact("Out", "pipe/Out/2")];
    request.encryption_key = Some("arn:aws:kms:us-east-1:1:key/k".into());
    request
}

#[test]
fn a_jobs_credentials_reach_its_artifacts_alone() {
    let policy = policy(&request());
    assert_eq!(
        policy["Statement"],
        json!([
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:GetObjectVersion"],
             "Resource": ["arn:aws:s3:::store/pipe/In/1"]},
            {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::store/pipe/Out/2"]},
            {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
             "Resource": "arn:aws:kms:us-east-1:1:key/k"},
        ])
    );
    let mut unnamed = request();
    unnamed.encryption_key = None;
    assert_eq!(
        super::policy(&unnamed)["Statement"][2],
        json!({"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "arn:aws:kms:us-east-1:111122223333:key/*",
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}})
    );
    let mut bare = request();
    bare.action.inputs.clear();
    bare.action.outputs.clear();
    assert_eq!(super::policy(&bare)["Statement"], json!([{"Effect": "Deny", "Action": "*", "Resource": "*"}]));
}

#[test]
fn keys_are_named_by_arn() {
    let request = request();
    for (key, arn) in [
        ("arn:aws:kms:eu-west-1:9:key/k", "arn:aws:kms:eu-west-1:9:key/k"),
        ("k-1", "arn:aws:kms:us-east-1:111122223333:key/k-1"),
        ("alias/mine", "arn:aws:kms:us-east-1:111122223333:key/*"),
        ("arn:aws:kms:us-east-1:1:alias/mine", "arn:aws:kms:us-east-1:111122223333:key/*"),
    ] {
        assert_eq!(key_arn(&request, key), arn, "{key}");
    }
}

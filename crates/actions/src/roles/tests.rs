use std::sync::{Arc, Mutex};

use aws_credential_types::provider::ProvideCredentials;

use super::*;
use crate::testing::{self, FakeAws, Fixed};

fn answer(key: &str, expires: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// STS that gives keys named after the role, good until one o'clock.
fn sts(clock: &Arc<Fixed>, service_role: Option<&str>) -> (StsRoles, FakeAws) {
    let calls = Arc::new(Mutex::new(0));
    let fake = FakeAws::new(move |request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let role = request.form("RoleArn").rsplit('/').next().unwrap_or_default().to_owned();
        (200, answer(&format!("{role}-{calls}"), "2026-11-24T01:00:00Z"))
    });
    (StsRoles::new(fake.config(), service_role.map(Into::into), clock.clone()), fake)
}

fn session() -> Session {
    let mut request = testing::request("Build", "CodeBuild", &[]);
    request.role_arn = "arn:aws:iam::111122223333:role/penstock/action".into();
    Session::of(&request)
}

async fn key_of(config: SdkConfig) -> String {
    config.credentials_provider().unwrap().provide_credentials().await.unwrap().access_key_id().to_owned()
}

#[tokio::test]
async fn an_actions_role_is_assumed_through_the_service_role_with_external_id_and_tags() {
    let clock = Fixed::at("2026-11-24T00:00:00Z");
    let (roles, fake) = sts(&clock, Some("arn:aws:iam::111122223333:role/service"));
    assert_eq!(key_of(roles.config(&session()).await.unwrap()).await, "action-2");
    let requests = fake.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].form("RoleArn"), "arn:aws:iam::111122223333:role/service");
    assert!(requests[0].authorization().contains("Credential=test/"), "{}", requests[0].authorization());
    assert!(requests[1].authorization().contains("Credential=service-1/"), "{}", requests[1].authorization());
    for request in requests {
        assert_eq!(request.form("ExternalId"), "arn:aws:codepipeline:us-east-1:111122223333:pipe");
        assert_eq!(request.form("RoleSessionName"), "penstock-00000000-0000-0000-0000-0000000000e1");
        assert_eq!(request.form("Tags.member.3.Key"), "action");
        assert_eq!(request.form("Tags.member.3.Value"), "Act");
    }
}

#[tokio::test]
async fn credentials_are_kept_until_shortly_before_they_expire() {
    let clock = Fixed::at("2026-11-24T00:00:00Z");
    let (roles, fake) = sts(&clock, None);
    roles.config(&session()).await.unwrap();
    let elsewhere = Session { region: "eu-west-1".into(), ..session() };
    let config = roles.config(&elsewhere).await.unwrap();
    assert_eq!(config.region().unwrap().as_ref(), "eu-west-1");
    assert_eq!(fake.requests().len(), 1, "credentials are good in every region");
    clock.set("2026-11-24T00:54:59Z");
    roles.config(&session()).await.unwrap();
    assert_eq!(fake.requests().len(), 1);
    clock.set("2026-11-24T00:55:00Z");
    roles.config(&session()).await.unwrap();
    assert_eq!(fake.requests().len(), 2, "five minutes before the end they are renewed");
    let other = Session { tags: vec![("action".into(), "Other".into())], ..session() };
    roles.config(&other).await.unwrap();
    assert_eq!(fake.requests().len(), 3, "credentials of one action are never another's");
}

#[tokio::test]
async fn credentials_to_give_away_bear_their_policy_and_are_not_kept() {
    let clock = Fixed::at("2026-11-24T00:00:00Z");
    let (roles, fake) = sts(&clock, None);
    for count in 1..=2 {
        let given = roles.limited(&session(), "{\"policy\":1}").await.unwrap();
        assert_eq!(given.access_key_id(), format!("action-{count}"));
    }
    roles.config(&session()).await.unwrap();
    assert_eq!(fake.requests()[1].form("Policy"), "{\"policy\":1}");
    assert_eq!(fake.requests()[2].form("Policy"), "");
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_says_what_to_add() {
    let fake = FakeAws::new(|_| {
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        (403, body.into())
    });
    let roles = StsRoles::new(fake.config(), None, Fixed::at("2026-11-24T00:00:00Z"));
    let error = roles.config(&session()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("arn:aws:iam::111122223333:role/penstock/action cannot be assumed by"), "{message}");
    assert!(message.contains("\"sts:ExternalId\":\"arn:aws:codepipeline:us-east-1:111122223333:pipe\""), "{message}");
}

//! Connections: made, found by either of their ARNs, deleted.

use control::connections::{ConnectionError, NewConnection, Provider};

use super::world::{git_pipeline, world};

#[tokio::test]
async fn a_connection_is_found_by_its_own_arn_and_a_mapped_one() {
    let world = world();
    let mapped = "arn:aws:codestar-connections:eu-west-1:123456789012:connection/0f5b706a-1a1d-46c5-86b6-f177321bcfb2";
    let made = world
        .connection(Provider::GitLabSelfManaged, |new| {
            new.mapped_arn = Some(mapped.into());
            new.token = Some("glpat-1".into());
        })
        .await;
    let own = world.control.connection_arn(&made.connection.id);
    for arn in [own.as_str(), mapped] {
        let found = world.control.connection_by_arn(arn).await.unwrap().unwrap();
        assert_eq!((found.host.as_str(), found.provider.as_str()), ("git.example.org", "GitLabSelfManaged"));
        assert_eq!(world.control.connection_token(&found).await.unwrap().as_deref(), Some("glpat-1"));
    }
    assert!(world.control.connection_by_arn("arn:aws:codeconnections:x:y:connection/z").await.unwrap().is_none());
    // Pipelines that name either are started by its deliveries.
    world.create(git_pipeline("p", mapped, None)).await;
    world.create(git_pipeline("q", &own, None)).await;
    assert_eq!(world.pushed(&own, "a..b", "1").await.started.len(), 2);
    let twice = NewConnection { mapped_arn: Some(mapped.into()), ..new("two") };
    assert!(matches!(world.control.create_connection(twice).await, Err(ConnectionError::Mapped(_))));
    assert_eq!(world.vault.names().len(), 2, "nothing is left of the one that was refused");
    world.control.delete_connection(mapped).await.unwrap();
    assert!(world.vault.names().is_empty());
    assert!(world.control.list_connections().await.unwrap().is_empty());
    assert!(matches!(world.control.delete_connection(&own).await, Err(ConnectionError::NotFound(_))));
}

fn new(name: &str) -> NewConnection {
    NewConnection {
        name: name.into(),
        provider: Provider::GitHub,
        host: None,
        app_id: None,
        token: None,
        webhook_secret: None,
        mapped_arn: None,
        allow_forks: false,
    }
}

#[tokio::test]
async fn secrets_stand_nowhere_but_in_the_vault() {
    let world = world();
    let made = world.connection(Provider::GitHub, |new| new.token = Some("ghp_verysecret".into())).await;
    let random = world.control.create_connection(new("other")).await.unwrap();
    assert_eq!(random.webhook_secret.len(), 32);
    assert_ne!(random.connection.hook, made.connection.hook);
    for (key, stored) in world.table.items() {
        let text = String::from_utf8_lossy(&stored.body).into_owned();
        for secret in ["ghp_verysecret", super::world::SECRET, random.webhook_secret.as_str()] {
            assert!(!text.contains(secret) && !key.sk.contains(secret), "{key:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_connection_is_refused() {
    let world = world();
    let refused = [
        NewConnection { host: Some("git.example.org".into()), ..new("a") },
        NewConnection { provider: Provider::GitLabSelfManaged, ..new("a") },
        NewConnection { provider: Provider::GitLabSelfManaged, host: Some("http://x/".into()), ..new("a") },
        new("no name"),
        new(""),
        NewConnection { webhook_secret: Some("short".into()), ..new("a") },
        NewConnection { token: Some(String::new()), ..new("a") },
        NewConnection { mapped_arn: Some("x".into()), ..new("a") },
    ];
    for connection in refused {
        let shown = (connection.name.clone(), connection.host.clone());
        let made = world.control.create_connection(connection).await;
        assert!(matches!(made, Err(ConnectionError::Invalid(_))), "{shown:?}");
    }
    assert!(world.table.items().is_empty() && world.vault.names().is_empty());
}

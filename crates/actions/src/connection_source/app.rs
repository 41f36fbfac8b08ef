//! A GitHub App's token: its private key opens the installation that a repository belongs to, for an hour.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::{escaped_path, text};
use crate::fault::{Fault, code};
use crate::ports::{Connection, Secret};
use crate::web::{Answer, Web};

/// How far the host's clock may be behind, in seconds.
const SKEW_SECONDS: i64 = 60;
/// How long the app's own token is good, in seconds; GitHub takes no more than ten minutes.
const LIFE_SECONDS: i64 = 8 * 60;

/// What is to be read of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Commits and files.
    Contents,
    /// Pull requests, too. Not every installation grants that.
    PullRequests,
}

impl Reading {
    fn permissions(self) -> Value {
        match self {
            Self::Contents => json!({"contents": "read", "metadata": "read"}),
            Self::PullRequests => json!({"contents": "read", "metadata": "read", "pull_requests": "read"}),
        }
    }
}

/// A token for one repository, that may only read it.
pub(super) async fn token(
    web: &Web,
    connection: &Connection,
    (app_id, key): (&str, &Secret),
    api: &str,
    full_id: &str,
    now: Timestamp,
    reading: Reading,
) -> Result<Secret, Fault> {
    let own = Secret::new(signed(app_id, key, now)?);
    let url = format!("{api}/repos/{}/installation", escaped_path(full_id));
    let found = read(connection, app_id, web.get(&url, "application/json", Some(&own)).await?, full_id).await?;
    let id = found["id"].as_u64().ok_or_else(|| nothing(connection))?;
    let name = full_id.rsplit('/').next().unwrap_or(full_id);
    let wanted = |reading: Reading| json!({"repositories": [name], "permissions": reading.permissions()}).to_string();
    let url = format!("{api}/app/installations/{id}/access_tokens");
    let mut made = web.post(&url, &wanted(reading), &own).await?;
    if made.status == 422 && reading == Reading::PullRequests {
        // No token is made for more than the installation grants. Of a public repository this reads pull requests, too.
        made = web.post(&url, &wanted(Reading::Contents), &own).await?;
    }
    let made = read(connection, app_id, made, full_id).await?;
    text(&made, "/token").map(Secret::new).ok_or_else(|| nothing(connection))
}

fn nothing(connection: &Connection) -> Fault {
    Fault::Later(format!("{} told nothing of the app's installation", connection.host))
}

async fn read(connection: &Connection, app_id: &str, answer: Answer, full_id: &str) -> Result<Value, Fault> {
    let host = &connection.host;
    match answer.status {
        200 | 201 => serde_json::from_str(&answer.text().await?).map_err(|_| nothing(connection)),
        400..500 if answer.must_wait => {
            Err(Fault::Later(format!("{host} asks to wait before the app {app_id}'s token")))
        }
        401 | 403 => Err(Fault::Ends {
            code: code::PERMISSION,
            message: format!("{host} does not know the key of the app {app_id}: renew it, and check the app's id"),
        }),
        404 | 422 => Err(Fault::Ends {
            code: code::PERMISSION,
            message: format!("the app {app_id} is not installed for {full_id} at {host}, or may not read its contents"),
        }),
        status => Err(Fault::Unknown(format!("{host} failed ({status}) at the installation of the app {app_id}"))),
    }
}

/// The app's own token (RS256).
fn signed(app_id: &str, key: &Secret, now: Timestamp) -> Result<String, Fault> {
    // What is wrong with the key is not told: it would be part of the key.
    let wrong = || Fault::configuration("the connection's private key is no RSA key in PEM, as GitHub gives it");
    let key = match PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|_| wrong())? {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(wrong()),
    };
    let key = key.map_err(|_| wrong())?;
    let head = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "typ": "JWT"}).to_string());
    let said = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims(app_id, now).to_string()));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), said.as_bytes(), &mut signature).map_err(|_| wrong())?;
    Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn claims(app_id: &str, now: Timestamp) -> Value {
    let now = now.0 / 1000;
    json!({"iat": now - SKEW_SECONDS, "exp": now + LIFE_SECONDS, "iss": app_id})
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::ports::GitHost;
    use crate::testing::{self, Asked, FakeAws};

    const NOW: &str = "2026-11-24T00:00:00Z";

    /// A fresh key, and as GitHub gives it.
    pub(in super::super) fn key() -> (RsaKeyPair, Secret) {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der = key.as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        (key, Secret::new(pem))
    }

    fn connection() -> Connection {
        let (kind, host) = (GitHost::GitHub, "github.com".into());
        Connection { kind, host, base_url: None, app_id: Some("7".into()), token: None }
    }

    #[test]
    fn an_apps_token_bears_its_signature() {
        let (key, pem) = key();
        let token = signed("7", &pem, testing::time(NOW)).unwrap();
        let (said, signature) = token.rsplit_once('.').unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
        public.verify(said.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(said.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let now = testing::time(NOW).0 / 1000;
        assert_eq!(claims, json!({"iat": now - 60, "exp": now + 480, "iss": "7"}));
    }

    #[test]
    fn a_key_that_is_none_is_not_shown() {
        for pem in ["secret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
            let Err(Fault::Ends { message, .. }) = signed("7", &Secret::new(pem), testing::time(NOW)) else { panic!() };
            assert!(!message.contains("secret") && !message.contains("c2Vj"), "{message}");
        }
    }

    async fn asked(fake: &FakeAws, reading: Reading) -> Result<Secret, Fault> {
        let (web, connection, (_, pem)) = (Web::with(fake.clone()), connection(), key());
        let api = "https://api.github.com";
        token(&web, &connection, ("7", &pem), api, "acme/shop", testing::time(NOW), reading).await
    }

    #[tokio::test]
    async fn the_token_reads_one_repository() {
        let fake = FakeAws::new(|asked: &Asked| match asked.method.as_str() {
            "GET" => (200, json!({"id": 42}).to_string()),
            _ => (201, json!({"token": "ghs_1"}).to_string()),
        });
        assert_eq!(asked(&fake, Reading::Contents).await, Ok(Secret::new("ghs_1")));
        let requests = fake.requests();
        assert_eq!(requests[0].uri, "https://api.github.com/repos/acme/shop/installation");
        assert_eq!(requests[1].uri, "https://api.github.com/app/installations/42/access_tokens");
        let wanted = json!({"repositories": ["shop"], "permissions": {"contents": "read", "metadata": "read"}});
        assert_eq!(requests[1].json(), wanted);
        assert!(requests.iter().all(|asked| asked.authorization().starts_with("Bearer ey")));
    }

    #[tokio::test]
    async fn pull_requests_are_read_where_the_installation_grants_it() {
        for granted in [true, false] {
            let fake = FakeAws::new(move |asked: &Asked| match asked.method.as_str() {
                "GET" => (200, json!({"id": 42}).to_string()),
                _ if !granted && asked.body.contains("pull_requests") => (422, String::new()),
                _ => (201, json!({"token": "ghs_1"}).to_string()),
            });
            assert_eq!(asked(&fake, Reading::PullRequests).await, Ok(Secret::new("ghs_1")));
            let requests = fake.requests();
            let wanted: Vec<_> = requests[1..].iter().map(|asked| asked.json()["permissions"].clone()).collect();
            let contents = json!({"contents": "read", "metadata": "read"});
            let more = json!({"contents": "read", "metadata": "read", "pull_requests": "read"});
            assert_eq!(wanted, if granted { vec![more] } else { vec![more, contents] });
        }
    }

    #[tokio::test]
    async fn an_app_that_is_not_installed_says_so() {
        for (status, part) in [(404, "is not installed for acme/shop"), (401, "does not know the key of the app 7")] {
            let fake = FakeAws::new(move |_| (status, String::new()));
            let Err(Fault::Ends { code, message }) = asked(&fake, Reading::Contents).await else { panic!() };
            assert_eq!(code, "PermissionError");
            assert!(message.contains(part), "{message}");
        }
    }
}

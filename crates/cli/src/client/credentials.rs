//! Which keys sign the requests.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::args::ConnectArgs;
use crate::environment::variable;
use crate::exit::Unusable;

pub use local::sign::Keys as Credentials;

/// The credentials file that `penstock serve` makes in its default data directory.
const SERVED: &str = ".penstock/credentials";

/// Where keys were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment variables of the AWS command line.
    Environment,
    /// A file's profile.
    File(PathBuf, String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.write_str("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
            Self::File(path, profile) => write!(f, "profile {profile} of {}", path.display()),
        }
    }
}

/// Finds keys: `--credentials`, then what the environment names, then what `penstock serve` made in the working
/// directory, then the AWS command line's file.
///
/// # Errors
/// None are found, or the file that is named cannot be used.
pub fn find(args: &ConnectArgs) -> anyhow::Result<(Credentials, Origin)> {
    if let Some(path) = &args.credentials {
        return from_file(path, &profile_or_default(args.profile.as_deref()));
    }
    let found = named(args.profile.as_deref(), Some(Path::new(SERVED)))?;
    found.ok_or_else(|| {
        Unusable::new(format!(
            "no credentials: name the server's file with --credentials (`penstock serve` makes {SERVED}), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))
        .into()
    })
}

/// Finds keys for AWS itself: what the environment names, then the AWS command line's file.
///
/// # Errors
/// None are found, or the file that is named cannot be used.
#[cfg(not(feature = "aws"))]
pub fn find_for_aws(profile: Option<&str>) -> anyhow::Result<Credentials> {
    let found = named(profile, None)?;
    let (credentials, _) = found.ok_or_else(|| {
        Unusable::new(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write a profile into ~/.aws/credentials \
             (a build with --features aws knows roles, single sign-on, containers and instances, too)",
        )
    })?;
    Ok(credentials)
}

fn profile_or_default(profile: Option<&str>) -> String {
    profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE")).unwrap_or_else(|| "default".into())
}

fn named(profile: Option<&str>, served: Option<&Path>) -> anyhow::Result<Option<(Credentials, Origin)>> {
    if profile.is_none()
        && let (Some(access_key_id), Some(secret_access_key)) =
            (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"))
    {
        let session_token = variable("AWS_SESSION_TOKEN");
        let credentials = Credentials { access_key_id, secret_access_key, session_token };
        return Ok(Some((credentials, Origin::Environment)));
    }
    let profile = profile_or_default(profile);
    if let Some(path) = variable("AWS_SHARED_CREDENTIALS_FILE") {
        return from_file(Path::new(&path), &profile).map(Some);
    }
    let home = variable("HOME").map(|home| Path::new(&home).join(".aws/credentials"));
    let candidates = [served.map(Path::to_owned), home];
    let file = candidates.into_iter().flatten().find(|path| path.is_file());
    file.map(|path| from_file(&path, &profile)).transpose()
}

fn from_file(path: &Path, profile: &str) -> anyhow::Result<(Credentials, Origin)> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Unusable::new(format!("credentials file {}: {error}", path.display())))?;
    let found = parse(&text, profile)
        .map_err(Unusable::new)
        .with_context(|| format!("cannot use the credentials file {}", path.display()))?;
    Ok((found, Origin::File(path.into(), profile.into())))
}

/// Reads one profile of an AWS-format file. Errors never quote a line: it may hold a secret.
fn parse(text: &str, profile: &str) -> Result<Credentials, String> {
    let (mut inside, mut profiles) = (false, Vec::new());
    let (mut id, mut secret, mut session_token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == profile;
            profiles.push(name.trim().to_owned());
        } else if inside && let Some((key, value)) = line.split_once('=') {
            let slot = match key.trim() {
                "aws_access_key_id" => &mut id,
                "aws_secret_access_key" => &mut secret,
                "aws_session_token" => &mut session_token,
                _ => continue,
            };
            *slot = Some(value.trim().to_owned());
        }
    }
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Credentials { access_key_id, secret_access_key, session_token })
        }
        _ if profiles.iter().any(|name| name == profile) => {
            Err(format!("profile {profile} lacks aws_access_key_id or aws_secret_access_key"))
        }
        _ => Err(format!("it has no profile {profile}; it has {}", listed(&profiles))),
    }
}

fn listed(profiles: &[String]) -> String {
    if profiles.is_empty() { "none".into() } else { profiles.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_named_profile_is_read_and_no_other() {
        let text = "# keys\n[default]\naws_access_key_id = A\naws_secret_access_key=x=y\n\n[ci]\naws_access_key_id=B\naws_secret_access_key=z\naws_session_token=t\nregion=r\n";
        let default = parse(text, "default").unwrap();
        assert_eq!((default.access_key_id.as_str(), default.secret_access_key.as_str()), ("A", "x=y"));
        assert_eq!(parse(text, "ci").unwrap().session_token.as_deref(), Some("t"));
        assert_eq!(parse(text, "prod").unwrap_err(), "it has no profile prod; it has default, ci");
        assert!(parse("[default]\naws_access_key_id = A", "default").unwrap_err().contains("lacks"));
    }
}

//! Who may sign: an AWS-format credentials file, and other files that hold secrets.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secret::{Secret, random};
use crate::sigv4::{Credential, Credentials};

#[cfg(test)]
mod tests;

/// A secrets file is small.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What is wrong with a file that holds secrets. Never holds one.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read or made.
    #[error("{path}: cannot be read or made")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{path}: others than its owner may read or write it (mode {mode:04o}); run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Its content is not what it must be.
    #[error("{path}:{line}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// The text of a file that only its owner may read.
///
/// # Errors
///
/// It is not there, others may read or write it, it is no file, or it is too large.
pub fn read_private(path: &Path) -> Result<String, CredentialsError> {
    let io = |source| CredentialsError::Io { path: path.into(), source };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(io(std::io::Error::new(ErrorKind::InvalidData, "not a file of at most 1 MiB")));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CredentialsError::Mode { path: path.into(), mode });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// The text of a private file; made with what `content` gives, mode 0600, if it is not there. Of two that make it at once
/// one wins, and both read the winner's.
///
/// # Errors
///
/// As [`read_private`], or it cannot be made.
pub fn read_or_make_private(
    path: &Path,
    content: impl FnOnce() -> Result<String, std::io::Error>,
) -> Result<String, CredentialsError> {
    match read_private(path) {
        Err(CredentialsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    let io = |source| CredentialsError::Io { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(content().map_err(io)?.as_bytes()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error.error)),
    }
    read_private(path)
}

/// The keys of an AWS-format credentials file: every profile with a key may sign, as user of its profile's name.
#[derive(Debug, Default)]
pub struct CredentialsFile {
    by_access_key: HashMap<String, Arc<Credential>>,
}

impl Credentials for CredentialsFile {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        self.by_access_key.get(access_key).cloned()
    }
}

impl CredentialsFile {
    /// Reads the file; makes one with a random key under `[default]` if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read or made, others may read it, or its content is not that of such a file.
    pub fn load_or_make(path: &Path, account: &str) -> Result<Self, CredentialsError> {
        let text = read_or_make_private(path, new_file)?;
        Self::parse(&text, account).map_err(|(line, message)| CredentialsError::Content {
            path: path.into(),
            line,
            message,
        })
    }

    fn parse(text: &str, account: &str) -> Result<Self, (usize, String)> {
        let mut file = Self::default();
        let mut profile: Option<Profile> = None;
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
                file.add(profile.replace(Profile::new(name, line)?), account)?;
                continue;
            }
            let field = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            match (&mut profile, field) {
                (Some(profile), Some((name, value))) => profile.set(name, value, line)?,
                (Some(_), None) => return Err((line, "must be NAME = VALUE or [PROFILE]".into())),
                (None, _) => return Err((line, "a [PROFILE] must come first".into())),
            }
        }
        file.add(profile, account)?;
        if file.by_access_key.is_empty() {
            let message = "no profile has aws_access_key_id and aws_secret_access_key: nobody could sign";
            return Err((1, message.into()));
        }
        Ok(file)
    }

    fn add(&mut self, profile: Option<Profile>, account: &str) -> Result<(), (usize, String)> {
        let Some(profile) = profile else { return Ok(()) };
        let (access_key, secret) = match (profile.access_key, profile.secret) {
            (None, None) => return Ok(()),
            (Some(access_key), Some(secret)) => (access_key, secret),
            (Some(_), None) => return Err((profile.line, "the profile has no aws_secret_access_key".into())),
            (None, Some(_)) => return Err((profile.line, "the profile has no aws_access_key_id".into())),
        };
        let principal = format!("arn:aws:iam::{account}:user/{}", profile.name);
        let credential = Credential { secret, session_token: profile.session_token, principal };
        if self.by_access_key.insert(access_key, Arc::new(credential)).is_some() {
            return Err((profile.line, "the profile's access key belongs to an earlier profile already".into()));
        }
        Ok(())
    }
}

/// A profile as it is read.
struct Profile {
    name: String,
    line: usize,
    access_key: Option<String>,
    secret: Option<Secret>,
    session_token: Option<Secret>,
}

impl Profile {
    fn new(name: &str, line: usize) -> Result<Self, (usize, String)> {
        let name = name.trim().strip_prefix("profile ").unwrap_or(name.trim());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err((line, "a profile's name must be 1 to 64 of A-Z a-z 0-9 _ + = , . @ -".into()));
        }
        Ok(Self { name: name.into(), line, access_key: None, secret: None, session_token: None })
    }

    /// Other settings than keys mean nothing here, as in the files of AWS's tools.
    fn set(&mut self, name: &str, value: &str, line: usize) -> Result<(), (usize, String)> {
        let is_new = match name {
            "aws_access_key_id" => {
                let is_key = (1..=128).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
                if !is_key {
                    return Err((line, "aws_access_key_id must be 1 to 128 letters and digits".into()));
                }
                self.access_key.replace(value.into()).is_none()
            }
            "aws_secret_access_key" => {
                if value.is_empty() {
                    return Err((line, "aws_secret_access_key must not be empty".into()));
                }
                self.secret.replace(Secret::new(value)).is_none()
            }
            "aws_session_token" => self.session_token.replace(Secret::new(value)).is_none(),
            _ => true,
        };
        if is_new { Ok(()) } else { Err((line, format!("{name} stands twice in this profile"))) }
    }
}

/// A file with one random key: 80 bits name it, 240 bits are secret.
fn new_file() -> Result<String, std::io::Error> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let name: String = random::<16>()?.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    let secret = STANDARD.encode(random::<30>()?);
    Ok(format!(
        "# Keys that may sign requests to this Penstock, in the format of AWS's tools. Keep it private.\n\
         [default]\naws_access_key_id = AKPS{name}\naws_secret_access_key = {secret}\n"
    ))
}

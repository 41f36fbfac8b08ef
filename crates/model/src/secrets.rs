//! What looks like a secret: by the name it stands under, or by its form.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

/// Whether a value under this name is probably a secret: `DB_PASSWORD`, `apiToken`, but not `TOKEN_URL` or `SecretArn`,
/// which say where one is.
pub fn is_secret_name(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    const WORDS: &[&str] = &[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "privatekey",
        "secretkey",
        "accesskey",
        "credential",
        "credentials",
    ];
    WORDS.iter().any(|word| name.ends_with(word))
}

/// What kind of secret `text` holds, if it holds one in plain text. The answer never repeats it.
pub fn secret_kind(text: &str) -> Option<&'static str> {
    if text.len() < SHORTEST {
        return None;
    }
    let first = FORMS.as_ref()?.matches(text).into_iter().next()?;
    KINDS.get(first).map(|(kind, _)| *kind)
}

/// Whether a value stands where a secret would, but is none: empty, masked, a reference, or the name of a stored secret.
pub fn is_placeholder(value: &str) -> bool {
    value.is_empty()
        || value.chars().all(|c| c == '*')
        || value.starts_with("arn:")
        || value.contains("#{")
        || value.contains("{{resolve:")
        || PLACEHOLDER.as_ref().is_some_and(|form| form.is_match(value))
}

/// No secret that is known by its form is shorter.
const SHORTEST: usize = 20;

const KINDS: &[(&str, &str)] = &[
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_\-]{20}"),
    ("a Slack token", r"\bxox[abposr]-[A-Za-z0-9\-]{10,}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_\-]{35}"),
    ("a Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
    ("a private key", r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
];

static FORMS: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSet::new(KINDS.iter().map(|(_, form)| form)).ok());

/// `$TOKEN`, `${TOKEN}`, `<token>`.
static PLACEHOLDER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:\$[A-Za-z_][A-Za-z0-9_]*|\$\{[^}]*\}|<[^>]*>)$").ok());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_about_secrets() {
        for name in
            ["PASSWORD", "DB_PASSWORD", "apiToken", "OAuthToken", "ClientSecret", "API_KEY", "aws_secret_access_key"]
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["TOKEN_URL", "SecretArn", "SECRET_NAME", "Owner", "KEY", "S3ObjectKey", "InstanceTagKey"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn every_form_of_secret_is_known() {
        assert!(FORMS.is_some() && PLACEHOLDER.is_some());
        for (text, kind) in [
            (format!("export K={}{}", "AKIA", "ABCDEFGHIJKLMNOP"), "an AWS access key"),
            (format!("ghp{}{}", '_', "a".repeat(36)), "a GitHub token"),
            (format!("glpat{}{}", '-', "a".repeat(20)), "a GitLab token"),
            (format!("xoxb{}{}", '-', "1".repeat(24)), "a Slack token"),
            (format!("AI{}{}", "za", "b".repeat(35)), "a Google API key"),
            (format!("sk{}{}", "_live_", "c".repeat(24)), "a Stripe key"),
            (format!("-----BEGIN RSA {} KEY-----\n", "PRIVATE"), "a private key"),
        ] {
            assert_eq!(secret_kind(&text), Some(kind), "{text}");
        }
        for text in ["", "arn:aws:iam::123456789012:role/AKIA", "a long and harmless description of a build"] {
            assert_eq!(secret_kind(text), None, "{text}");
        }
    }

    #[test]
    fn placeholders_are_no_secrets() {
        for value in [
            "",
            "****",
            "#{a.b}",
            "arn:aws:secretsmanager:x",
            "{{resolve:secretsmanager:a}}",
            "$TOKEN",
            "${TOKEN}",
            "<token>",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        assert!(!is_placeholder("hunter2") && !is_placeholder("pa$$word"));
    }
}

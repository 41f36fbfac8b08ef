//! The lines of `penstock.toml` that a message tells people to add.

use super::LocalConfig;

/// A name as TOML writes it within quotation marks.
fn quoted(name: &str) -> String {
    toml::Value::String(name.into()).to_string()
}

/// For a source action.
pub fn source_lines(action: &str) -> String {
    format!("[source.{}]\npath = \"path/to/repository\"", quoted(action))
}

/// For an S3 bucket.
pub fn bucket_lines(bucket: &str) -> String {
    format!("[bucket.{}]\npath = \"path/to/directory\"", quoted(bucket))
}

/// For a Lambda function.
pub fn function_lines(function: &str) -> String {
    format!("[function.{}]\ncommand = [\"path/to/program\"]", quoted(function))
}

/// For a secret.
pub fn secret_lines(secret: &str) -> String {
    format!("[secret.{}]\nenv = \"A_VARIABLE\"", quoted(secret))
}

/// For a provider that has no stand-in of its own.
pub fn provider_lines(provider: &str) -> String {
    format!("[provider.{}]\nendpoint_url = \"http://127.0.0.1:4566\"", quoted(provider))
}

impl LocalConfig {
    /// `what`, and where to add which lines.
    pub fn advise(&self, what: &str, lines: &str) -> String {
        format!("{what}; add to {}:\n{lines}", self.shown())
    }
}

//! What the environment says: the region, and who works here.

/// Where nothing names a region.
const DEFAULT_REGION: &str = "us-east-1";

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The region that the AWS command line would use.
pub fn region() -> String {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(variable).unwrap_or_else(|| DEFAULT_REGION.into())
}

/// The name of whoever works here, as an ARN can hold it.
pub fn user() -> String {
    let name = ["USER", "LOGNAME"].into_iter().find_map(variable).unwrap_or_default();
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(*c)).take(64).collect();
    if name.is_empty() { "local".into() } else { name }
}

//! Reads an action's configuration; what is missing or makes no sense is an error that names the key.

use control::ports::ActionRequest;
use engine::ArtifactLocation;

use crate::fault::Fault;

/// An action's settings, their variables resolved. An empty value counts as absent, as in the API.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a>(pub(crate) &'a ActionRequest);

impl<'a> Settings<'a> {
    pub(crate) fn optional(self, key: &str) -> Option<&'a str> {
        self.0.declaration.configuration.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(self, key: &str) -> Result<&'a str, Fault> {
        self.optional(key).ok_or_else(|| self.fault(key, "is missing"))
    }

    /// `true` or `false`, in any case; none when absent.
    pub(crate) fn boolean(self, key: &str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.optional(key) else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(self.fault(key, &format!("is true or false, not {value:?}"))),
        }
    }

    /// A configuration error about a key.
    pub(crate) fn fault(self, key: &str, wrong: &str) -> Fault {
        Fault::configuration(format!("action {}: configuration.{key}: {wrong}", self.0.declaration.name))
    }

    /// The only output artifact.
    pub(crate) fn output(self) -> Result<&'a ArtifactLocation, Fault> {
        let missing = || Fault::configuration(format!("action {}: outputArtifacts: is empty", self.0.declaration.name));
        self.0.action.outputs.first().ok_or_else(missing)
    }

    /// The first input artifact.
    pub(crate) fn input(self) -> Result<&'a ArtifactLocation, Fault> {
        let missing = || Fault::configuration(format!("action {}: inputArtifacts: is empty", self.0.declaration.name));
        self.0.action.inputs.first().ok_or_else(missing)
    }
}

/// The region that an action runs in.
pub(crate) fn region(request: &ActionRequest) -> &str {
    request.declaration.region.as_deref().unwrap_or(&request.region)
}

/// The first part of ARNs in a region.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// What the names of services end with in a region.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// An ARN in the action's own region and account.
pub(crate) fn arn(request: &ActionRequest, service: &str, resource: &str) -> String {
    let region = region(request);
    format!("arn:{}:{service}:{region}:{}:{resource}", partition(region), request.account)
}

/// A page of the AWS console.
pub(crate) fn console(region: &str, service_and_rest: &str) -> String {
    let host = match partition(region) {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    format!("https://{region}.{host}/{service_and_rest}")
}

/// The pipeline's ARN.
pub(crate) fn pipeline_arn(request: &ActionRequest) -> String {
    let region = &request.region;
    format!("arn:{}:codepipeline:{region}:{}:{}", partition(region), request.account, request.pipeline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn settings_name_the_action_and_the_key() {
        let request = testing::request("Deploy", "S3", &[("Extract", "TRUE"), ("Empty", ""), ("Odd", "yes")]);
        let settings = Settings(&request);
        assert_eq!(settings.boolean("Extract"), Ok(Some(true)));
        assert_eq!(settings.boolean("Empty"), Ok(None));
        let missing = "action Act: configuration.Empty: is missing";
        assert_eq!(settings.required("Empty"), Err(Fault::configuration(missing)));
        let odd = "action Act: configuration.Odd: is true or false, not \"yes\"";
        assert_eq!(settings.boolean("Odd"), Err(Fault::configuration(odd)));
    }

    #[test]
    fn arns_and_pages_follow_the_region() {
        let mut request = testing::request("Deploy", "S3", &[]);
        assert_eq!(pipeline_arn(&request), "arn:aws:codepipeline:us-east-1:111122223333:pipe");
        request.declaration.region = Some("cn-north-1".into());
        assert_eq!(arn(&request, "lambda", "function:f"), "arn:aws-cn:lambda:cn-north-1:111122223333:function:f");
        assert_eq!(console("cn-north-1", "lambda"), "https://cn-north-1.console.amazonaws.cn/lambda");
    }
}

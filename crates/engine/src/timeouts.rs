//! How long an action may take when it does not say (semantics.md 13, "limits").

use model::{ActionTypeId, Category, Owner};

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;

/// Minutes until an action of this type counts as timed out.
pub fn default_minutes(action_type: &ActionTypeId) -> u32 {
    match action_type.owner {
        Owner::Custom => DAY,
        Owner::Aws | Owner::ThirdParty => match (action_type.category, action_type.provider.as_str()) {
            (Category::Approval, _) | (Category::Invoke, "StepFunctions") => 7 * DAY,
            (Category::Compute, "Commands") | (Category::Rule, "Commands") => 55,
            (Category::Build, "CodeBuild") => 36 * HOUR,
            (Category::Test, _) => 8 * HOUR,
            (Category::Invoke | Category::Rule, "Lambda" | "LambdaInvoke" | "DeploymentWindow") => DAY,
            (Category::Deploy, "CloudFormation") => 3 * DAY,
            (Category::Deploy, "CodeDeploy" | "CodeDeployToECS") => 5 * DAY,
            (Category::Deploy, "S3") => 90,
            (
                Category::Source
                | Category::Build
                | Category::Deploy
                | Category::Invoke
                | Category::Compute
                | Category::Rule,
                _,
            ) => HOUR,
        },
    }
}

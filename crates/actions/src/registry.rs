//! Which provider runs which type of action.

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest};
use model::{ActionTypeId, Category, Owner};

use crate::fault::Fault;
use crate::runner::{Guarantee, ProviderParts};
use crate::{
    approval, codebuild, codecommit, commands, connection_source, lambda, pipeline_invoke, rules, s3_deploy, s3_source,
    step_functions,
};

/// A provider of one or more types. It is called only while its action is in progress.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    /// What keeps its work from being started twice.
    fn guarantee(&self) -> Guarantee;

    /// Starts the work, or does it.
    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault>;

    /// For [`Guarantee::Lookup`]: the work, if it was started.
    async fn find(&self, _parts: &ProviderParts, _request: &ActionRequest) -> Result<Option<ActionReply>, Fault> {
        Ok(None)
    }

    /// Asks how the work is doing. `request.external_id` is what `start` told.
    async fn poll(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        self.start(parts, request).await
    }
}

/// Every type that is run here, by category, owner and provider.
const PROVIDERS: [(Category, Owner, &str, &dyn Provider); 17] = [
    (Category::Source, Owner::Aws, "S3", &s3_source::S3Source),
    (Category::Source, Owner::Aws, "CodeCommit", &codecommit::CodeCommit),
    (Category::Source, Owner::Aws, "CodeStarSourceConnection", &connection_source::ConnectionSource),
    (Category::Build, Owner::Aws, "CodeBuild", &codebuild::CodeBuild),
    (Category::Test, Owner::Aws, "CodeBuild", &codebuild::CodeBuild),
    (Category::Invoke, Owner::Aws, "Lambda", &lambda::Lambda),
    (Category::Invoke, Owner::Aws, "StepFunctions", &step_functions::StepFunctions),
    (Category::Invoke, Owner::Aws, "CodePipeline", &pipeline_invoke::PipelineInvoke),
    (Category::Approval, Owner::Aws, "Manual", &approval::Manual),
    (Category::Deploy, Owner::Aws, "S3", &s3_deploy::S3Deploy),
    (Category::Compute, Owner::Aws, "Commands", &commands::Commands),
    (Category::Rule, Owner::Aws, "LambdaInvoke", &lambda::Lambda),
    (Category::Rule, Owner::Aws, "CodeBuild", &codebuild::CodeBuild),
    (Category::Rule, Owner::Aws, "DeploymentWindow", &rules::DeploymentWindow),
    (Category::Rule, Owner::Aws, "VariableCheck", &rules::VariableCheck),
    (Category::Rule, Owner::Aws, "Commands", &commands::Commands),
    // The reference's table of artifacts has this owner.
    (Category::Source, Owner::ThirdParty, "CodeStarSourceConnection", &connection_source::ConnectionSource),
];

/// The provider of a type.
pub(crate) fn provider(action_type: &ActionTypeId) -> Option<&'static dyn Provider> {
    let of_type = |(category, owner, name, _): &&(Category, Owner, &str, _)| {
        *category == action_type.category && *owner == action_type.owner && action_type.provider == *name
    };
    PROVIDERS.iter().find(of_type).map(|(.., provider)| *provider)
}

/// What to say of a type that is not run here.
pub(crate) fn unsupported(action_type: &ActionTypeId) -> String {
    let names = PROVIDERS.iter().filter(|(category, ..)| *category == action_type.category);
    let names: Vec<&str> = names.map(|(_, _, name, _)| *name).collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let ActionTypeId { category, owner, provider, .. } = action_type;
    format!("{category} actions of {owner}/{provider} are not run here; the {category} providers are: {there}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_there_once_and_known_to_the_model() {
        for (number, (category, owner, name, _)) in PROVIDERS.iter().enumerate() {
            let twin = PROVIDERS[..number].iter().any(|(c, o, n, _)| (c, o, n) == (category, owner, name));
            assert!(!twin, "{category} {owner} {name} is there twice");
        }
        let known = |(category, owner, name, _): &&(Category, Owner, &str, _)| {
            model::action_types::find(*category, *owner, name).is_some()
        };
        assert!(PROVIDERS.iter().filter(|entry| entry.1 == Owner::Aws).all(|entry| known(&entry)));
    }

    #[test]
    fn start_guarantees_are_as_declared() {
        let once = ["Lambda", "LambdaInvoke"];
        let looked_up = ["CodeBuild", "StepFunctions"];
        for (_, _, name, provider) in &PROVIDERS {
            let expected = match *name {
                name if once.contains(&name) => Guarantee::AtMostOnce,
                name if looked_up.contains(&name) => Guarantee::Lookup,
                _ => Guarantee::Token,
            };
            assert_eq!(provider.guarantee(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_run_says_what_is() {
        let mut request = crate::testing::request("Deploy", "ElasticBeanstalk", &[]);
        assert!(provider(&request.declaration.action_type_id).is_none());
        let message = unsupported(&request.declaration.action_type_id);
        assert_eq!(message, "Deploy actions of AWS/ElasticBeanstalk are not run here; the Deploy providers are: S3");
        request.declaration.action_type_id.provider = "S3".into();
        assert!(provider(&request.declaration.action_type_id).is_some());
    }
}

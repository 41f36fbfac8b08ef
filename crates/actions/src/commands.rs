//! The Commands action and rule: not run on AWS.

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest};

use crate::fault::Fault;
use crate::registry::Provider;
use crate::runner::{Guarantee, ProviderParts};

/// Says that there is no Commands action here, and what to do instead.
pub(crate) struct Commands;

#[async_trait]
impl Provider for Commands {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, _parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        Err(Fault::configuration(format!(
            "action {}: Commands are not run on AWS; use a CodeBuild action with the commands in `BuildspecOverride`",
            request.declaration.name
        )))
    }
}

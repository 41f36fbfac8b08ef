//! The pages behind signed approval links.

use std::sync::Arc;

use api::approval::{Approvals, ControlDesk};
use api::regions::OneRegion;
use aws::KmsLinkKeys;
use functions::environment::names;
use functions::handlers::approval_callback::ApprovalCallback;
use functions::policies::StackPolicies;
use functions::{plane, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    run(&[names::LINK_KEYS], &[names::POLICY_OBJECT], |environment, config| async move {
        let sender = plane::sender(&environment, &config);
        let keys = KmsLinkKeys::from_config(&config, environment.get(names::LINK_KEYS));
        let desk = ControlDesk(Arc::new(OneRegion(sender.control.clone())));
        let approvals = Approvals::new(Arc::new(desk), Arc::new(keys));
        Ok(ApprovalCallback { sender, approvals, policies: StackPolicies::from_environment(&environment, &config) })
    })
    .await
}

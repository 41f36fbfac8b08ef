//! `approval-callback`: the pages behind signed links.

use api::approval::Approvals;
use api::handle::{RESTRICTED, plain};
use api::regions::OneRegion;
use async_trait::async_trait;
use control::handoff::Sender;
use http::Method;
use serde_json::Value;

use crate::errors::FunctionError;
use crate::handoffs;
use crate::policies::StackPolicies;
use crate::run::{Handler, Invocation};
use crate::url::{UrlEvent, response};

/// GET shows an approval, POST decides it.
pub struct ApprovalCallback {
    /// The control plane.
    pub sender: Sender,
    /// The pages.
    pub approvals: Approvals,
    /// Who may approve.
    pub policies: StackPolicies,
}

#[async_trait]
impl Handler for ApprovalCallback {
    async fn handle(&self, event: Value, _: &Invocation) -> Result<Value, FunctionError> {
        let event = UrlEvent::read(&event)?;
        let (parts, body) = event.request()?.into_parts();
        let Some(token) = parts.uri.path().strip_prefix("/approve/").map(str::to_owned) else {
            return Ok(response(plain(404, "there is nothing here")).await);
        };
        let regions = OneRegion(self.sender.control.clone());
        if parts.method == Method::POST && !self.policies.current().await?.permit_decision(&regions, &token).await {
            return Ok(response(plain(403, RESTRICTED)).await);
        }
        let now = self.sender.control.now();
        let answer = self.approvals.serve(&parts, &token, &body, event.peer().ip(), now).await;
        handoffs::send_rest(&self.sender).await;
        Ok(response(answer).await)
    }
}

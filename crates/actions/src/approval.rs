//! Manual approval: tells people by SNS, and waits for their decision.

use async_trait::async_trait;
use aws_types::SdkConfig;
use control::ports::{ActionReply, ActionRequest};
use engine::Started;
use serde_json::{Value, json};

use crate::configuration::{Settings, region};
use crate::fault::{Access, Fault};
use crate::ports::ApprovalLink;
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts};

/// The most characters of a message's subject.
const SUBJECT_CHARACTERS: usize = 100;

/// Manual approval.
pub(crate) struct Manual;

#[async_trait]
impl Provider for Manual {
    /// The same message about the same approval is sent again, which decides nothing.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let summary = match Settings(request).optional("NotificationArn") {
            None => None,
            // The approval stands in any case: it can be decided by PutApprovalResult.
            Some(topic) => Some(match notify(parts, request, topic).await {
                Ok(()) => format!("asked {topic}"),
                Err(Fault::Ends { message, .. }) => format!("nobody was notified: {message}"),
                // Nobody would know of the approval: it is sent again.
                Err(fault @ (Fault::Later(_) | Fault::Unknown(_))) => return Err(fault),
            }),
        };
        let started = Started { summary, ..Started::default() };
        Ok(ActionReply::Pending { started, poll_at: None })
    }

    async fn poll(&self, _parts: &ProviderParts, _request: &ActionRequest) -> Result<ActionReply, Fault> {
        Ok(ActionReply::Pending { started: Started::default(), poll_at: None })
    }
}

async fn notify(parts: &ProviderParts, request: &ActionRequest, topic: &str) -> Result<(), Fault> {
    let link = parts.approvals.link(request, topic).await?;
    let config = parts.roles.config(&session(request, topic)).await?;
    publish(&config, request, topic, &body(request, &link).to_string()).await
}

/// In the topic's own region.
fn session(request: &ActionRequest, topic: &str) -> Session {
    let of_topic = topic.split(':').nth(3).filter(|region| !region.is_empty());
    Session { region: of_topic.unwrap_or_else(|| region(request)).to_owned(), ..Session::of(request) }
}

async fn publish(config: &SdkConfig, request: &ActionRequest, topic: &str, body: &str) -> Result<(), Fault> {
    let publish = aws_sdk_sns::Client::new(config).publish().topic_arn(topic).subject(subject(request)).message(body);
    let publish = if topic.ends_with(".fifo") {
        publish.message_group_id(request.pipeline.as_str()).message_deduplication_id(request.action.id.to_string())
    } else {
        publish
    };
    let access = Access::new(&request.role_arn, "sns:Publish", topic);
    publish.send().await.map(|_| ()).map_err(|error| access.fault(&error))
}

fn subject(request: &ActionRequest) -> String {
    let whole = format!("APPROVAL NEEDED: {} for action {}", request.pipeline, request.declaration.name);
    whole.chars().take(SUBJECT_CHARACTERS).collect()
}

/// The documented body (semantics 7); a field without a value is null.
fn body(request: &ActionRequest, link: &ApprovalLink) -> Value {
    let settings = Settings(request);
    let expires = request.action.deadline.map(|deadline| {
        let seconds = deadline.to_iso_seconds();
        // To the minute: 2016-07-07T20:22Z.
        format!("{}Z", seconds.get(..16).unwrap_or(&seconds))
    });
    json!({
        "region": region(request),
        "consoleLink": link.console,
        "approval": {
            "pipelineName": request.pipeline,
            "stageName": request.action.key.stage,
            "actionName": request.declaration.name,
            "token": request.action.approval.as_ref().map(|approval| &approval.token),
            "expires": expires,
            "externalEntityLink": settings.optional("ExternalEntityLink"),
            "approvalReviewLink": link.review,
            "customData": settings.optional("CustomData"),
        },
    })
}

#[cfg(test)]
mod tests;

//! `trigger-intake`: changes of sources and webhooks come in; executions start.

use api::handle::plain;
use async_trait::async_trait;
use control::handoff::Sender;
use control::intake::{self, Incoming, Told};
use control::rows::Task;
use control::webhooks::Delivery;
use model::Timestamp;
use serde_json::{Value, json};

use crate::errors::FunctionError;
use crate::run::{Handler, Invocation};
use crate::url::{UrlEvent, is_url_event, response};
use crate::{handoffs, metrics};

/// Matches events with source actions and trigger filters.
pub struct TriggerIntake {
    /// The control plane.
    pub sender: Sender,
    /// The stack's name, for metrics.
    pub stack: String,
}

impl TriggerIntake {
    /// A delivery at the webhook URL: verified, stored and answered; matched afterwards.
    async fn deliver(&self, event: &Value) -> Result<Value, FunctionError> {
        let event = UrlEvent::read(event)?;
        let (parts, body) = event.request()?.into_parts();
        let Some(hook) = parts.uri.path().strip_prefix("/webhooks/") else {
            return Ok(response(plain(404, "not found")).await);
        };
        if parts.method != http::Method::POST {
            return Ok(response(plain(405, "deliveries are posted")).await);
        }
        let delivery = Delivery { hook, headers: &parts.headers, body: &body, peer: event.peer().ip() };
        let accepted = self.sender.control.accept_webhook(delivery).await?;
        handoffs::send_rest(&self.sender).await;
        Ok(response(plain(accepted.status(), accepted.text())).await)
    }

    /// A stored delivery to match.
    async fn consume(&self, event: &Value) -> Result<Value, FunctionError> {
        let Some(row) = handoffs::row(event, &self.sender).await? else {
            return Ok(json!({ "consumed": false }));
        };
        let Task::Webhook(delivery) = &row.task else {
            return Err(FunctionError::InvalidEvent("the row is none of a webhook".into()));
        };
        let received = self.sender.control.match_delivery(&row, delivery).await;
        // What was started goes on, whatever keeps others from it.
        self.sender.flush().await?;
        let received = received?;
        self.measure(&received, Some(row.due.0));
        Ok(told(&received))
    }

    /// An event of a rule, or a schedule's input.
    async fn change(&self, event: &Value, invocation: &Invocation) -> Result<Value, FunctionError> {
        // What has no id of its own is told by the invocation's: Lambda tries again under the same.
        let delivered = |by: Told| {
            let invoked = Some(invocation.request_id.clone()).filter(|id| !id.is_empty());
            Told { delivery: by.delivery.or(invoked), ..by }
        };
        // An event's resources name what it is about, not the rule that brought it.
        let incoming = intake::read(event, None).map_err(|error| FunctionError::InvalidEvent(error.to_string()))?;
        let control = &self.sender.control;
        let answer = match incoming {
            Incoming::Nothing => json!({ "ignored": "nothing that starts anything" }),
            Incoming::Change(change, by) => {
                let received = control.receive(&change, &delivered(by)).await;
                // What was started goes on, whatever keeps others from it.
                self.sender.flush().await?;
                let received = received?;
                self.measure(&received, event["time"].as_str().and_then(millis));
                told(&received)
            }
            Incoming::Start(request, by) => {
                json!({ "started": [control.receive_start(request, &delivered(by)).await?] })
            }
        };
        self.sender.flush().await?;
        Ok(answer)
    }

    /// How long it took from the event to the executions that it started.
    fn measure(&self, received: &intake::Received, since: Option<i64>) {
        let Some(since) = since.filter(|_| !received.started.is_empty()) else { return };
        let now = self.sender.control.now();
        let took = metrics::millis("EventToStart", now.millis_since(Timestamp(since)));
        metrics::put(now.0, &[("Stack", &self.stack)], &[took]);
    }
}

/// An event's time, in milliseconds since 1970.
fn millis(time: &str) -> Option<i64> {
    Some(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn told(received: &intake::Received) -> Value {
    let started: Vec<Value> = received
        .started
        .iter()
        .map(|(pipeline, execution)| json!({ "pipeline": pipeline, "execution": execution }))
        .collect();
    tracing::info!(started = started.len(), repeated = received.repeated, passed = received.passed.len(), "matched");
    json!({ "started": started, "repeated": received.repeated, "passed": received.passed.len() })
}

#[async_trait]
impl Handler for TriggerIntake {
    async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Value, FunctionError> {
        if is_url_event(&event) {
            self.deliver(&event).await
        } else if handoffs::is_handoff(&event) {
            self.consume(&event).await
        } else {
            self.change(&event, invocation).await
        }
    }
}

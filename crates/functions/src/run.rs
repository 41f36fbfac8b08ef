//! The start of a function and its loop: configuration first, then one event after the other.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::SdkConfig;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;
use tracing::Instrument;

use crate::environment::Environment;
use crate::errors::FunctionError;

/// What Lambda says of an invocation.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// Its id.
    pub request_id: String,
    /// X-Ray's trace, to be carried on.
    pub trace: Option<String>,
}

/// A function's handler.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Answers an event.
    async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Value, FunctionError>;
}

/// Runs a function: reads its environment, makes its handler, and answers events until Lambda ends the process.
///
/// # Errors
/// The environment is not complete, or the handler cannot be made. Lambda shows the message.
pub async fn run<H, F>(
    needed: &[&'static str],
    optional: &[&'static str],
    make: impl FnOnce(Environment, SdkConfig) -> F,
) -> Result<(), lambda_runtime::Error>
where
    H: Handler + 'static,
    F: Future<Output = anyhow::Result<H>>,
{
    log_as_json();
    let environment = Environment::read(needed, optional, |name| std::env::var(name).ok())?;
    let handler = Arc::new(make(environment, aws::load_config().await?).await?);
    let service = service_fn(move |event: LambdaEvent<Value>| {
        let handler = handler.clone();
        async move { answer(&*handler, event).await }
    });
    lambda_runtime::run(service).await
}

async fn answer(handler: &dyn Handler, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let (payload, context) = event.into_parts();
    let invocation = Invocation { request_id: context.request_id, trace: context.xray_trace_id };
    let span = tracing::info_span!("invocation", request_id = invocation.request_id);
    let answered =
        aws::with_trace(invocation.trace.clone(), handler.handle(payload, &invocation)).instrument(span).await;
    answered.map_err(|error| {
        tracing::error!(name = error.name(), %error, request_id = invocation.request_id, "the invocation failed");
        Diagnostic::from(error)
    })
}

/// One JSON object a line; `PENSTOCK_LOG` says how much (`info` where it says nothing).
fn log_as_json() {
    let level = std::env::var("PENSTOCK_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO);
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second subscriber is a test's: the first one serves.
    let _ = logs.with_max_level(level).with_target(false).without_time().try_init();
}

//! The Lambda invoke action and the LambdaInvoke rule: an asynchronous invocation with a job that the function answers.

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use control::jobs::function_event;
use control::ports::{ActionReply, ActionRequest};
use engine::Started;
use model::Timestamp;
use serde_json::{Value, json};

use crate::configuration::{Settings, arn, console, region};
use crate::fault::{Access, Fault};
use crate::polling;
use crate::ports::JobNews;
use crate::registry::Provider;
use crate::roles::{Session, artifact_credentials};
use crate::runner::{Guarantee, ProviderParts, insist};

/// How long a function may be silent (semantics 8).
const SILENCE_MINUTES: u32 = 20;

/// The Lambda invoke action and the LambdaInvoke rule.
pub(crate) struct Lambda;

#[async_trait]
impl Provider for Lambda {
    /// An invocation bears no token, and no list of invocations can be read.
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        Invocation::of(parts, request, None).await?.send().await?;
        let name = Settings(request).required("FunctionName")?;
        let started = Started {
            // The job's id: PutJobSuccessResult finds the action by it.
            external_id: Some(request.action.id.to_string()),
            external_url: Some(console(region(request), &format!("lambda/home#/functions/{}", plain_name(name)))),
            summary: Some("invoked; the function's answer is awaited".into()),
            ..Started::default()
        };
        let now = parts.clock.now();
        Ok(ActionReply::Pending { started, poll_at: Some(next(request, &JobNews::default(), now)) })
    }

    async fn poll(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let job = job_id(request);
        let news = parts.jobs.news(request, &job).await?;
        let now = parts.clock.now();
        if let Some(token) = judge(request, &news, now)? {
            // What it takes is got before the token is taken: until then the next question does it all again.
            let invocation = Invocation::of(parts, request, Some(&token)).await?;
            if parts.jobs.take_continuation(request, &job).await? {
                // Taken: a crash from here on leaves the function silent, and silence fails the action.
                match insist(|| invocation.send()).await {
                    Ok(()) => {}
                    Err(fault @ Fault::Ends { .. }) => return Err(fault),
                    Err(Fault::Later(message) | Fault::Unknown(message)) => return Err(Fault::job(message)),
                }
            }
        }
        Ok(ActionReply::Pending { started: Started::default(), poll_at: Some(next(request, &news, now)) })
    }
}

/// The present job's id.
fn job_id(request: &ActionRequest) -> String {
    request.external_id.clone().unwrap_or_else(|| request.action.id.to_string())
}

/// When the function was last heard of: its last answer, or its first invocation.
fn last_heard(request: &ActionRequest, news: &JobNews) -> Timestamp {
    news.heard_at.unwrap_or_else(|| polling::began(&request.action))
}

/// The token to invoke the function again with.
fn judge(request: &ActionRequest, news: &JobNews, now: Timestamp) -> Result<Option<String>, Fault> {
    if let Some(token) = &news.continuation_token {
        return Ok(Some(token.clone()));
    }
    if now < last_heard(request, news).plus_minutes(SILENCE_MINUTES) {
        return Ok(None);
    }
    let message = format!(
        "the function answered nothing for {SILENCE_MINUTES} minutes: it must call PutJobSuccessResult or \
         PutJobFailureResult for the job {}",
        job_id(request)
    );
    Err(Fault::Ends { code: "Timeout", message })
}

/// The next question: soon after news, and when the silence has lasted too long.
fn next(request: &ActionRequest, news: &JobNews, now: Timestamp) -> Timestamp {
    let heard = last_heard(request, news);
    let too_long = heard.plus_minutes(SILENCE_MINUTES).max(now.plus_millis(1));
    polling::next(heard, now).min(too_long)
}

/// An invocation with all that it takes.
struct Invocation<'a> {
    client: Client,
    name: &'a str,
    event: Value,
    access: Access,
}

impl<'a> Invocation<'a> {
    async fn of(parts: &ProviderParts, request: &'a ActionRequest, continuation: Option<&str>) -> Result<Self, Fault> {
        let name = Settings(request).required("FunctionName")?;
        let config = parts.roles.config(&Session::of(request)).await?;
        let credentials = artifact_credentials(&*parts.roles, request).await?;
        // The SDK would repeat what nobody knows the outcome of.
        let config = aws_sdk_lambda::config::Builder::from(&config).retry_config(RetryConfig::disabled()).build();
        Ok(Self {
            client: Client::from_conf(config),
            name,
            event: event(request, &credentials, continuation),
            access: Access::new(&request.role_arn, "lambda:InvokeFunction", function_arn(request, name)),
        })
    }

    async fn send(&self) -> Result<(), Fault> {
        let invoke = self.client.invoke().function_name(self.name).invocation_type(InvocationType::Event);
        let invoked = invoke.payload(Blob::new(self.event.to_string())).send().await;
        invoked.map(|_| ()).map_err(|error| self.access.fault(&error))
    }
}

/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:ALIAS]` and `ACCOUNT:function:NAME` say the name, too.
fn plain_name(name: &str) -> &str {
    match name.split_once("function:") {
        Some((_, rest)) => rest.split(':').next().unwrap_or(rest),
        None => name.split(':').next().unwrap_or(name),
    }
}

fn function_arn(request: &ActionRequest, name: &str) -> String {
    if name.starts_with("arn:") { name.to_owned() } else { arn(request, "lambda", &format!("function:{name}")) }
}

/// The documented event (semantics 8).
fn event(request: &ActionRequest, credentials: &Credentials, continuation: Option<&str>) -> Value {
    let credentials = json!({
        "accessKeyId": credentials.access_key_id(),
        "secretAccessKey": credentials.secret_access_key(),
        "sessionToken": credentials.session_token().unwrap_or_default(),
    });
    function_event(request, &job_id(request), credentials, continuation)
}

#[cfg(test)]
mod tests;

//! PutWebhook, ListWebhooks, DeleteWebhook, RegisterWebhookWithThirdParty, DeregisterWebhookWithThirdParty.

use control::tags::{TagError, Tagged};
use control::webhooks::{Authentication, FilterRule, NewWebhook, Webhook};
use model::{StringMap, Timestamp};
use serde_json::{Value, json};

use super::{Call, input, pages, tags};
use crate::error::ApiError;

/// The most webhooks of a page.
const MAX_PAGE: usize = 100;

pub(super) async fn put(call: &Call) -> Result<Value, ApiError> {
    let given = &call.input["webhook"];
    let settings = &given["authenticationConfiguration"];
    let rules = given["filters"].as_array().into_iter().flatten();
    let rule = |rule: &Value| FilterRule {
        json_path: input::text(rule, "jsonPath").into(),
        match_equals: input::maybe_text(rule, "matchEquals"),
    };
    let tags = &call.input["tags"];
    let new = NewWebhook {
        name: input::text(given, "name").into(),
        target_pipeline: input::text(given, "targetPipeline").into(),
        target_action: input::text(given, "targetAction").into(),
        filters: rules.map(rule).collect(),
        authentication: input::text(given, "authentication").into(),
        secret_token: input::maybe_text(settings, "SecretToken"),
        allowed_ip_range: input::maybe_text(settings, "AllowedIPRange"),
        tags: if tags.is_null() { None } else { Some(tags::given(tags)?) },
    };
    let webhook = call.control.put_webhook(new).await?;
    Ok(json!({ "webhook": shown(call, &webhook, None).await? }))
}

pub(super) async fn list(call: &Call) -> Result<Value, ApiError> {
    let limit = call.input["MaxResults"].as_u64().and_then(|count| usize::try_from(count).ok());
    let limit = limit.map_or(MAX_PAGE, |count| count.clamp(1, MAX_PAGE));
    let (found, more) = call.control.list_webhooks(pages::place(call)?, limit).await?;
    let mut webhooks = Vec::with_capacity(found.len());
    for (webhook, time) in &found {
        webhooks.push(shown(call, webhook, *time).await?);
    }
    let mut output = json!({ "webhooks": webhooks });
    if let Some((last, _)) = found.last().filter(|_| more) {
        output["NextToken"] = json!(pages::token(call, &last.name)?);
    }
    Ok(output)
}

pub(super) async fn delete(call: &Call) -> Result<Value, ApiError> {
    call.control.delete_webhook(input::text(&call.input, "name")).await?;
    Ok(json!({}))
}

pub(super) async fn register(call: &Call, asked: bool) -> Result<Value, ApiError> {
    let Some(name) = call.input["webhookName"].as_str() else {
        return Err(ApiError::invalid("webhookName must name a webhook"));
    };
    call.control.ask_registration(name, asked).await?;
    Ok(json!({}))
}

/// `ListWebhookItem`. The secret is never given back.
async fn shown(call: &Call, webhook: &Webhook, last_triggered: Option<Timestamp>) -> Result<Value, ApiError> {
    let url = call.control.hook_url(&webhook.hook).map_err(control::ControlError::from)?;
    let (authentication, configuration) = match &webhook.authentication {
        Authentication::GithubHmac => ("GITHUB_HMAC", json!({})),
        Authentication::Ip(range) => ("IP", json!({ "AllowedIPRange": range })),
        Authentication::Unauthenticated => ("UNAUTHENTICATED", json!({})),
    };
    let rule = |rule: &FilterRule| match &rule.match_equals {
        Some(equals) => json!({ "jsonPath": rule.json_path, "matchEquals": equals }),
        None => json!({ "jsonPath": rule.json_path }),
    };
    let mut item = json!({
        "definition": {
            "name": webhook.name,
            "targetPipeline": webhook.target_pipeline,
            "targetAction": webhook.target_action,
            "filters": webhook.filters.iter().map(rule).collect::<Vec<_>>(),
            "authentication": authentication,
            "authenticationConfiguration": configuration,
        },
        "url": url,
        "arn": call.control.webhook_arn(&webhook.name),
        "tags": tags::shown(&tags_of(call, &webhook.name).await?),
    });
    if let Some(at) = last_triggered {
        item["lastTriggered"] = json!(at.as_epoch_seconds());
    }
    if webhook.registration_asked {
        item["errorCode"] = json!("RegistrationByHand");
        item["errorMessage"] = json!(format!(
            "Penstock keeps no OAuth token to register webhooks with: add {url} to the repository's webhooks by hand, with \
             the content type application/json and the webhook's secret"
        ));
    }
    Ok(item)
}

async fn tags_of(call: &Call, name: &str) -> Result<StringMap, ApiError> {
    match call.control.tags_of(&Tagged::Webhook(name.to_owned())).await {
        Ok(tags) => Ok(tags),
        // It was deleted meanwhile.
        Err(TagError::NotFound) => Ok(StringMap::new()),
        Err(error) => Err(error.into()),
    }
}

//! CreateConnection, ListConnections, DeleteConnection: Penstock's connections to git providers.

use control::connections::{Connection, NewConnection, Provider};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read;
use crate::error::ApiError;
use crate::operations::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreateInput {
    connection_name: String,
    provider_type: String,
    host: Option<String>,
    app_id: Option<String>,
    token: Option<String>,
    webhook_secret: Option<String>,
    mapped_connection_arn: Option<String>,
    #[serde(default)]
    allow_forks: bool,
}

/// `{"connection": {…}, "webhookSecret": "…"}`: the secret is told this once.
pub(super) async fn create(call: &Call) -> Result<Value, ApiError> {
    let input: CreateInput = read(call)?;
    let provider = Provider::parse(&input.provider_type).ok_or_else(|| {
        let known = Provider::ALL.map(Provider::as_str).join(", ");
        ApiError::invalid(format!("providerType must be one of {known}"))
    })?;
    let new = NewConnection {
        name: input.connection_name,
        provider,
        host: input.host,
        app_id: input.app_id,
        token: input.token,
        webhook_secret: input.webhook_secret,
        mapped_arn: input.mapped_connection_arn,
        allow_forks: input.allow_forks,
    };
    let made = call.control.create_connection(new).await?;
    Ok(json!({ "connection": shown(call, &made.connection)?, "webhookSecret": made.webhook_secret }))
}

/// `{"connections": [{…}]}`, without secrets.
pub(super) async fn list(call: &Call) -> Result<Value, ApiError> {
    let found = call.control.list_connections().await?;
    let shown: Vec<Value> = found.iter().map(|connection| shown(call, connection)).collect::<Result<_, _>>()?;
    Ok(json!({ "connections": shown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteInput {
    connection_arn: String,
}

/// `{}`.
pub(super) async fn delete(call: &Call) -> Result<Value, ApiError> {
    let input: DeleteInput = read(call)?;
    call.control.delete_connection(&input.connection_arn).await?;
    Ok(json!({}))
}

fn shown(call: &Call, connection: &Connection) -> Result<Value, ApiError> {
    let url = call.control.hook_url(&connection.hook).map_err(control::ControlError::from)?;
    Ok(json!({
        "connectionArn": call.control.connection_arn(&connection.id),
        "connectionName": connection.name,
        "providerType": connection.provider.as_str(),
        "host": connection.host,
        "appId": connection.app_id,
        "hasToken": connection.has_token,
        "mappedConnectionArn": connection.mapped_arn,
        "allowForks": connection.allow_forks,
        "webhookUrl": url,
        "createdAt": connection.created_at.as_epoch_seconds(),
    }))
}

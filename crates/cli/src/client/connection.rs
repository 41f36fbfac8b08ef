//! `penstock connection`: connections to git providers.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::{ConnectionArgs, ConnectionCommand, CreateConnectionArgs, DeleteConnectionArgs, ListConnectionsArgs};
use crate::exit::{Exit, Unusable};

use super::table::Table;
use super::{Api, show};

/// The most bytes of a secret's file.
const MAX_SECRET_BYTES: u64 = 8192;

/// `penstock connection`.
pub fn connection(args: &ConnectionArgs) -> anyhow::Result<Exit> {
    match &args.command {
        ConnectionCommand::Create(args) => create(args),
        ConnectionCommand::List(args) => list(args),
        ConnectionCommand::Delete(args) => delete(args),
    }
}

fn create(args: &CreateConnectionArgs) -> anyhow::Result<Exit> {
    let mut input = json!({
        "connectionName": args.name,
        "providerType": args.provider,
        "allowForks": args.allow_forks,
    });
    let secret = |file: &Option<_>| file.as_deref().map(read_secret).transpose();
    for (field, value) in [
        ("host", args.host.clone()),
        ("appId", args.app_id.clone()),
        ("mappedConnectionArn", args.map_arn.clone()),
        ("token", secret(&args.token_file)?),
        ("webhookSecret", secret(&args.webhook_secret_file)?),
    ] {
        if let Some(value) = value {
            input[field] = json!(value);
        }
    }
    let api = Api::open(&args.common.connect)?;
    let answer = api.extension("CreateConnection", &input)?;
    show(&args.common, &answer, |_| told(&answer))?;
    Ok(Exit::Succeeded)
}

/// What to do next: the secret is shown this once.
fn told(answer: &Value) -> String {
    let connection = &answer["connection"];
    let field = |name: &str| crate::progress::clean(connection[name].as_str().unwrap_or_default());
    let (url, arn) = (field("webhookUrl"), field("connectionArn"));
    let secret = crate::progress::clean(answer["webhookSecret"].as_str().unwrap_or_default());
    let how = match connection["providerType"].as_str() {
        Some("GitLab" | "GitLabSelfManaged") => {
            "as a webhook of the project, with this secret token, for push, tag push and merge request events"
        }
        Some("Bitbucket") => "as a webhook of the repository, with this secret, for pushes and pull requests",
        _ => {
            "as a webhook of the repository or organization, with the content type application/json and this secret, for \
             pushes and pull requests"
        }
    };
    format!(
        "{arn}\n\nAdd its URL {how}. The secret is not shown again.\n\n  URL     {url}\n  Secret  {secret}\n\n\
         Pipelines name it as ConnectionArn.\n"
    )
}

fn list(args: &ListConnectionsArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let answer = api.extension("ListConnections", &json!({}))?;
    show(&args.common, &answer, |look| {
        let mut table = Table::new(look, &["NAME", "PROVIDER", "HOST", "FORKS", "ARN"]);
        for connection in answer["connections"].as_array().into_iter().flatten() {
            let text = |name: &str| connection[name].as_str().unwrap_or_default();
            let forks = if connection["allowForks"] == true { "yes" } else { "no" };
            table.row([text("connectionName"), text("providerType"), text("host"), forks, text("connectionArn")]);
        }
        table.render("no connections: `penstock connection create NAME --provider GitHub` makes one")
    })?;
    Ok(Exit::Succeeded)
}

fn delete(args: &DeleteConnectionArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let answer = api.extension("DeleteConnection", &json!({ "connectionArn": args.arn }))?;
    show(&args.common, &answer, |_| format!("{} deleted\n", crate::progress::clean(&args.arn)))?;
    Ok(Exit::Succeeded)
}

/// A secret from a file: never from the command line, where every process of the machine can read it.
fn read_secret(file: &Path) -> anyhow::Result<String> {
    let unusable = |why: String| Unusable::new(format!("{}: {why}", file.display()));
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_SECRET_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file).map_err(|error| unusable(error.to_string()))?;
        opened.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text)
    };
    read.map_err(|error| unusable(error.to_string())).context("the secret cannot be read")?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() || text.len() as u64 > MAX_SECRET_BYTES {
        return Err(unusable(format!("a secret has 1 to {MAX_SECRET_BYTES} bytes")).into());
    }
    Ok(secret.to_owned())
}

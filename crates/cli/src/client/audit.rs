//! `penstock audit`: who called what.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::AuditArgs;
use crate::exit::Exit;
use crate::output::Look;

use super::table::{Table, ago};
use super::{Api, pages, show};

/// `penstock audit`.
///
/// # Errors
/// The server cannot be reached or refuses.
pub fn audit(args: &AuditArgs) -> anyhow::Result<Exit> {
    let api = Api::open(&args.common.connect)?;
    let mut input = json!({});
    for (field, given) in [("eventName", &args.operation), ("principal", &args.principal)] {
        if let Some(given) = given {
            input[field] = json!(given);
        }
    }
    if args.refused {
        input["onlyRefused"] = json!(true);
    }
    let call = |input: &Value| Ok(api.extension("ListAuditRecords", input)?);
    let answer = pages(call, input, "records", Some(args.limit as usize))?;
    show(&args.common, &answer, |look| table(&answer, look))?;
    Ok(Exit::Succeeded)
}

fn table(answer: &Value, look: Look) -> String {
    let now = Timestamp::now();
    let mut table = Table::new(look, &["WHEN", "WHO", "OPERATION", "WHAT", "FROM", "OUTCOME"]);
    for record in answer["records"].as_array().into_iter().flatten() {
        let at = record["eventTime"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let at = at.map_or_else(String::new, |at| ago(&json!(at.as_second()), now));
        let who = text(&record["userIdentity"]["arn"]);
        let who = who.rsplit(':').next().unwrap_or(who);
        let outcome = record["errorCode"].as_str().unwrap_or("ok");
        table.row([
            at.as_str(),
            who,
            text(&record["eventName"]),
            &subject(&record["requestParameters"]),
            text(&record["sourceIPAddress"]),
            outcome,
        ]);
    }
    table.render("nobody has changed anything yet")
}

/// What a call was about, in short.
fn subject(input: &Value) -> String {
    let of = |fields: &[&str]| fields.iter().filter_map(|field| input[*field].as_str()).collect::<Vec<_>>().join("/");
    let pipeline = of(&["pipelineName", "stageName", "actionName"]);
    let other = of(&["name", "webhookName", "resourceArn", "jobId", "provider"]);
    let nested = [&input["pipeline"]["name"], &input["webhook"]["name"], &input["actionTypeId"]["provider"]];
    let nested = nested.into_iter().find_map(Value::as_str).unwrap_or_default();
    [pipeline, other, nested.to_owned()].into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

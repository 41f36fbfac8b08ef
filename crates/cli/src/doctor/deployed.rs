//! A deployed stack, as whoever calls it sees it: does it stand, does it answer, does it take the signature, is anything
//! stuck.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;

use super::services::{self, CLOUDFORMATION, CLOUDWATCH, STS, Texts};
use super::{Check, Health};
use crate::args::{DoctorArgs, StackArgs};
use crate::environment::variable;
use crate::proxy::{Found, Identities, Target, Upstream, foreign, is_of_the_api, said};

/// How far AWS lets a clock be off, in seconds.
const SKEW: i64 = 5 * 60;
/// From when on it is worth a word.
const NOTABLE: i64 = 60;
/// How much of an answer is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Whether a deployed stack is asked for.
pub fn is_meant(args: &DoctorArgs) -> bool {
    let server = args.connect.endpoint_url.is_some();
    args.stack_name.is_some() || args.stack.url.is_some() || (!server && variable(crate::proxy::URL_VARIABLE).is_some())
}

/// Looks at everything that can be seen from here.
///
/// # Errors
/// This machine cannot do so.
pub fn checks(args: &DoctorArgs) -> anyhow::Result<Vec<Check>> {
    let runtime = crate::run::runtime()?;
    Ok(runtime.block_on(async {
        let mut checks = Vec::new();
        // What stands in the way of one look stands in the way of the next: the first fault is the one to mend.
        if let Err(broken) = look(args, &mut checks).await {
            checks.push(broken);
        }
        checks
    }))
}

async fn look(args: &DoctorArgs, checks: &mut Vec<Check>) -> Result<(), Check> {
    let broken = |what, finding: String| Check::new(what, Health::Broken, finding);
    let upstream = Upstream::new(true).map_err(|error| broken("certificates", error.to_string()))?;
    let region = named_region(args);
    let identities = Identities::new(args.connect.profile.as_deref(), region.as_deref().unwrap_or("us-east-1")).await;
    let found = identities.current().await.map_err(|error| broken("credentials", error.to_string()))?;
    checks.push(credentials(&found));
    let mut stack = args.stack.clone();
    if let Some(name) = &args.stack_name {
        let region = region.clone().ok_or_else(|| {
            broken("region", "which region is the stack in? Name it with --region or AWS_REGION".into())
        })?;
        stack.url = Some(of_stack(&upstream, name, &region, &found, checks).await?);
        checks.push(alarms(&upstream, name, &region, &found).await);
    }
    let target = target(args, &stack)?;
    checks.push(signed_for(&target));
    checks.push(identity(&upstream, &target, &found).await);
    checks.extend(api(&upstream, &target, &found).await);
    Ok(())
}

fn named_region(args: &DoctorArgs) -> Option<String> {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    args.connect.region.clone().or_else(|| names.into_iter().find_map(variable))
}

fn target(args: &DoctorArgs, stack: &StackArgs) -> Result<Target, Check> {
    let found = Target::find(stack, args.connect.region.as_deref());
    found.map_err(|error| Check::new("url", Health::Broken, error.to_string()))
}

fn credentials(found: &Found) -> Check {
    let key = &found.keys.access_key_id;
    let finding = match found.expires {
        Some(expires) => format!("access key {key}, until {expires}"),
        None => format!("access key {key}"),
    };
    Check::new("credentials", Health::Good, finding)
}

/// The stack's API, from its outputs.
async fn of_stack(
    upstream: &Upstream,
    name: &str,
    region: &str,
    found: &Found,
    checks: &mut Vec<Check>,
) -> Result<String, Check> {
    let broken = |finding: String| Check::new("stack", Health::Broken, finding);
    let given = [("StackName", name)];
    let asked = services::ask(upstream, CLOUDFORMATION, region, &found.keys, "DescribeStacks", &given).await;
    let texts = asked.map_err(|why| {
        broken(format!(
            "{name} in {region} cannot be read: {why}\nname its output ApiUrl with --url, or be allowed cloudformation:DescribeStacks"
        ))
    })?;
    let status = text(&texts, "StackStatus").unwrap_or("of no status");
    let is_usable = status.ends_with("_COMPLETE") && !status.starts_with("DELETE");
    let health = if is_usable { Health::Good } else { Health::Lacking };
    checks.push(Check::new("stack", health, format!("{name} in {region} is {status}")));
    let mut pairs = texts.windows(2).filter(|pair| pair[0].0 == "OutputKey" && pair[0].1 == "ApiUrl");
    let url = pairs.next().filter(|pair| pair[1].0 == "OutputValue").map(|pair| pair[1].1.clone());
    url.ok_or_else(|| {
        broken(format!("{name} has no output ApiUrl: it is not Penstock's, or was not deployed to its end"))
    })
}

fn text<'a>(texts: &'a Texts, name: &str) -> Option<&'a str> {
    texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
}

/// What waits too long or was given up on is told by the stack's own alarms.
async fn alarms(upstream: &Upstream, name: &str, region: &str, found: &Found) -> Check {
    let prefix = format!("{name}-");
    let given = [("AlarmNamePrefix", prefix.as_str()), ("StateValue", "ALARM")];
    match services::ask(upstream, CLOUDWATCH, region, &found.keys, "DescribeAlarms", &given).await {
        Err(why) => Check::new("alarms", Health::Lacking, format!("cannot be read: {why}")),
        Ok(texts) => {
            let names: Vec<&str> =
                texts.iter().filter(|(element, _)| element == "AlarmName").map(|(_, name)| name.as_str()).collect();
            if names.is_empty() {
                return Check::new("alarms", Health::Good, "none: nothing is parked, late or given up on");
            }
            let finding = format!("{}: infra/redrive.md says what to do", names.join(", "));
            Check::new("alarms", Health::Broken, finding)
        }
    }
}

/// Clients sign for the region that they are told, and the stack takes one.
fn signed_for(target: &Target) -> Check {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let other = names.into_iter().find_map(|name| variable(name).filter(|region| *region != target.region));
    match other {
        Some(other) => Check::new(
            "region",
            Health::Lacking,
            format!("the stack is in {}, clients here sign for {other}: set AWS_REGION for them", target.region),
        ),
        None => Check::new("region", Health::Good, target.region.clone()),
    }
}

/// Who that is. STS needs no permission: whoever it does not know, nobody knows.
async fn identity(upstream: &Upstream, target: &Target, found: &Found) -> Check {
    match services::ask(upstream, STS, &target.region, &found.keys, "GetCallerIdentity", &[]).await {
        Ok(texts) => Check::new("identity", Health::Good, text(&texts, "Arn").unwrap_or("unknown")),
        Err(why) => Check::new("identity", Health::Lacking, format!("not told: {why}")),
    }
}

/// One call that changes nothing, as a client would make it.
async fn api(upstream: &Upstream, target: &Target, found: &Found) -> Vec<Check> {
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1")),
        (
            http::HeaderName::from_static("x-amz-target"),
            HeaderValue::from_static("CodePipeline_20150709.ListPipelines"),
        ),
    ]);
    let body = Bytes::from_static(br#"{"maxResults":1}"#);
    let broken = |finding: String| Check::new("api", Health::Broken, finding);
    match upstream.call(target, "/", &headers, body, &found.keys).await {
        Err(error) => vec![broken(format!("{} does not answer: {error}", target.url))],
        Ok(response) => {
            let mut checks = Vec::from_iter(clock(&response));
            checks.push(match answered(target, response, found).await {
                Ok(()) => Check::new("api", Health::Good, format!("{} answers and takes the signature", target.url)),
                Err(finding) => broken(finding),
            });
            checks
        }
    }
}

async fn answered(target: &Target, response: Response<Incoming>, found: &Found) -> Result<(), String> {
    let (status, is_own) = (response.status(), is_of_the_api(api::protocol::Protocol::Json, &response));
    let code = response.headers().get("x-amzn-errortype").and_then(|code| code.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let said = said(&body.map(http_body_util::Collected::to_bytes).unwrap_or_default());
    match (is_own, status.is_success()) {
        (true, true) => Ok(()),
        // It answers, and says itself what it refuses.
        (true, false) => Err(format!("{} refused: {}: {said}", target.url, code.unwrap_or_default())),
        (false, _) => Err(foreign(target, status, &said, &found.keys.access_key_id).message),
    }
}

/// How far this machine's clock is off.
fn clock(response: &Response<Incoming>) -> Option<Check> {
    let date = response.headers().get(header::DATE)?.to_str().ok()?;
    let there = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let off = Timestamp::now().as_second() - there.as_second();
    let finding = format!("{} s off AWS's", off.abs());
    Some(match off.abs() {
        off if off >= SKEW => {
            Check::new("clock", Health::Broken, format!("{finding}: signatures are refused; set this machine's clock"))
        }
        off if off >= NOTABLE => Check::new("clock", Health::Lacking, finding),
        _ => Check::new("clock", Health::Good, finding),
    })
}

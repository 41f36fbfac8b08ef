//! Who called what: each call is a record as CloudTrail writes it, secrets masked (semantics.md 15).
//!
//! A call that changes something is recorded by the change's own commit; one that is refused at once, though no more
//! than some a second of one principal. Reads are recorded only when asked for, in batches.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use control::audit::Record;
use control::ports::{PortError, Write};
use control::{Beside, Control};
use engine::{ApprovalDecision, Change, Changed, Item};
use http::header;
use http::request::Parts;
use model::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::approval::Link;
use crate::error::ApiError;
use crate::policies::LINK;
use crate::protocol::Target;
use crate::sigv4::Identity;
use crate::throttle::{Rate, Throttle};

mod mask;

/// How many refused calls of a principal and operation are recorded.
const REFUSED: Rate = Rate { per_second: 5.0, burst: 50.0 };
/// How many reads are written at once.
const BATCH: usize = 25;
/// How many reads wait at most; more are dropped and counted.
const MAX_WAITING: usize = 1000;
/// The largest request or answer that is recorded, in bytes.
const MAX_ELEMENT_BYTES: usize = 100 * 1024;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What is recorded of a process's calls.
pub struct Audit {
    reads: bool,
    refused: Throttle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Each with the control plane of its region.
    waiting: Vec<(Control, Record)>,
    /// Reads that were not recorded since the last batch.
    dropped: u64,
    /// Refused calls that were not recorded since the last one that was.
    suppressed: u64,
    /// The day in which old records were last removed.
    expired: i64,
}

impl Default for Audit {
    fn default() -> Self {
        Self::new(false)
    }
}

/// Operations that are named as reads and give away what lets others act.
const GIVING: [&str; 2] = ["GetApprovalLink", "GetThirdPartyClient"];

/// Whether an operation only reads.
pub(crate) fn is_read(operation: &str) -> bool {
    ["Get", "List", "PollFor", "Explain"].iter().any(|prefix| operation.starts_with(prefix))
        && !GIVING.contains(&operation)
}

impl Audit {
    /// Records of changes and of what was refused; of reads too if `reads`.
    pub fn new(reads: bool) -> Self {
        Self { reads, refused: Throttle::new(REFUSED), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what the call came to, unless its change's commit has.
    pub(crate) async fn done(&self, control: &Control, call: &CallRecord, error: Option<&ApiError>) {
        match error {
            // It was made, even if the answer then failed.
            _ if call.made.load(Ordering::Acquire) => {}
            Some(error) => self.refused(control, call, error).await,
            None if is_read(&call.operation) => self.read(call).await,
            None => put(control, &[call.record(call.content(None, None))]).await,
        }
        self.expire(control, call.at).await;
    }

    async fn refused(&self, control: &Control, call: &CallRecord, error: &ApiError) {
        let denied = error.code == "AccessDeniedException";
        if is_read(&call.operation) && !self.reads && !denied {
            return;
        }
        if !self.refused.admit(&call.identity.principal, &call.operation, call.at) {
            self.state().suppressed += 1;
            return;
        }
        let mut content = call.content(Some(error), None);
        let suppressed = std::mem::take(&mut self.state().suppressed);
        if suppressed > 0 {
            content["additionalEventData"] = json!({ "suppressedRefusals": suppressed });
        }
        put(control, &[call.record(content)]).await;
    }

    async fn read(&self, call: &CallRecord) {
        if !self.reads {
            return;
        }
        let batch = {
            let mut state = self.state();
            if state.waiting.len() >= MAX_WAITING {
                state.dropped += 1;
                return;
            }
            let mut content = call.content(None, None);
            if state.dropped > 0 {
                content["additionalEventData"] = json!({ "droppedReads": std::mem::take(&mut state.dropped) });
            }
            state.waiting.push((call.control.clone(), call.record(content)));
            if state.waiting.len() < BATCH { Vec::new() } else { std::mem::take(&mut state.waiting) }
        };
        put_each(batch).await;
    }

    /// Writes what waits: for a host that ends.
    pub async fn flush(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        put_each(waiting).await;
    }

    /// Old records are removed by the first call of a day.
    async fn expire(&self, control: &Control, now: Timestamp) {
        let today = now.0.div_euclid(DAY_MILLIS);
        let expired = std::mem::replace(&mut self.state().expired, today);
        if expired == today {
            return;
        }
        match control.expire_records().await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old records of calls were removed"),
            Err(error) => tracing::warn!(%error, "old records of calls could not be removed"),
        }
    }
}

/// Records of reads, each in its region.
async fn put_each(waiting: Vec<(Control, Record)>) {
    let mut by_region: BTreeMap<String, (Control, Vec<Record>)> = BTreeMap::new();
    for (control, record) in waiting {
        let region = control.place().region.clone();
        by_region.entry(region).or_insert_with(|| (control, Vec::new())).1.push(record);
    }
    for (control, records) in by_region.values() {
        put(control, records).await;
    }
}

/// Nothing was changed, so that a record that cannot be written takes nothing back.
async fn put(control: &Control, records: &[Record]) {
    if let Err(error) = control.put_records(records).await {
        tracing::error!(%error, count = records.len(), "records of calls could not be written");
    }
}

/// One call's record in the making.
pub(crate) struct CallRecord {
    control: Control,
    identity: Identity,
    operation: String,
    extension: bool,
    input: Value,
    source: String,
    agent: Option<String>,
    request_id: String,
    id: Uuid,
    at: Timestamp,
    made: AtomicBool,
}

impl CallRecord {
    pub(crate) fn new(
        control: &Control,
        identity: &Identity,
        target: &Target,
        input: &Value,
        (parts, source): (&Parts, SocketAddr),
        request_id: &str,
    ) -> Arc<Self> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Arc::new(Self {
            control: control.clone(),
            identity: identity.clone(),
            operation: target.operation().to_owned(),
            extension: matches!(target, Target::Extension(_)),
            input: input.clone(),
            source: source.ip().to_string(),
            agent: agent.map(|agent| agent.chars().take(512).collect()),
            request_id: request_id.to_owned(),
            id: Uuid::new_v4(),
            at: control.now(),
            made: AtomicBool::new(false),
        })
    }

    /// The record of a decision by a signed link: it names whom the link was made for.
    pub(crate) fn of_link(control: &Control, link: &Link, pipeline: &str, decision: &ApprovalDecision) -> Arc<Self> {
        let status = if decision.approved { "Approved" } else { "Rejected" };
        // `link ID, ADDRESS, AGENT`.
        let mut via = decision.via.as_deref().unwrap_or_default().splitn(3, ", ").skip(1);
        let (source, agent) = (via.next().unwrap_or_default(), via.next().map(str::to_owned));
        let principal = link.recipient.clone();
        let identity = Identity { access_key: LINK.into(), principal, region: link.region.clone() };
        Arc::new(Self {
            control: control.clone(),
            identity,
            operation: "PutApprovalResult".into(),
            extension: false,
            input: json!({
                "pipelineName": pipeline, "stageName": link.stage, "actionName": link.action, "token": "****",
                "result": { "status": status, "summary": decision.summary },
            }),
            source: source.to_owned(),
            agent,
            request_id: link.id.to_string(),
            id: Uuid::new_v4(),
            at: control.now(),
            made: AtomicBool::new(false),
        })
    }

    fn record(&self, content: Value) -> Record {
        Record { id: self.id, at: self.at, content }
    }

    fn content(&self, error: Option<&ApiError>, response: Option<Value>) -> Value {
        let place = self.control.place();
        let source = if self.extension { "penstock" } else { "codepipeline.amazonaws.com" };
        let mut content = json!({
            "eventVersion": "1.11",
            "userIdentity": user_identity(&self.identity, &place.account),
            "eventTime": self.at.to_iso_seconds(),
            "eventSource": source,
            "eventName": self.operation,
            "awsRegion": place.region,
            "sourceIPAddress": self.source,
            "userAgent": self.agent,
            "requestParameters": bounded(mask::input(&self.operation, &self.input)),
            "responseElements": response.map(bounded),
            "requestID": self.request_id,
            "eventID": self.id,
            "readOnly": is_read(&self.operation),
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": place.account,
            "eventCategory": "Management",
        });
        if let Some(error) = error {
            content["errorCode"] = json!(error.code);
            content["errorMessage"] = json!(error.message.chars().take(1024).collect::<String>());
        }
        content
    }

    /// What the caller is told of the change.
    fn response(&self, changed: &Changed) -> Option<Value> {
        if let Some(id) = changed.execution {
            return Some(json!({ "pipelineExecutionId": id }));
        }
        let version = changed.changes.iter().find_map(|change| match change {
            Change::Create(_, Item::Pipeline(item)) | Change::Replace(_, Item::Pipeline(item)) => Some(item.version),
            Change::Create(..) | Change::Replace(..) | Change::Delete(_) => None,
        })?;
        let mut pipeline = mask::input(&self.operation, &self.input).get("pipeline")?.clone();
        pipeline["version"] = json!(version);
        Some(json!({ "pipeline": pipeline }))
    }
}

impl Beside for CallRecord {
    fn writes(&self, changed: Option<&Changed>) -> Result<Vec<Write>, PortError> {
        // What else follows from the same call is told by its own events.
        if self.made.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let response = changed.and_then(|changed| self.response(changed));
        self.control.record_writes(&self.record(self.content(None, response)))
    }

    fn made(&self) {
        self.made.store(true, Ordering::Release);
    }
}

/// `userIdentity`.
fn user_identity(identity: &Identity, account: &str) -> Value {
    let arn = identity.principal.as_str();
    let resource = arn.rsplit(':').next().unwrap_or_default();
    let (kind, name) = match resource.split_once('/') {
        Some(("user", name)) => ("IAMUser", Some(name.rsplit('/').next().unwrap_or(name))),
        Some(("assumed-role", _)) => ("AssumedRole", None),
        Some((_, _)) => ("Unknown", None),
        None => (if resource == "root" { "Root" } else { "Unknown" }, None),
    };
    let mut shown = json!({
        "type": kind, "principalId": identity.access_key, "arn": arn, "accountId": account,
        "accessKeyId": identity.access_key,
    });
    if let Some(name) = name {
        shown["userName"] = json!(name);
    }
    shown
}

/// What is too large for a record is left out.
fn bounded(value: Value) -> Value {
    let bytes = value.to_string().len();
    if bytes > MAX_ELEMENT_BYTES { json!({ "omitted": format!("{bytes} bytes") }) } else { value }
}

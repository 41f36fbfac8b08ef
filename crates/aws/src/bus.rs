//! Events on EventBridge.

use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::{DateTime, DateTimeFormat};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use control::ports::{Bus, PortError, PublicEvent};
use serde_json::Value;

use crate::failure::port_error;
use crate::trace::current_trace;

/// The most entries of one call.
const MAX_ENTRIES: usize = 10;
/// The most bytes of one call, and of one entry.
const MAX_BYTES: usize = 256 * 1024;
/// What an entry's time counts, however it is written.
const TIME_BYTES: usize = 14;

/// A bus of EventBridge.
#[derive(Clone, Debug)]
pub struct EventBridgeBus {
    client: Client,
    name: String,
}

impl EventBridgeBus {
    /// The bus of this name or ARN.
    pub fn new(client: Client, bus_name: impl Into<String>) -> Self {
        Self { client, name: bus_name.into() }
    }

    /// Sends one call; the places (among `entries`) of those not accepted.
    async fn call(&self, entries: &[(usize, Entry)]) -> Result<Vec<usize>, PortError> {
        let batch = entries.iter().map(|(_, entry)| entry.request.clone()).collect();
        let answer = self.client.put_events().set_entries(Some(batch)).send().await;
        let answer = answer.map_err(|error| port_error(&format!("the event bus {}", self.name), &error))?;
        let results = answer.entries();
        let mut refused = Vec::new();
        for (place, (index, _)) in entries.iter().enumerate() {
            match results.get(place) {
                Some(result) if result.event_id().is_some() && result.error_code().is_none() => {}
                result => {
                    let code = result.and_then(|result| result.error_code()).unwrap_or("no result");
                    let message = result.and_then(|result| result.error_message()).unwrap_or("-");
                    tracing::warn!(bus = self.name, code, message, "an event was not accepted");
                    refused.push(*index);
                }
            }
        }
        Ok(refused)
    }
}

#[async_trait]
impl Bus for EventBridgeBus {
    async fn publish(&self, events: &[PublicEvent]) -> Result<Vec<usize>, PortError> {
        let mut refused = Vec::new();
        let mut entries = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            match Entry::new(&event.envelope, &self.name) {
                Ok(entry) => entries.push((index, entry)),
                Err(fault) => {
                    tracing::error!(bus = self.name, fault, "an event can never be published");
                    refused.push(index);
                }
            }
        }
        let mut sent = false;
        let mut failure = None;
        for call in calls(&entries) {
            match self.call(&entries[call.clone()]).await {
                Ok(not_accepted) => {
                    sent = true;
                    refused.extend(not_accepted);
                }
                Err(error) => {
                    tracing::warn!(bus = self.name, %error, "events could not be sent");
                    refused.extend(entries[call].iter().map(|(index, _)| *index));
                    failure = Some(error);
                }
            }
        }
        match failure {
            // What other calls brought must not be sent again.
            Some(error) if !sent => Err(error),
            _ => {
                refused.sort_unstable();
                Ok(refused)
            }
        }
    }
}

/// An event as it is sent.
struct Entry {
    request: PutEventsRequestEntry,
    bytes: usize,
}

impl Entry {
    /// Reads an envelope; what is wrong with it.
    fn new(envelope: &Value, bus: &str) -> Result<Self, String> {
        let text = |name: &str| envelope[name].as_str().ok_or_else(|| format!("its envelope has no `{name}`"));
        let (source, kind) = (text("source")?, text("detail-type")?);
        let detail = envelope["detail"].to_string();
        let time =
            DateTime::from_str(text("time")?, DateTimeFormat::DateTime).map_err(|_| "its time cannot be read")?;
        let resources = envelope["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        let resources: Vec<_> = resources.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let named: usize = resources.iter().map(String::len).sum();
        let bytes = TIME_BYTES + source.len() + kind.len() + detail.len() + named;
        if bytes > MAX_BYTES {
            return Err(format!("it has {bytes} bytes; at most {MAX_BYTES}"));
        }
        let request = PutEventsRequestEntry::builder()
            .source(source)
            .detail_type(kind)
            .detail(detail)
            .time(time)
            .set_resources(Some(resources))
            .event_bus_name(bus)
            .set_trace_header(current_trace())
            .build();
        Ok(Self { request, bytes })
    }
}

/// Which entries go together, in order.
fn calls(entries: &[(usize, Entry)]) -> Vec<Range<usize>> {
    let mut calls = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (place, (_, entry)) in entries.iter().enumerate() {
        if place - start == MAX_ENTRIES || bytes + entry.bytes > MAX_BYTES {
            calls.push(start..place);
            (start, bytes) = (place, 0);
        }
        bytes += entry.bytes;
    }
    if start < entries.len() {
        calls.push(start..entries.len());
    }
    calls
}

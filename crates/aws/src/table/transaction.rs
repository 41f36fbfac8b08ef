//! Transactions: always `TransactWriteItems`, also for one write, because only it takes a token.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem};
use control::hexadecimal::hex;
use control::ports::{Condition, PortError, Write};
use sha2::{Digest, Sha256};

use super::item::{encode, key_of, number};
use crate::failure::{is_throttling, port_error};

/// So often a transaction is sent while another one is in its way.
const ATTEMPTS: u32 = 6;
/// The longest wait before the first repetition; it doubles.
const FIRST_WAIT_MILLIS: u64 = 20;
/// The length that DynamoDB allows a token.
const TOKEN_CHARACTERS: usize = 36;

/// Sends a transaction, again and again under the same token while others are in its way.
pub(super) async fn send(client: &Client, table: &str, token: &str, writes: &[Write]) -> Result<(), PortError> {
    let items = writes.iter().filter_map(|write| item(table, write).transpose()).collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        return Ok(());
    }
    let what = format!("the table {table}");
    let request = client.transact_write_items().client_request_token(client_token(table, token));
    let request = request.set_transact_items(Some(items));
    let mut attempt = 0;
    loop {
        let Err(error) = request.clone().send().await else { return Ok(()) };
        let reasons = reasons(&error);
        if !in_the_way(&reasons) || attempt + 1 == ATTEMPTS {
            return Err(verdict(&what, &error, &reasons));
        }
        tokio::time::sleep(wait(attempt, token)).await;
        attempt += 1;
    }
}

/// Why a transaction was cancelled, write by write; empty where that is not what happened.
fn reasons(error: &SdkError<TransactWriteItemsError>) -> Vec<&CancellationReason> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            canceled.cancellation_reasons().iter().filter(|reason| reason.code() != Some("None")).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether only other transactions, or too many of them, were in the way: nothing says that a condition failed.
fn in_the_way(reasons: &[&CancellationReason]) -> bool {
    let transient = |reason: &&CancellationReason| {
        reason.code().is_some_and(|code| code == "TransactionConflict" || is_throttling(code))
    };
    !reasons.is_empty() && reasons.iter().all(transient)
}

/// What the failure of a transaction means. The SDK has repeated what it knows to be passing.
fn verdict(what: &str, error: &SdkError<TransactWriteItemsError>, reasons: &[&CancellationReason]) -> PortError {
    if reasons.is_empty() {
        return port_error(what, error);
    }
    if in_the_way(reasons) {
        return PortError::Throttled;
    }
    let codes: Vec<_> = reasons.iter().filter_map(|reason| reason.code()).collect();
    if codes.contains(&"ConditionalCheckFailed") {
        return PortError::Conflict;
    }
    let said: Vec<_> = reasons.iter().filter_map(|reason| reason.message()).collect();
    let message = format!("{what} refused the transaction ({}: {})", codes.join(", "), said.join(", "));
    if codes.iter().any(|code| ["ValidationError", "ItemCollectionSizeLimitExceeded"].contains(code)) {
        return PortError::Invalid(message);
    }
    PortError::Unavailable(message)
}

/// Between half and the whole of a span that doubles. Transactions in each other's way have different tokens, so that
/// they do not meet again.
fn wait(attempt: u32, token: &str) -> Duration {
    let longest = FIRST_WAIT_MILLIS << attempt.min(5);
    let digest = Sha256::digest(format!("{token}/{attempt}"));
    let share = u64::from(digest[0]) * longest / 2 / 256;
    Duration::from_millis(longest / 2 + share)
}

/// DynamoDB's tokens are 36 characters at most, and one account's tables share them.
fn client_token(table: &str, token: &str) -> String {
    hex(&Sha256::digest(format!("{table}\n{token}"))[..TOKEN_CHARACTERS / 2])
}

/// A write as DynamoDB has it; none for a check of nothing, which DynamoDB does not know.
fn item(table: &str, write: &Write) -> Result<Option<TransactWriteItem>, PortError> {
    let built = match write {
        Write::Put { key, revision, body, condition } => {
            let put = Put::builder().table_name(table).set_item(Some(encode(key, *revision, body)));
            let put = put.set_condition_expression(expression(*condition));
            let put = match condition {
                Condition::Revision(known) => put.expression_attribute_values(":rev", number(*known)),
                Condition::Absent | Condition::Present | Condition::Always => put,
            };
            put.build().map(|put| TransactWriteItem::builder().put(put).build())
        }
        Write::Delete { key, condition } => {
            let delete = Delete::builder().table_name(table).set_key(Some(key_of(key)));
            let delete = delete.set_condition_expression(expression(*condition));
            let delete = match condition {
                Condition::Revision(known) => delete.expression_attribute_values(":rev", number(*known)),
                Condition::Absent | Condition::Present | Condition::Always => delete,
            };
            delete.build().map(|delete| TransactWriteItem::builder().delete(delete).build())
        }
        Write::Check { condition: Condition::Always, .. } => return Ok(None),
        Write::Check { key, condition } => {
            let check = ConditionCheck::builder().table_name(table).set_key(Some(key_of(key)));
            let check = check.set_condition_expression(expression(*condition));
            let check = match condition {
                Condition::Revision(known) => check.expression_attribute_values(":rev", number(*known)),
                Condition::Absent | Condition::Present | Condition::Always => check,
            };
            check.build().map(|check| TransactWriteItem::builder().condition_check(check).build())
        }
    };
    built.map(Some).map_err(|error| PortError::Invalid(error.to_string()))
}

fn expression(condition: Condition) -> Option<String> {
    match condition {
        Condition::Absent => Some("attribute_not_exists(pk)".to_owned()),
        Condition::Present => Some("attribute_exists(pk)".to_owned()),
        Condition::Revision(_) => Some("rev = :rev".to_owned()),
        Condition::Always => None,
    }
}

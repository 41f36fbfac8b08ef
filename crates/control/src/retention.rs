//! Which items may go by themselves, and when: a table that removes what is past its time leaves the sweep less to do.

use model::Timestamp;
use serde::Deserialize;

use crate::audit::kept_until;
use crate::ports::Key;
use crate::stored::decode;
use crate::webhooks::KEPT_DAYS;

const DAY_MILLIS: i64 = 24 * 60 * 60_000;

/// What of a delivery says how old it is.
#[derive(Deserialize)]
struct Delivery {
    received_at: Timestamp,
}

/// From when on nobody needs an item, in seconds since 1970; none for one that stays until it is removed. This follows
/// from the item alone: a transaction that is repeated must be the same.
pub fn expires(key: &Key, body: &[u8]) -> Option<i64> {
    let until = match key.pk.split('/').nth(2)? {
        "audit" => kept_until(key)?,
        "deliveries" => {
            let delivery: Delivery = decode(body, "a webhook delivery").ok()?;
            delivery.received_at.plus_millis(KEPT_DAYS * DAY_MILLIS)
        }
        _ => return None,
    };
    // A moment later rather than a moment too soon.
    Some(until.0.div_euclid(1000) + 1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::keys::Place;
    use crate::stored::encode;
    use crate::webhooks::{Content, StoredDelivery};

    /// 2026-11-24T12:00:00Z.
    const NOON: i64 = 1_795_521_600;

    fn place() -> Place {
        Place { account: "123456789012".into(), region: "eu-west-1".into() }
    }

    #[test]
    fn deliveries_go_after_a_month() {
        let delivery = StoredDelivery { received_at: Timestamp(NOON * 1000), content: Content::Changes(Vec::new()) };
        let key = place().delivery("hook", "id");
        assert_eq!(expires(&key, &encode(&delivery).unwrap()), Some(NOON + 30 * 86_400 + 1));
    }

    #[test]
    fn records_of_calls_go_when_the_sweep_would_remove_their_day() {
        let key = |at: i64| Key {
            pk: "123456789012/eu-west-1/audit/2026-11-24".into(),
            sk: format!("{:016x}#{}", at * 1000, Uuid::nil()),
        };
        let midnight = NOON - 12 * 3600;
        assert_eq!(expires(&key(NOON), b"1{}"), Some(midnight + 91 * 86_400 + 1));
        assert_eq!(expires(&key(midnight), b"1{}"), Some(midnight + 91 * 86_400 + 1));
    }

    #[test]
    fn everything_else_stays() {
        let pipeline = model::PipelineId(Uuid::nil());
        let audit = Key { pk: "123456789012/eu-west-1/audit/2026-11-24".into(), sk: "what is this".into() };
        let keys = [
            Key { pk: place().pipeline(pipeline), sk: "p".into() },
            place().name(&"audit".into()),
            place().work_row(Timestamp(NOON), Uuid::nil()),
            place().publication_row(Timestamp(NOON), Uuid::nil()),
            place().connection("deliveries"),
            audit,
        ];
        for key in keys {
            assert_eq!(expires(&key, &Bytes::from_static(b"1{}")), None, "{key:?}");
        }
    }
}

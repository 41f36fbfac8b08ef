//! Where items lie: [`ItemKey`] to [`Key`] and back. A retired prefix stays reserved.
//!
//! Partitions (`pk`); rows say their region themselves, so that one host consumes those of every region:
//!
//! | partition | holds |
//! |---|---|
//! | `ACCOUNT/REGION/p/PIPELINE-ID` | everything of one creation of a pipeline |
//! | `ACCOUNT/REGION/names` | pipeline name → id and what a listing shows |
//! | `ACCOUNT/REGION/e/EXTERNAL-ID` | the work's id at a provider, or a job's id → its action execution |
//! | `ACCOUNT/REGION/j/TYPE` | jobs of an action type that nobody has taken |
//! | `ACCOUNT/REGION/types` | custom action types, and what was changed of partners' |
//! | `ACCOUNT/REGION/tags` | tags of webhooks |
//! | `ACCOUNT/REGION/audit/DAY` | records of calls |
//! | `ACCOUNT/w/SHARD` | work rows, by due time |
//! | `ACCOUNT/o/SHARD` | publication rows |
//! | `ACCOUNT/REGION/s/RESOURCE` | a source resource → the source actions that it starts |
//! | `ACCOUNT/REGION/rules` | rules of source resources, by name |
//! | `ACCOUNT/REGION/polled` | source actions that are polled or reconciled |
//! | `ACCOUNT/REGION/webhooks` | webhooks, by name; `…/webhook-times`: when they last started something |
//! | `ACCOUNT/REGION/connections` | connections, by id; `…/connection-arns`: ARNs mapped to one |
//! | `ACCOUNT/REGION/deliveries/HOOK` | what a hook brought |
//! | `ACCOUNT/hook/HOOK` | a hook of a URL → its region, and what it is |
//! | `ACCOUNT/REGION/expiry` | how far the day's round came; artifacts of deleted pipelines |
//! | `ACCOUNT/parked` | work rows that nobody consumed after many tries |
//!
//! Names hold no `#`, so that it separates.

use engine::{ActionKey, ItemKey, Slot};
use model::{ConditionSlot, ExecutionId, Ordinal, PipelineId, PipelineName, StageName, Timestamp, Version};
use uuid::Uuid;

use crate::ports::Key;

/// Over how many partitions rows are spread.
pub const ROW_SHARDS: u8 = 16;

/// An account and region: what every key begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// 12 digits.
    pub account: String,
    /// As `us-east-1`.
    pub region: String,
}

impl Place {
    fn below(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.account, self.region)
    }

    /// The partition of one creation of a pipeline.
    pub fn pipeline(&self, id: PipelineId) -> String {
        self.below(&format!("p/{id}"))
    }

    /// The partition of pipeline names.
    pub fn names(&self) -> String {
        self.below("names")
    }

    /// The item of a pipeline's name.
    pub fn name(&self, name: &PipelineName) -> Key {
        Key { pk: self.names(), sk: name.as_str().to_owned() }
    }

    /// A partition of work rows.
    pub fn work(&self, shard: u8) -> String {
        format!("{}/w/{shard:02}", self.account)
    }

    /// A work row: those due first lie first.
    pub fn work_row(&self, due: Timestamp, id: Uuid) -> Key {
        Key { pk: self.work(shard(id)), sk: format!("{:016x}#{id}", due.0.max(0)) }
    }

    /// The partition of work rows that nobody consumed after many tries: a person looks at them.
    pub fn parked(&self) -> String {
        format!("{}/parked", self.account)
    }

    /// The work row of this place among them: what a hand-off names.
    pub fn work_row_named(&self, sk: &str) -> Option<Key> {
        let (_, id) = sk.split_once('#')?;
        let id: Uuid = id.parse().ok()?;
        Some(Key { pk: self.work(shard(id)), sk: sk.to_owned() })
    }

    /// A partition of publication rows.
    pub fn publications(&self, shard: u8) -> String {
        format!("{}/o/{shard:02}", self.account)
    }

    /// A publication row.
    pub fn publication_row(&self, at: Timestamp, id: Uuid) -> Key {
        Key { pk: self.publications(shard(id)), sk: format!("{:016x}#{id}", at.0.max(0)) }
    }

    /// The pointer from the work's id at a provider (or a job's id) to its action execution.
    pub fn external(&self, external_id: &str) -> Key {
        Key { pk: self.below(&format!("e/{external_id}")), sk: "e".into() }
    }

    /// The partition of a source resource: the source actions that it starts.
    pub fn source(&self, resource: &str) -> String {
        self.below(&format!("s/{resource}"))
    }

    /// The partition of the rules of source resources.
    pub fn rules(&self) -> String {
        self.below("rules")
    }

    /// The partition of source actions that are polled or reconciled.
    pub fn polled(&self) -> String {
        self.below("polled")
    }

    /// A webhook, by name.
    pub fn webhook(&self, name: &str) -> Key {
        Key { pk: self.below("webhooks"), sk: name.to_owned() }
    }

    /// When a webhook last started something.
    pub fn webhook_time(&self, name: &str) -> Key {
        Key { pk: self.below("webhook-times"), sk: name.to_owned() }
    }

    /// A connection, by id.
    pub fn connection(&self, id: &str) -> Key {
        Key { pk: self.below("connections"), sk: id.to_owned() }
    }

    /// A connection's ARN elsewhere that is mapped to one of ours.
    pub fn connection_arn(&self, arn: &str) -> Key {
        Key { pk: self.below("connection-arns"), sk: arn.to_owned() }
    }

    /// What a hook brought.
    pub fn delivery(&self, hook: &str, delivery: &str) -> Key {
        Key { pk: self.below(&format!("deliveries/{hook}")), sk: delivery.to_owned() }
    }

    /// The partition of what expires.
    pub fn expiry(&self) -> String {
        self.below("expiry")
    }

    /// What a URL's hook is; the URL says no region.
    pub fn hook(&self, hook: &str) -> Key {
        Key { pk: format!("{}/hook/{hook}", self.account), sk: "hook".into() }
    }

    /// What kind of row lies in a partition, if it is one of rows.
    pub fn row_kind(&self, pk: &str) -> Option<RowKind> {
        let rest = pk.strip_prefix(&self.account)?;
        match rest.as_bytes() {
            [b'/', b'w', b'/', ..] => Some(RowKind::Work),
            [b'/', b'o', b'/', ..] => Some(RowKind::Publication),
            _ => None,
        }
    }
}

/// Which rows a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// What must happen next.
    Work,
    /// What must be published.
    Publication,
}

fn shard(id: Uuid) -> u8 {
    id.as_bytes()[0] % ROW_SHARDS
}

/// The place of an item in its pipeline's partition.
pub fn item_sk(key: &ItemKey) -> String {
    match key {
        ItemKey::Pipeline => "p".into(),
        ItemKey::Header(version) => format!("h#{version:010}"),
        ItemKey::StagePart(version, stage) => format!("s#{version:010}#{stage}"),
        ItemKey::Admission => "a".into(),
        ItemKey::SourceHead(action, git_ref) => format!("f#{action}#{git_ref}"),
        ItemKey::Lane(stage) => format!("l#{stage}"),
        ItemKey::Execution(id) => format!("x#{id}"),
        ItemKey::StageExecution(id, stage) => format!("x#{id}#t#{stage}"),
        ItemKey::Action(key) => format!("{}{:05}", action_stem('c', key), key.attempt),
        ItemKey::Success(stage, ordinal) => format!("{}{ordinal:020}", success_prefix(stage)),
    }
}

/// The item of a place in a pipeline's partition: the inverse of [`item_sk`].
pub fn parse_item_sk(sk: &str) -> Option<ItemKey> {
    let (kind, rest) = sk.split_once('#').unwrap_or((sk, ""));
    match kind {
        "p" if rest.is_empty() => Some(ItemKey::Pipeline),
        "a" if rest.is_empty() => Some(ItemKey::Admission),
        "h" => rest.parse().ok().map(ItemKey::Header),
        "s" => {
            let (version, stage) = rest.split_once('#')?;
            Some(ItemKey::StagePart(version.parse().ok()?, stage.into()))
        }
        "f" => {
            let (action, git_ref) = rest.split_once('#')?;
            Some(ItemKey::SourceHead(action.into(), git_ref.into()))
        }
        "l" => Some(ItemKey::Lane(rest.into())),
        "u" => {
            let (stage, ordinal) = rest.split_once('#')?;
            Some(ItemKey::Success(stage.into(), ordinal.parse().ok()?))
        }
        "x" => parse_execution_sk(rest),
        _ => None,
    }
}

fn parse_execution_sk(rest: &str) -> Option<ItemKey> {
    let mut parts = rest.split('#');
    let id: ExecutionId = parts.next()?.parse().ok()?;
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (None, ..) => Some(ItemKey::Execution(id)),
        (Some("t"), Some(stage), None, ..) => Some(ItemKey::StageExecution(id, stage.into())),
        (Some("c"), Some(stage), Some(slot), Some(name), Some(attempt)) => Some(ItemKey::Action(ActionKey {
            execution: id,
            stage: stage.into(),
            slot: parse_slot(slot)?,
            name: name.into(),
            attempt: attempt.parse().ok()?,
        })),
        _ => None,
    }
}

fn slot_text(slot: Slot) -> String {
    match slot {
        Slot::RunOrder(order) => format!("o{order:04}"),
        Slot::Rule(condition) => match condition {
            ConditionSlot::BeforeEntry => "rB".into(),
            ConditionSlot::OnSuccess => "rS".into(),
            ConditionSlot::OnFailure => "rF".into(),
        },
    }
}

fn parse_slot(text: &str) -> Option<Slot> {
    match text {
        "rB" => Some(Slot::Rule(ConditionSlot::BeforeEntry)),
        "rS" => Some(Slot::Rule(ConditionSlot::OnSuccess)),
        "rF" => Some(Slot::Rule(ConditionSlot::OnFailure)),
        _ => text.strip_prefix('o')?.parse().ok().map(Slot::RunOrder),
    }
}

fn action_stem(kind: char, key: &ActionKey) -> String {
    format!("x#{}#{kind}#{}#{}#{}#", key.execution, key.stage, slot_text(key.slot), key.name)
}

/// What the places of a slot's action executions begin with.
pub fn slot_prefix(execution: ExecutionId, stage: &StageName, slot: Slot) -> String {
    format!("x#{execution}#c#{stage}#{}#", slot_text(slot))
}

/// What the places of all action executions of an execution begin with.
pub fn actions_prefix(execution: ExecutionId) -> String {
    format!("x#{execution}#c#")
}

/// What the places of all stage executions of an execution begin with.
pub fn stages_prefix(execution: ExecutionId) -> String {
    format!("x#{execution}#t#")
}

/// Beside an action execution: its output variables.
pub fn variables_sk(key: &ActionKey) -> String {
    format!("{}{:05}", action_stem('v', key), key.attempt)
}

/// Beside an action execution: its resolved configuration.
pub fn configuration_sk(key: &ActionKey) -> String {
    format!("{}{:05}", action_stem('g', key), key.attempt)
}

/// What the places of a stage's successes begin with.
pub fn success_prefix(stage: &StageName) -> String {
    format!("u#{stage}#")
}

/// The order of starts: ordinal → execution.
pub fn order_sk(ordinal: Ordinal) -> String {
    format!("{ORDER_PREFIX}{ordinal:020}")
}

/// What the places of the order of starts begin with.
pub const ORDER_PREFIX: &str = "n#";

/// How far a pipeline's executions were gone through for artifacts that nobody needs.
pub const GONE_THROUGH_SK: &str = "z";

/// A version's declaration, but for its stages.
pub fn declaration_sk(version: Version) -> String {
    format!("d#{version:010}")
}

/// The sealed secrets of a version's stage.
pub fn sealed_sk(version: Version, stage: &StageName) -> String {
    format!("e#{version:010}#{stage}")
}

/// A client request token's start.
pub fn start_token_sk(token: &str) -> String {
    format!("k#{token}")
}

/// An approval token's action.
pub fn approval_token_sk(token: &str) -> String {
    format!("y#{token}")
}

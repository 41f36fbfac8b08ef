//! The item layout as documented is the one that is used.

use control::keys::{self, Place};
use engine::{ActionKey, ItemKey, Slot};
use model::{ExecutionId, PipelineId, Seed, Timestamp};
use uuid::Uuid;

/// What the module's page says of keys: the cells of its table.
fn documented() -> Vec<String> {
    let page = include_str!("../../src/table.rs").lines().filter_map(|line| line.strip_prefix("//! |"));
    page.flat_map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_kind_of_key_is_documented() {
    let place = Place { account: "A".into(), region: "R".into() };
    let id: Uuid = Seed(Uuid::nil()).id("layout");
    let (pipeline, execution) = (PipelineId(id), ExecutionId(id));
    let action =
        ActionKey { execution, stage: "STAGE".into(), slot: Slot::RunOrder(1), name: "ACTION".into(), attempt: 1 };
    let at = Timestamp(0);
    let items = [
        ItemKey::Pipeline,
        ItemKey::Header(1),
        ItemKey::StagePart(1, "STAGE".into()),
        ItemKey::Admission,
        ItemKey::SourceHead("ACTION".into(), "REF".into()),
        ItemKey::Lane("STAGE".into()),
        ItemKey::Execution(execution),
        ItemKey::StageExecution(execution, "STAGE".into()),
        ItemKey::Action(action.clone()),
        ItemKey::Success("STAGE".into(), 1),
    ];
    let in_pipeline = items.iter().map(keys::item_sk).chain([
        keys::variables_sk(&action),
        keys::configuration_sk(&action),
        keys::order_sk(1),
        keys::declaration_sk(1),
        keys::sealed_sk(1, &"STAGE".into()),
        keys::start_token_sk("TOKEN"),
        keys::approval_token_sk("TOKEN"),
    ]);
    // Ids and numbers stand for themselves: what remains is the kind.
    let kind = |sk: &str| {
        let sk = sk.replace(&id.to_string(), "X");
        let parts: Vec<_> = sk.split('#').take(3).take_while(|part| !part.starts_with('0')).collect();
        parts.join("#")
    };
    let cells = documented();
    let within = |wanted: &str| cells.iter().any(|cell| cell.contains(wanted));
    for sk in in_pipeline {
        assert!(within(&format!("`{}", kind(&sk))), "{sk} is not documented as `{}", kind(&sk));
    }
    let partitions = [
        place.pipeline(pipeline).replace(&id.to_string(), "P"),
        place.names(),
        place.work(0),
        place.work(keys::ROW_SHARDS - 1),
        place.publications(0),
        place.publications(keys::ROW_SHARDS - 1),
        place.parked(),
        place.external("ID").pk,
        place.source("RESOURCE"),
        place.rules(),
        place.polled(),
        place.webhook("name").pk,
        place.webhook_time("name").pk,
        place.connection("id").pk,
        place.connection_arn("ARN").pk,
        place.delivery("HOOK", "delivery").pk,
        place.hook("HOOK").pk,
    ];
    for partition in partitions {
        assert!(within(&format!("`{partition}`")), "the partition {partition} is not documented");
    }
    assert!(place.work_row(at, id).sk.ends_with(&format!("#{id}")), "DUE#ID");
}

//! What a decision goes by: nothing that is older than it may be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use control::ports::{Key, Query};
use engine::{ItemKey, SetTransition, TransitionSide, What, Work};
use model::ExecutionId;
use testkit::memory::{Fault, Faults, Operation};

use crate::detection::world::{declared, pipeline, s3, world};

/// Takes note of what is read, in order.
#[derive(Default)]
struct Reads(Mutex<Vec<String>>);

impl Faults for Reads {
    fn before(&self, operation: Operation<'_>) -> Option<Fault> {
        match operation {
            Operation::Get(Key { sk, .. }) => self.0.lock().unwrap().push(sk.clone()),
            Operation::Query(Query { prefix, .. }) => self.0.lock().unwrap().push(prefix.clone()),
            Operation::Transact { .. } | Operation::Flush => {}
        }
        None
    }
}

#[tokio::test]
async fn a_stage_is_read_before_its_actions() {
    let world = world();
    world.control.create_pipeline(declared(pipeline("p", "S3", s3(serde_json::json!({}))))).await.unwrap();
    let known = world.control.pipeline_ref(&"p".into()).await.unwrap();
    let key = testkit::actions::key(ExecutionId(uuid::Uuid::nil()), "Source", "Src");
    let reads = Arc::new(Reads::default());
    world.table.set_faults(reads.clone());
    let event = world.control.event(What::Work(Work::Advance(key.clone())));
    world.control.round(&known, &event, 0, None, &[]).await.unwrap();
    let reads = reads.0.lock().unwrap();
    let place = |wanted: &str| reads.iter().position(|read| read == wanted);
    let stage = place(&control::keys::item_sk(&ItemKey::StageExecution(key.execution, key.stage.clone())));
    let actions = place(&control::keys::slot_prefix(key.execution, &key.stage, key.slot));
    assert!(stage.is_some() && stage < actions, "{reads:?}");
}

#[tokio::test]
async fn that_nothing_is_to_be_done_is_never_said_from_memory() {
    let world = world();
    world.control.create_pipeline(declared(pipeline("p", "S3", s3(serde_json::json!({}))))).await.unwrap();
    let set = |disable: Option<&str>| SetTransition {
        stage: "Ship".into(),
        side: TransitionSide::Inbound,
        disable: disable.map(str::to_owned),
        by: "somebody".into(),
    };
    let remembering = world.control.remembering();
    let name = "p".into();
    remembering.set_stage_transition(&name, set(None)).await.unwrap();
    world.control.set_stage_transition(&name, set(Some("night"))).await.unwrap();
    remembering.set_stage_transition(&name, set(None)).await.unwrap();
    let state = world.control.get_pipeline_state(&name).await.unwrap();
    assert!(!format!("{state:?}").contains("night"), "{state:?}");
}

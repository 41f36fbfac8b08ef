//! What looking costs, and how much there may be to look at.

use std::sync::{Arc, Mutex};

use control::ports::{Condition, Key, Write};
use serde_json::json;
use testkit::memory::{Fault, Faults, NoFaults, Operation};

use super::server::{Server, code, declaration, server};

/// Takes note of what is read, in order.
#[derive(Default)]
struct Reads(Mutex<Vec<String>>);

impl Faults for Reads {
    fn before(&self, operation: Operation<'_>) -> Option<Fault> {
        match operation {
            Operation::Get(key) => self.0.lock().unwrap().push(key.sk.clone()),
            Operation::Query(query) => self.0.lock().unwrap().push(format!("all of {}", query.prefix)),
            Operation::Transact { .. } | Operation::Flush => {}
        }
        None
    }
}

async fn read_by_state(server: &Server) -> Vec<String> {
    // What never changes is read once.
    server.call("GetPipelineState", json!({ "name": "release" })).await.unwrap();
    let reads = Arc::new(Reads::default());
    server.table.set_faults(reads.clone());
    server.call("GetPipelineState", json!({ "name": "release" })).await.unwrap();
    server.table.set_faults(Arc::new(NoFaults));
    std::mem::take(&mut *reads.0.lock().unwrap())
}

#[tokio::test]
async fn a_state_costs_the_same_however_long_the_history() {
    let server = server();
    let mut pipeline = declaration("release");
    pipeline["stages"].as_array_mut().unwrap().remove(1);
    server.call("CreatePipeline", json!({ "pipeline": pipeline })).await.unwrap();
    let mut counts = Vec::new();
    for executions in [1, 20] {
        for _ in 0..executions {
            server.call("StartPipelineExecution", json!({ "name": "release" })).await.unwrap();
            server.run().await;
        }
        let reads = read_by_state(&server).await;
        assert!(!reads.iter().any(|read| read.starts_with("all of")), "{reads:?}");
        counts.push(reads.len());
    }
    // The name; a lane, a stage execution and an action for each of two stages; the execution.
    assert_eq!(counts, [8, 8]);
}

#[tokio::test]
async fn a_thousand_pipelines_are_the_most_of_a_region() {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("last") })).await.unwrap();
    let control = &server.control;
    let name = Key { pk: control.place().names(), sk: "last".into() };
    let item = control.table().get(&name).await.unwrap().unwrap();
    let names: Vec<String> = (0..999).map(|number| format!("other-{number:03}")).collect();
    for some in names.chunks(50) {
        let put = |name: &String| Write::Put {
            key: Key { pk: control.place().names(), sk: name.clone() },
            revision: 1,
            body: item.body.clone(),
            condition: Condition::Absent,
        };
        let writes: Vec<Write> = some.iter().map(put).collect();
        control.table().transact(&some[0], &writes).await.unwrap();
    }
    let create = |name: &str| server.call("CreatePipeline", json!({ "pipeline": declaration(name) }));
    assert_eq!(code(create("one-more").await), "LimitExceededException");
    assert_eq!(code(create("last").await), "PipelineNameInUseException");
    server.call("UpdatePipeline", json!({ "pipeline": declaration("last") })).await.unwrap();
    server.call("DeletePipeline", json!({ "name": "last" })).await.unwrap();
    create("one-more").await.unwrap();
    assert_eq!(code(create("last").await), "LimitExceededException");
}

//! One rule a source resource, from its first user to its last.

use std::sync::Arc;

use control::ControlError;
use control::ports::PortError;
use control::sources::{Detection, Reconciled, Resource, Rule, Rules, SourceRules};
use engine::Refusal;
use serde_json::{Value, json};
use testkit::detection::MemoryRules;

use super::world::{World, declared, pipeline, s3, world, world_with};

fn codecommit() -> Value {
    json!({ "RepositoryName": "app", "BranchName": "main" })
}

fn names(world: &World) -> Vec<String> {
    world.rules.all().into_iter().map(|rule| rule.name).collect()
}

#[tokio::test]
async fn a_rule_lives_from_its_first_user_to_its_last() {
    let world = world();
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    world.create(pipeline("q", "S3", s3(json!({})))).await;
    let [rule] = &world.rules.all()[..] else { panic!() };
    assert!(rule.name.starts_with("penstock-test-") && rule.name.len() <= 64, "{}", rule.name);
    let native = &rule.pattern["$or"][0]["detail"];
    assert_eq!(native, &json!({ "bucket": { "name": ["in"] }, "object": { "key": ["app.zip"] } }));
    let resource = Resource::Object { bucket: "in".into(), key: "app.zip".into() };
    assert_eq!(world.control.rules_for(&[resource.clone(), resource]), world.rules.all());
    world.control.delete_pipeline(&"p".into()).await.unwrap();
    assert_eq!(world.rules.all().len(), 1);
    world.control.update_pipeline(declared(pipeline("q", "CodeCommit", codecommit()))).await.unwrap();
    let [rule] = &world.rules.all()[..] else { panic!() };
    assert_eq!((&rule.pattern["detail"]["repositoryName"], rule.pattern.get("resources")), (&json!(["app"]), None));
    world.control.delete_pipeline(&"q".into()).await.unwrap();
    assert!(names(&world).is_empty());
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled::default());
}

#[tokio::test]
async fn what_could_not_be_made_or_removed_is_mended() {
    let world = world();
    world.rules.break_down(true);
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    world.rules.break_down(false);
    assert!(names(&world).is_empty());
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled { made: 1, ..Default::default() });
    assert_eq!(names(&world).len(), 1);
    world.rules.break_down(true);
    world.control.delete_pipeline(&"p".into()).await.unwrap();
    world.rules.break_down(false);
    assert_eq!(names(&world).len(), 1);
    // Another pipeline that comes before the sweep keeps it.
    world.create(pipeline("q", "S3", s3(json!({})))).await;
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled::default());
    world.rules.break_down(true);
    world.control.delete_pipeline(&"q".into()).await.unwrap();
    world.rules.break_down(false);
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled { removed: 1, ..Default::default() });
    assert!(names(&world).is_empty());
}

impl World {
    /// The same control plane with other rules, and another name of its stack.
    fn with_rules(&mut self, port: Arc<dyn SourceRules>, stack: &str) {
        let known = self.control.detection().clone();
        let rules = known.rules.clone().map(|rules| Rules { port, ..rules });
        let detection = Detection { rules, stack: Some(stack.into()), ..known };
        self.control = self.control.clone().with_detection(Arc::new(detection));
    }
}

/// The roles of the stack and the permission of its rules name it in full.
#[tokio::test]
async fn a_rule_has_the_whole_name_of_its_stack() {
    let mut world = world();
    let resource = Resource::Object { bucket: "in".into(), key: "app.zip".into() };
    for (length, expected) in [(4, 34), (32, 62)] {
        let stack = "s".repeat(length);
        let port = world.rules.clone();
        world.with_rules(port, &stack);
        let name = world.control.rules_for(std::slice::from_ref(&resource)).remove(0).name;
        assert!(name.starts_with(&format!("penstock-{stack}-")) && name.len() == expected, "{name}");
    }
}

/// Makes no rule of this description.
struct Without(Arc<MemoryRules>, &'static str);

#[async_trait::async_trait]
impl SourceRules for Without {
    async fn ensure(&self, rule: &Rule) -> Result<(), PortError> {
        if rule.description.contains(self.1) {
            return Err(PortError::Unavailable("the bus".into()));
        }
        self.0.ensure(rule).await
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        self.0.remove(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.0.list(prefix).await
    }
}

#[tokio::test]
async fn a_rule_that_cannot_be_made_keeps_no_other() {
    let mut world = world();
    world.rules.break_down(true);
    for name in ["a", "b", "c", "d", "e"] {
        world.create(pipeline(name, "S3", s3(json!({ "S3ObjectKey": name })))).await;
    }
    world.rules.break_down(false);
    let without = Without(world.rules.clone(), "s3://in/c");
    world.with_rules(Arc::new(without), "test");
    let reconciled = world.control.reconcile_rules().await.unwrap();
    assert_eq!(reconciled, Reconciled { made: 4, removed: 0, failed: 1 });
}

/// Rules of an older Penstock: their patterns are renewed.
#[tokio::test]
async fn rules_that_were_made_otherwise_are_renewed() {
    let world = world();
    world.create(pipeline("p", "CodeCommit", codecommit())).await;
    let [made] = &world.rules.all()[..] else { panic!() };
    world.rules.insert(Rule { pattern: json!({ "resources": ["older"] }), ..made.clone() });
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled::default());
    assert_eq!(world.rules.all(), std::slice::from_ref(made));
}

#[tokio::test]
async fn only_rules_of_this_stack_are_orphans() {
    let world = world();
    let rule = |name: &str| Rule { name: name.into(), pattern: Value::Null, description: String::new() };
    for name in ["penstock-test-0123456789abcdef0123", "penstock-test-two-0123456789abcdef0123", "penstock-other-x"] {
        world.rules.insert(rule(name));
    }
    assert_eq!(world.control.reconcile_rules().await.unwrap(), Reconciled { removed: 1, ..Default::default() });
    assert_eq!(names(&world), ["penstock-other-x", "penstock-test-two-0123456789abcdef0123"]);
}

#[tokio::test]
async fn rules_beyond_the_quota_are_refused() {
    let world = world_with(None, 1);
    world.create(pipeline("p", "S3", s3(json!({})))).await;
    let more = world.control.create_pipeline(declared(pipeline("q", "CodeCommit", codecommit()))).await;
    let Err(ControlError::Port(PortError::Invalid(why))) = more else { panic!("{more:?}") };
    assert!(why.contains("the quota of 1 rules"), "{why}");
    // One that is shared costs nothing.
    world.create(pipeline("r", "S3", s3(json!({})))).await;
}

/// A bucket of artifacts that notified would have executions start executions.
#[tokio::test]
async fn the_artifact_bucket_is_no_notifying_source() {
    let world = world();
    for bucket in ["store", "stack-artifacts"] {
        let refused =
            world.control.create_pipeline(declared(pipeline("p", "S3", s3(json!({ "S3Bucket": bucket }))))).await;
        let Err(ControlError::Refused(Refusal::Invalid(why))) = refused else { panic!("{refused:?}") };
        assert!(why.contains(bucket) && why.contains("PollForSourceChanges"), "{why}");
    }
    let polled = s3(json!({ "S3Bucket": "store", "PollForSourceChanges": "true" }));
    world.create(pipeline("p", "S3", polled)).await;
}

/// More source actions than a transaction has room for.
#[tokio::test]
async fn a_pipeline_of_fifty_sources() {
    let world = world();
    let mut wide = pipeline("p", "S3", s3(json!({})));
    let first = wide["stages"][0]["actions"][0].clone();
    let action = |n: usize| {
        let mut action = first.clone();
        action["name"] = json!(format!("Src{n}"));
        action["outputArtifacts"][0]["name"] = json!(format!("Out{n}"));
        action["configuration"]["S3ObjectKey"] = json!(format!("app{n}.zip"));
        action["configuration"]["PollForSourceChanges"] = json!("true");
        action
    };
    wide["stages"][0]["actions"] = (0..50).map(action).collect();
    let last = wide["stages"][1].clone();
    for n in 0..48 {
        let mut stage = last.clone();
        stage["name"] = json!(format!("Ship{n}"));
        wide["stages"].as_array_mut().unwrap().push(stage);
    }
    world.create(wide).await;
    assert_eq!((world.pointers().len(), world.polled().len(), names(&world).len()), (50, 50, 50));
    world.control.delete_pipeline(&"p".into()).await.unwrap();
    assert_eq!((world.pointers().len(), world.polled().len(), names(&world).len()), (0, 0, 0));
}

//! How long a decision takes on pipelines of 10, 100 and 1,000 actions. History is no part of what a decision sees.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use engine::{
    ActionExecution, ActionKey, ActionReport, Change, Claim, Command, Create, Decision, Effect, Event, Item, ItemKey,
    Missing, Read, Slice, Start, TriggerDetail, What, Work, decide,
};
use model::{
    Action, ActionTypeId, Category, ExecutionMode, Owner, Pipeline, PipelineId, PipelineType, Seed, Stage, Timestamp,
    TriggerType,
};
use uuid::Uuid;

/// What a stage of these pipelines has: run orders of ten actions.
const ACTIONS_A_STAGE: usize = 50;
const ACTIONS_A_RUN_ORDER: usize = 10;

fn action(number: usize, category: Category, a_run_order: usize) -> Action {
    let order = number % ACTIONS_A_STAGE / a_run_order + 1;
    Action {
        name: format!("action-{number}").into(),
        action_type_id: ActionTypeId { category, owner: Owner::Aws, provider: "CodeBuild".into(), version: "1".into() },
        run_order: u16::try_from(order).ok(),
        configuration: (0..4).map(|key| (format!("Key{key}"), "a value of some length".into())).collect(),
        commands: Vec::new(),
        output_artifacts: Vec::new(),
        input_artifacts: Vec::new(),
        output_variables: Vec::new(),
        role_arn: None,
        region: Some("eu-west-1".into()),
        namespace: None,
        timeout_in_minutes: None,
        environment_variables: Vec::new(),
    }
}

fn stage(name: String, actions: Vec<Action>) -> Stage {
    Stage { name: name.into(), blockers: Vec::new(), actions, on_failure: None, on_success: None, before_entry: None }
}

fn pipeline(actions: usize, a_run_order: usize) -> Pipeline {
    let mut stages = vec![stage("Source".into(), vec![action(0, Category::Source, a_run_order)])];
    let numbers: Vec<usize> = (0..actions - 1).collect();
    for (place, chunk) in numbers.chunks(ACTIONS_A_STAGE).enumerate() {
        let actions = chunk.iter().map(|number| action(*number, Category::Build, a_run_order)).collect();
        stages.push(stage(format!("Stage-{place}"), actions));
    }
    Pipeline {
        name: "bench".into(),
        role_arn: "arn:aws:iam::123456789012:role/penstock/bench".into(),
        artifact_store: None,
        artifact_stores: None,
        stages,
        version: None,
        execution_mode: Some(ExecutionMode::Queued),
        pipeline_type: Some(PipelineType::V2),
        variables: Vec::new(),
        triggers: Vec::new(),
    }
}

/// What is stored, and what to do.
struct World {
    items: HashMap<ItemKey, Item>,
    work: Vec<Work>,
    created: Vec<ActionKey>,
    seed: u128,
}

impl World {
    fn new(actions: usize, a_run_order: usize) -> Self {
        let mut world = Self { items: HashMap::new(), work: Vec::new(), created: Vec::new(), seed: 0 };
        let create = Create { id: PipelineId(Uuid::nil()), declaration: Box::new(pipeline(actions, a_run_order)) };
        world.happens(What::Command(Command::Create(create)));
        world
    }

    fn event(&mut self, what: What) -> Event {
        self.seed += 1;
        Event { at: Timestamp(1_700_000_000_000), seed: Seed(Uuid::from_u128(self.seed)), what }
    }

    /// What a decision sees: as it asks for it.
    fn slice(&self, event: &Event) -> Slice {
        let mut slice = Slice::default();
        while let Err(Missing(reads)) = decide(&slice, event) {
            for read in reads {
                match read {
                    Read::Item(key) => slice.put(key.clone(), self.items.get(&key).cloned()),
                    Read::Slot(execution, stage, slot) => {
                        let of = |action: &&ActionExecution| {
                            action.key.execution == execution && action.key.stage == stage && action.key.slot == slot
                        };
                        let actions = self.items.values().filter_map(|item| match item {
                            Item::Action(action) => Some(action),
                            _ => None,
                        });
                        let actions = actions.filter(of).cloned().collect();
                        slice.put_slot(execution, stage, slot, actions);
                    }
                    Read::LastSuccess { stage, version, before } => {
                        slice.put_last_success(stage, version, before, None)
                    }
                }
            }
        }
        slice
    }

    fn happens(&mut self, what: What) {
        let event = self.event(what);
        let slice = self.slice(&event);
        let Ok(Decision::Changed(changed)) = decide(&slice, &event) else { return };
        for change in changed.changes {
            match change {
                Change::Create(key, item) | Change::Replace(key, item) => drop(self.items.insert(key, item)),
                Change::Delete(key) => drop(self.items.remove(&key)),
            }
        }
        for effect in changed.effects {
            match effect {
                Effect::Work { work, due: None } => self.work.push(work),
                Effect::Dispatch(keys) => self.created = keys,
                Effect::Work { .. } | Effect::Publish(_) | Effect::EndDriver(_) | Effect::CancelDue(..) => {}
            }
        }
    }

    fn claim(drive: u32) -> ActionReport {
        ActionReport::Claim(Claim { drive, inputs: Vec::new(), outputs: Vec::new(), log: None })
    }

    fn command() -> What {
        let trigger =
            TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: "arn:aws:iam::1:user/a".into() };
        What::Command(Command::Start(Start {
            trigger,
            origin: None,
            variables: Default::default(),
            overrides: Vec::new(),
        }))
    }

    /// Starts an execution and lets the source, and the first run order of the first stage, start.
    fn start(&mut self) {
        self.happens(Self::command());
        self.end_created();
        self.go_on();
        for key in self.created.clone() {
            self.happens(What::Action(key, Self::claim(1)));
        }
    }

    /// Claims and ends what was created last.
    fn end_created(&mut self) {
        for key in self.created.clone() {
            self.happens(What::Action(key.clone(), Self::claim(1)));
            self.happens(What::Action(key, ActionReport::Ended(Box::default())));
        }
    }

    fn go_on(&mut self) {
        for work in std::mem::take(&mut self.work) {
            self.happens(What::Work(work));
        }
    }
}

/// The events measured, with what they see.
fn events(actions: usize) -> Vec<(&'static str, Slice, Event)> {
    let mut world = World::new(actions, ACTIONS_A_RUN_ORDER);
    world.start();
    let mut measured = Vec::new();
    let Some(key) = world.created.first().cloned() else { return measured };
    let mut add = |name, world: &mut World, what| {
        let event = world.event(what);
        measured.push((name, world.slice(&event), event));
    };
    add("claim", &mut world, What::Action(key.clone(), World::claim(2)));
    add("ended", &mut world, What::Action(key.clone(), ActionReport::Ended(Box::default())));
    add("advance, others run", &mut world, What::Work(Work::Advance(key.clone())));
    for key in world.created.clone() {
        world.happens(What::Action(key, ActionReport::Ended(Box::default())));
    }
    add("advance, next run order", &mut world, What::Work(Work::Advance(key)));
    measured
}

/// The decision that starts a stage of 50 parallel actions, with what it sees.
fn starting_fifty() -> Option<(Slice, Event)> {
    let mut world = World::new(1 + ACTIONS_A_STAGE, ACTIONS_A_STAGE);
    world.happens(World::command());
    world.end_created();
    let work = world.work.first().cloned()?;
    let event = world.event(What::Work(work));
    let slice = world.slice(&event);
    let Ok(Decision::Changed(changed)) = decide(&slice, &event) else { return None };
    let fifty = |effect: &Effect| matches!(effect, Effect::Dispatch(keys) if keys.len() == ACTIONS_A_STAGE);
    changed.effects.iter().any(fifty).then_some((slice, event))
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for actions in [10, 100, 1_000] {
        for (name, slice, event) in events(actions) {
            group.bench_with_input(BenchmarkId::new(name, actions), &(slice, event), |bencher, (slice, event)| {
                bencher.iter(|| decide(black_box(slice), black_box(event)));
            });
        }
    }
    match starting_fifty() {
        Some((slice, event)) => {
            group.bench_function("start 50 parallel actions", |bencher| {
                bencher.iter(|| decide(black_box(&slice), black_box(&event)));
            });
        }
        None => panic!("no decision starts 50 actions"),
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);

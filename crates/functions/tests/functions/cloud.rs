//! A cloud in memory: a bus that invokes functions, drivers that step through the state machine, a provider that works.
//! Messages are delivered in any order, some twice; handlers may die between a commit and what follows it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use control::expiring::ArtifactMarks;
use control::handoff::{DriverInput, Drivers, Outbox, Sender, WORK_ROW};
use control::keys::Place;
use control::ports::{
    ActionReply, ActionRequest, ActionRunner, Bus, Clock, Condition, Key, Page, PortError, PublicEvent, Query, Stored,
    Table, Write,
};
use control::rows::{PublicationRow, WorkRow};
use control::{Control, Handoff, Ports};
use engine::{ActionExecution, ActionKey, Outcome, Start, Started, TriggerDetail};
use functions::handlers::advance_execution::AdvanceExecution;
use functions::handlers::dispatch_action::DispatchAction;
use functions::handlers::relay_outbox::RelayOutbox;
use functions::handlers::sweep::Sweep;
use functions::{Handler, Invocation};
use model::{ActionExecutionId, ExecutionId, ExecutionStatus, Timestamp, TriggerType};
use serde_json::{Value, json};
use testkit::clock::ManualClock;
use testkit::entropy::SeededEntropy;
use testkit::memory::MemoryTable;
use testkit::sealing::MemorySealer;

pub const ACCOUNT: &str = "123456789012";
/// The bucket of artifacts of the stack, where declarations name it.
pub const ARTIFACTS: &str = "artifacts";
pub const REGION: &str = "eu-west-1";
pub const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:penstock-action-execution";
const NOW: Timestamp = Timestamp(1_795_500_000_000);

/// Marks of artifacts, by key: what expires.
#[async_trait]
impl ArtifactMarks for World {
    async fn mark(&self, bucket: &str, key: &str, expires: bool) -> Result<(), PortError> {
        assert_eq!(bucket, ARTIFACTS);
        self.with(|state| {
            state.marks_made += 1;
            if expires {
                state.expiring.insert(key.to_owned())
            } else {
                state.expiring.remove(key)
            };
        });
        Ok(())
    }
}

/// What was asked of the cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions; removals of rows that are done need none.
    pub transactions: u64,
    /// Removals of rows that are done.
    pub removals: u64,
    /// Reads: an item, or a page of a query.
    pub reads: u64,
    /// Calls of PutEvents.
    pub puts: u64,
    /// Drivers started.
    pub drivers: u64,
    /// Functions invoked.
    pub invocations: u64,
    /// Events published, hand-offs among them.
    pub events: u64,
    /// States that drivers went through.
    pub states: u64,
    /// What DynamoDB bills for writes: 1 KiB, twice in a transaction.
    pub write_units: u64,
    /// What DynamoDB bills for consistent reads: 4 KiB.
    pub read_units: u64,
}

/// What DynamoDB counts of an item, in bytes.
fn size(key: &Key, body: &[u8]) -> u64 {
    (key.pk.len() + key.sk.len() + body.len() + "pkskrevbody".len() + 2) as u64
}

/// The table in memory, counting what it is asked.
struct Counting {
    table: Arc<MemoryTable>,
    world: World,
}

impl Counting {
    /// A request, and what it brought: items are billed one by one, a page as a whole.
    fn read(&self, sizes: &[u64]) {
        let units: u64 = sizes.iter().map(|size| size.div_ceil(4096).max(1)).sum();
        self.world.with(|state| {
            state.counts.reads += 1;
            state.counts.read_units += units;
        });
    }

    /// What a write is billed at, outside a transaction.
    async fn write_units(&self, write: &Write) -> Result<u64, PortError> {
        let there = self.table.get(write.key()).await?.map_or(0, |stored| size(write.key(), &stored.body));
        let bytes = match write {
            Write::Put { key, body, .. } => size(key, body).max(there),
            Write::Delete { .. } | Write::Check { .. } => there,
        };
        Ok(bytes.div_ceil(1024).max(1))
    }
}

#[async_trait]
impl Table for Counting {
    async fn get(&self, key: &Key) -> Result<Option<Stored>, PortError> {
        let found = self.table.get(key).await?;
        self.read(&[found.as_ref().map_or(0, |stored| size(key, &stored.body))]);
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Stored>>, PortError> {
        let found = self.table.get_many(keys).await?;
        let sizes =
            keys.iter().zip(&found).map(|(key, found)| found.as_ref().map_or(0, |stored| size(key, &stored.body)));
        self.read(&sizes.collect::<Vec<_>>());
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Page, PortError> {
        let page = self.table.query(query).await?;
        self.read(&[page.items.iter().map(|(key, stored)| size(key, &stored.body)).sum()]);
        Ok(page)
    }

    async fn transact(&self, token: &str, writes: &[Write]) -> Result<(), PortError> {
        let removal = |write: &Write| matches!(write, Write::Delete { condition: Condition::Always, .. });
        let removes = writes.iter().all(removal);
        let mut units = 0;
        for write in writes {
            units += self.write_units(write).await?;
        }
        self.world.with(|state| {
            if removes {
                state.counts.removals += 1;
                state.counts.write_units += units;
            } else {
                state.counts.transactions += 1;
                state.counts.write_units += 2 * units;
            }
        });
        self.table.transact(token, writes).await
    }

    async fn flush(&self) -> Result<(), PortError> {
        self.table.flush().await
    }
}

/// How often, of a hundred times, something goes wrong.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// The bus does not answer: the sender dies with what it had to send.
    pub bus: u64,
    /// A driver cannot be started or woken.
    pub drivers: u64,
    /// A message comes twice.
    pub twice: u64,
    /// A provider's event of the end never comes.
    pub silence: u64,
    /// A function dies right after the provider started the work.
    pub killed: u64,
}

struct State {
    weather: Weather,
    random: SeededEntropy,
    /// Hand-offs not delivered yet.
    handoffs: Vec<Value>,
    public: Vec<Value>,
    drivers: BTreeMap<String, Driver>,
    works: HashMap<ActionExecutionId, Work>,
    completions: Vec<Value>,
    kill_next: bool,
    lose_handoffs: bool,
    counts: Counts,
    started: u64,
    expiring: BTreeSet<String>,
    marks_made: usize,
    committed: Vec<PublicationRow>,
}

/// Notes what is committed on its way to the outbox.
struct Noting {
    outbox: Arc<Outbox>,
    world: World,
}

impl Handoff for Noting {
    fn committed(&self, rows: &[WorkRow], publications: &[PublicationRow]) {
        self.world.with(|state| state.committed.extend_from_slice(publications));
        self.outbox.committed(rows, publications);
    }

    fn end_driver(&self, key: &ActionKey, action: Option<&ActionExecution>) {
        self.outbox.end_driver(key, action);
    }
}

struct Driver {
    input: Value,
    step: &'static str,
    steps: u32,
    waits: bool,
    done: bool,
}

/// Work at the provider.
struct Work {
    starts: u32,
    polls: u32,
}

#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().expect("no test panics with it"))
    }

    fn chance(&self, of: impl Fn(&Weather) -> u64) -> bool {
        self.with(|state| state.random.chance(of(&state.weather)))
    }
}

#[async_trait]
impl Bus for World {
    async fn publish(&self, events: &[PublicEvent]) -> Result<Vec<usize>, PortError> {
        if self.chance(|weather| weather.bus) {
            return Err(PortError::Unavailable("the bus".into()));
        }
        self.with(|state| {
            state.counts.puts += 1;
            state.counts.events += events.len() as u64;
            for event in events {
                let envelope = event.envelope.clone();
                if envelope["detail-type"] == WORK_ROW {
                    if state.lose_handoffs {
                        continue;
                    }
                    let copies = if state.random.chance(state.weather.twice) { 2 } else { 1 };
                    (0..copies).for_each(|_| state.handoffs.push(envelope.clone()));
                } else {
                    state.public.push(envelope);
                }
            }
        });
        Ok(Vec::new())
    }
}

#[async_trait]
impl Drivers for World {
    async fn start(&self, name: &str, input: &Value) -> Result<(), PortError> {
        if self.chance(|weather| weather.drivers) {
            return Err(PortError::Throttled);
        }
        self.with(|state| {
            state.started += u64::from(!state.drivers.contains_key(name));
            state.counts.drivers += 1;
            // Its start and its end are billed as states are.
            state.counts.states += 2;
            let driver = Driver { input: input.clone(), step: "start", steps: 0, waits: false, done: false };
            state.drivers.entry(name.to_owned()).or_insert(driver);
        });
        Ok(())
    }

    async fn wake(&self, token: &str, _: &Value) -> Result<(), PortError> {
        if self.chance(|weather| weather.drivers) {
            return Err(PortError::Unavailable("Step Functions".into()));
        }
        self.with(|state| {
            let Some((name, step)) = token.rsplit_once('/') else { return };
            if let Some(driver) = state.drivers.get_mut(name).filter(|driver| driver.steps.to_string() == step) {
                driver.done = true;
            }
        });
        Ok(())
    }
}

/// A provider with an idempotency token: the action execution's id. Names ending in `-slow` take three polls,
/// `-told` ended when the second comes, as their provider's event tells; `-now` end at once; `-bad` fail; `-waits`
/// wait for somebody.
#[async_trait]
impl ActionRunner for World {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        if request.declaration.name.as_str().ends_with("-waits") {
            return ActionReply::Pending { started: Started::default(), poll_at: None };
        }
        let id = request.action.id;
        let killed = self.chance(|weather| weather.killed);
        self.with(|state| {
            let work = state.works.entry(id).or_insert(Work { starts: 0, polls: 0 });
            if request.action.drive == 1 {
                work.starts += 1;
            }
            state.kill_next |= killed;
        });
        let name = request.declaration.name.as_str();
        if name.ends_with("-now") {
            return ActionReply::Ended(Box::new(made(&request)));
        }
        if name.ends_with("-bad") {
            return ActionReply::Ended(Box::new(Outcome::failed("JobFailed", "as its name says")));
        }
        let told = !self.chance(|weather| weather.silence);
        self.with(|state| {
            if told {
                let detail = json!({ "build-id": format!("work/{id}"), "build-status": "SUCCEEDED" });
                let event = json!({ "source": "aws.codebuild", "detail-type": "CodeBuild Build State Change", "detail": detail });
                state.completions.push(event);
            }
        });
        let started = Started { external_id: Some(format!("work/{id}")), ..Started::default() };
        ActionReply::Pending { started, poll_at: Some(NOW) }
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        let polls = self.with(|state| {
            let work = state.works.entry(request.action.id).or_insert(Work { starts: 0, polls: 0 });
            work.polls += 1;
            work.polls
        });
        let enough = if request.declaration.name.as_str().ends_with("-told") { 2 } else { 3 };
        if polls >= enough {
            return ActionReply::Ended(Box::new(made(&request)));
        }
        ActionReply::Pending { started: Started::default(), poll_at: Some(NOW) }
    }

    async fn end(&self, _: &ActionKey) {}
}

fn made(request: &ActionRequest) -> Outcome {
    Outcome { outputs: request.action.outputs.clone(), summary: Some("made".into()), ..Outcome::default() }
}

/// A stack in memory.
pub struct Cloud {
    pub world: World,
    pub table: Arc<MemoryTable>,
    pub clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    sealer: Arc<MemorySealer>,
    /// The one process of all functions, where they stay warm.
    warm: Option<Sender>,
}

impl Cloud {
    pub fn new(seed: u64, weather: Weather) -> Self {
        let state = State {
            weather,
            random: SeededEntropy::new(seed),
            handoffs: Vec::new(),
            public: Vec::new(),
            drivers: BTreeMap::new(),
            works: HashMap::new(),
            completions: Vec::new(),
            kill_next: false,
            lose_handoffs: false,
            counts: Counts::default(),
            started: 0,
            expiring: BTreeSet::new(),
            marks_made: 0,
            committed: Vec::new(),
        };
        Self {
            world: World(Arc::new(Mutex::new(state))),
            table: Arc::new(MemoryTable::new()),
            clock: Arc::new(ManualClock::at(NOW)),
            entropy: Arc::new(SeededEntropy::new(seed.wrapping_add(1))),
            sealer: Arc::default(),
            warm: None,
        }
    }

    /// A fresh process, where functions do not stay warm: nothing is remembered between invocations.
    pub fn sender(&self) -> Sender {
        if let Some(warm) = &self.warm {
            return warm.clone();
        }
        self.sender_over(self.table.clone())
    }

    fn sender_over(&self, table: Arc<dyn Table>) -> Sender {
        let outbox = Arc::new(Outbox::default());
        let handoff = Arc::new(Noting { outbox: outbox.clone(), world: self.world.clone() });
        let ports = Ports {
            table,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            handoff,
            sealer: Some(self.sealer.clone()),
        };
        let place = Place { account: ACCOUNT.into(), region: REGION.into() };
        let world = Arc::new(self.world.clone());
        Sender {
            control: Control::new(ports, place).with_artifact_bucket(Some(ARTIFACTS.into())),
            outbox,
            bus: world.clone(),
            drivers: world,
            source: "penstock.codepipeline".into(),
        }
    }

    pub fn sweep(&self) -> Sweep {
        Sweep { sender: self.sender(), marks: Arc::new(self.world.clone()), stack: "test".into() }
    }

    pub fn dispatch(&self) -> DispatchAction {
        let runner = Arc::new(self.world.clone());
        DispatchAction { sender: self.sender(), runner, state_machine_arn: MACHINE.into() }
    }

    pub async fn create(&self, declaration: &Value) {
        let (pipeline, findings) = model::validate(&declaration["pipeline"]);
        let pipeline = pipeline.unwrap_or_else(|| panic!("{findings:?}"));
        self.sender().control.create_pipeline(pipeline).await.expect("created");
    }

    pub async fn start(&self, pipeline: &str) -> ExecutionId {
        let sender = self.sender();
        let trigger = TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: "test".into() };
        let start = Start { trigger, origin: None, variables: Default::default(), overrides: Vec::new() };
        let id = sender.control.start_pipeline_execution(&pipeline.into(), start, None).await.expect("started");
        // A sender that dies here leaves its rows to the sweep.
        let _ = sender.flush().await;
        id
    }

    pub async fn status(&self, pipeline: &str, id: ExecutionId) -> ExecutionStatus {
        let control = self.sender().control;
        let known = control.pipeline_ref(&pipeline.into()).await.expect("known");
        control.execution(known.id, id).await.expect("read").expect("there").status
    }

    /// Delivers messages in any order until there are none; then lets time go by for drivers and the sweep, until nothing
    /// is left to do.
    pub async fn settle(&self) {
        for _ in 0..400 {
            self.deliver().await;
            self.clock.advance_millis(61_000);
            self.world.with(|state| {
                let late = state.drivers.values_mut().filter(|driver| driver.waits && !driver.done);
                late.for_each(|driver| (driver.step, driver.waits, driver.steps) = ("poll", false, driver.steps + 1));
            });
            let _ = self.sweep().handle(json!({}), &Invocation::default()).await;
            if self.is_quiet().await {
                return;
            }
        }
        panic!("it never came to rest");
    }

    async fn is_quiet(&self) -> bool {
        let idle =
            self.world.with(|state| state.handoffs.is_empty() && state.drivers.values().all(|driver| driver.done));
        idle && self.rows_left().await == 0
    }

    /// Work rows and publications that are due.
    pub async fn rows_left(&self) -> usize {
        let control = self.sender().control;
        let place = control.place().clone();
        let mut left = 0;
        for shard in 0..control::keys::ROW_SHARDS {
            for pk in [place.work(shard), place.publications(shard)] {
                let query = Query { pk, prefix: String::new(), after: None, limit: 100, backward: false };
                let page = self.table.query(&query).await.expect("readable");
                let now = format!("{:016x}", self.clock.now().0 + 40 * 60_000);
                left += page.items.iter().filter(|(key, _)| key.sk < now).count();
            }
        }
        left
    }

    /// One message or driver step; false when there is none.
    async fn step(&self) -> bool {
        enum Next {
            Handoff(Value),
            Completion(Value),
            Driver(String),
        }
        let next = self.world.with(|state| {
            let mut choices = VecDeque::new();
            choices.extend((0..state.handoffs.len()).map(|index| (0, index)));
            choices.extend((0..state.completions.len()).map(|index| (1, index)));
            let ready: Vec<_> = state
                .drivers
                .iter()
                .filter(|(_, driver)| !driver.waits && !driver.done)
                .map(|(n, _)| n.clone())
                .collect();
            choices.extend((0..ready.len()).map(|index| (2, index)));
            let pick = usize::try_from(state.random.below(choices.len() as u64)).expect("small");
            match choices.get(pick)? {
                (0, index) => Some(Next::Handoff(state.handoffs.swap_remove(*index))),
                (1, index) => Some(Next::Completion(state.completions.swap_remove(*index))),
                (_, index) => Some(Next::Driver(ready[*index].clone())),
            }
        });
        self.clock.advance_millis(7);
        self.world.with(|state| state.counts.invocations += u64::from(next.is_some()));
        match next {
            None => false,
            Some(Next::Handoff(event)) => {
                let event_task = event["detail"]["task"].as_str().expect("a task").to_owned();
                let handled = if event_task == "poll" {
                    self.dispatch().handle(event, &Invocation::default()).await
                } else {
                    AdvanceExecution { sender: self.sender() }.handle(event, &Invocation::default()).await
                };
                // What fails here is sent again by the sweep: EventBridge's own retries are not relied on.
                drop(handled);
                true
            }
            Some(Next::Completion(event)) => {
                let _ = self.dispatch().handle(event, &Invocation::default()).await;
                true
            }
            Some(Next::Driver(name)) => {
                self.drive(&name).await;
                true
            }
        }
    }

    async fn drive(&self, name: &str) {
        let (input, step, steps) = self.world.with(|state| {
            let driver = state.drivers.get_mut(name).expect("ready");
            (driver.input.clone(), driver.step, driver.steps)
        });
        self.world.with(|state| state.counts.states += 1);
        let event = json!({ "operation": step, "input": input, "task_token": format!("{name}/{steps}") });
        let handler = self.dispatch();
        let handled = if self.world.with(|state| state.weather.killed) > 0 {
            self.may_die(&handler, event).await
        } else {
            handler.handle(event, &Invocation::default()).await.is_ok()
        };
        self.world.with(|state| {
            let driver = state.drivers.get_mut(name).expect("ready");
            // A failed step is retried with a new token; one that returned waits to be woken.
            if handled { driver.waits = true } else { driver.steps += 1 }
        });
    }

    /// The handler, dying where the provider has started the work and nothing of it is stored: as if its process ended.
    async fn may_die(&self, handler: &DispatchAction, event: Value) -> bool {
        let dying = DispatchAction {
            sender: handler.sender.clone(),
            runner: Arc::new(Dying(self.world.clone())),
            state_machine_arn: MACHINE.into(),
        };
        let invocation = Invocation::default();
        let mut running = std::pin::pin!(dying.handle(event, &invocation));
        std::future::poll_fn(|context| match running.as_mut().poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(done.is_ok()),
            // Nothing in memory ever waits but a runner that died.
            std::task::Poll::Pending => std::task::Poll::Ready(false),
        })
        .await
    }

    /// Starts to count what is asked, functions' processes staying warm.
    pub fn count(&mut self) {
        let table = Arc::new(Counting { table: self.table.clone(), world: self.world.clone() });
        self.warm = Some(self.sender_over(table));
        self.world.with(|state| state.counts = Counts::default());
    }

    /// What was asked since.
    pub fn counts(&self) -> Counts {
        self.world.with(|state| state.counts)
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.world.with(|state| state.weather = Weather::default());
    }

    /// Whether the bus accepts hand-offs and delivers none.
    pub fn lose_handoffs(&self, lose: bool) {
        self.world.with(|state| state.lose_handoffs = lose);
    }

    /// Delivers all messages and steps all drivers; no time passes for those that wait.
    pub async fn deliver(&self) {
        while self.step().await {}
    }

    /// Delivers so many messages, or steps drivers; fewer if there are no more.
    pub async fn steps(&self, most: usize) {
        for _ in 0..most {
            if !self.step().await {
                return;
            }
        }
    }

    /// Everything that is stored and on its way, as another release finds it.
    pub fn freeze(&self) -> Value {
        let item = |(key, stored): (Key, Stored)| {
            let body = String::from_utf8(stored.body.to_vec()).expect("text");
            json!({ "pk": key.pk, "sk": key.sk, "revision": stored.revision, "body": body })
        };
        let items: Vec<Value> = self.table.items().into_iter().map(item).collect();
        self.world.with(|state| {
            let running = state.drivers.iter().filter(|(_, driver)| !driver.done);
            let drivers: Vec<Value> =
                running.map(|(name, driver)| json!({ "name": name, "input": driver.input })).collect();
            json!({ "items": items, "handoffs": state.handoffs, "completions": state.completions, "drivers": drivers })
        })
    }

    /// A cloud as it was frozen. Its drivers begin again, as they do when a call of theirs is repeated.
    pub async fn thawed(seed: u64, frozen: &Value) -> Self {
        let cloud = Self::new(seed, Weather::default());
        let text = |of: &Value| of.as_str().expect("text").to_owned();
        for item in frozen["items"].as_array().expect("items") {
            let key = Key { pk: text(&item["pk"]), sk: text(&item["sk"]) };
            let revision = item["revision"].as_u64().expect("a revision");
            let put = Write::Put { key, revision, body: text(&item["body"]).into(), condition: Condition::Always };
            let token = cloud.sender().control.event_seed().0.to_string();
            cloud.table.transact(&token, &[put]).await.expect("stored");
        }
        let list = |name: &str| frozen[name].as_array().cloned().expect("a list");
        cloud.world.with(|state| {
            state.handoffs = list("handoffs");
            state.completions = list("completions");
            for driver in list("drivers") {
                let input = driver["input"].clone();
                let fresh = Driver { input, step: "start", steps: 0, waits: false, done: false };
                state.drivers.insert(text(&driver["name"]), fresh);
            }
        });
        cloud
    }

    /// Takes the hand-offs that are on their way.
    pub fn take_handoffs(&self) -> Vec<Value> {
        self.world.with(|state| std::mem::take(&mut state.handoffs))
    }

    /// Delivers messages until a driver was started.
    pub async fn step_until_a_driver(&self) {
        while self.drivers_started() == 0 {
            assert!(self.step().await, "no driver was ever started");
        }
    }

    /// The keys of artifacts that expire, and how often any was marked.
    pub fn expiring(&self) -> (BTreeSet<String>, usize) {
        self.world.with(|state| (state.expiring.clone(), state.marks_made))
    }

    /// Every publication that was committed.
    pub fn committed(&self) -> Vec<PublicationRow> {
        self.world.with(|state| state.committed.clone())
    }

    pub fn public(&self) -> Vec<Value> {
        self.world.with(|state| state.public.clone())
    }

    /// How often the most often started work was started.
    pub fn most_starts(&self) -> u32 {
        self.world.with(|state| state.works.values().map(|work| work.starts).max().unwrap_or(0))
    }

    pub fn drivers_started(&self) -> u64 {
        self.world.with(|state| state.started)
    }

    /// Gives a table's stream of all rows to the relay, as a batch.
    pub async fn relay_everything(&self) -> Value {
        let records: Vec<Value> = self
            .table
            .items()
            .into_iter()
            .map(|(key, _)| {
                let keys = json!({ "pk": { "S": key.pk }, "sk": { "S": key.sk } });
                json!({ "eventName": "INSERT", "dynamodb": { "Keys": keys, "SequenceNumber": "1" } })
            })
            .collect();
        let relay = RelayOutbox { sender: self.sender() };
        relay.handle(json!({ "Records": records }), &Invocation::default()).await.expect("relayed")
    }
}

/// A runner whose process may end after it started the work.
struct Dying(World);

#[async_trait]
impl ActionRunner for Dying {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let reply = ActionRunner::start(&self.0, request).await;
        if self.0.with(|state| std::mem::take(&mut state.kill_next)) {
            std::future::pending::<()>().await;
        }
        reply
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        ActionRunner::poll(&self.0, request).await
    }

    async fn end(&self, _: &ActionKey) {}
}

/// The input of an action's driver, for tests that speak to the function themselves.
pub fn first_input(cloud: &Cloud) -> DriverInput {
    let input = cloud.world.with(|state| state.drivers.values().next().expect("a driver").input.clone());
    serde_json::from_value(input).expect("a driver's input")
}

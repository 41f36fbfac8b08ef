//! The single-process host: rows become decisions, claims become running actions, publications become events.
//!
//! Everything in the process happens in commit order as the table's observer tells it. Nothing leaves the process (a
//! program is started, an event published) before the table's `flush`; a source is only read.

mod functions;
mod inbox;
mod publisher;
mod recovery;
pub mod regions;
mod spread;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use control::keys::Place;
use control::ports::{ActionRunner, Table};
use control::sources::Detection;
pub use control::system::{SystemClock, SystemEntropy};
use control::{Control, Handoff, Ports};
use engine::ActionKey;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::artifacts::{Durability, LocalArtifacts};
use crate::config::LocalConfig;
use crate::host::regions::Regions;
use crate::process::{OutputLine, SupervisorCommand};
use crate::table::{Options, RedbTable, Statistics};
use crate::vault::{FileVault, KeySealer};

/// How many events and output lines a slow subscriber may lie behind before it misses some; each place is in memory from
/// the start.
const BACKLOG: usize = 4_096;

/// What a host is opened with.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The data directory; made if absent.
    pub data: PathBuf,
    /// Which stand-in serves which name.
    pub config: LocalConfig,
    /// The account, 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// The `source` of events.
    pub event_source: String,
    /// What supervises programs.
    pub supervisor: SupervisorCommand,
}

/// What a runner of actions is made from.
pub struct RunnerParts {
    /// The data directory.
    pub data: PathBuf,
    /// Which stand-in serves which name.
    pub config: LocalConfig,
    /// Where artifacts lie.
    pub artifacts: LocalArtifacts,
    /// What supervises programs.
    pub supervisor: SupervisorCommand,
    /// Where lines of output go.
    pub output: broadcast::Sender<OutputLine>,
}

/// A published event.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its place in the event log: greater than that of every event before.
    pub sequence: u64,
    /// EventBridge's envelope.
    pub envelope: Arc<Value>,
}

/// The control plane in one process.
pub struct Host {
    control: Arc<Control>,
    regions: Arc<Regions>,
    table: Arc<RedbTable>,
    artifacts: LocalArtifacts,
    events: broadcast::Sender<Published>,
    output: broadcast::Sender<OutputLine>,
    data: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Ends drivers; rows are seen by the table's observer.
struct EndDrivers {
    runner: Arc<dyn ActionRunner>,
    tasks: TaskTracker,
}

impl Handoff for EndDrivers {
    fn committed(&self, _: &[control::rows::WorkRow], _: &[control::rows::PublicationRow]) {}

    fn end_driver(&self, key: &ActionKey, _: Option<&engine::ActionExecution>) {
        let (runner, key) = (self.runner.clone(), key.clone());
        self.tasks.spawn(async move { runner.end(&key).await });
    }
}

/// Makes a directory that only its owner may look into.
fn make_private(directory: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| format!("the data directory {} cannot be made", directory.display()))
}

impl Host {
    /// Opens the data directory, ends what a killed process left running, and takes up where it was, with the local
    /// stand-ins.
    pub async fn open(options: HostOptions) -> anyhow::Result<Self> {
        Self::open_with(options, |parts| Arc::new(crate::runner::LocalRunner::new(parts))).await
    }

    /// Opens the data directory, ends what a killed process left running, and takes up where it was. Actions are run by
    /// what `runner` makes.
    pub async fn open_with(
        mut options: HostOptions,
        runner: impl FnOnce(RunnerParts) -> Arc<dyn ActionRunner>,
    ) -> anyhow::Result<Self> {
        make_private(&options.data)?;
        // Programs run in directories of their own: what they are told must not depend on ours.
        options.data = options.data.canonicalize()?;
        let place = Place { account: options.account.clone(), region: options.region.clone() };
        let (sender, inbox) = inbox::channel(place.clone());
        let table =
            RedbTable::open(&options.data, Options { observer: Some(sender.observer()), ..Options::default() })?;
        let table = Arc::new(table);
        crate::process::recover(&options.data);
        if let Err(error) = spread::spread(&options.data) {
            tracing::debug!(%error, "the data directory's files lie where the file system puts them");
        }
        let (events, _) = broadcast::channel(BACKLOG);
        let (output, _) = broadcast::channel(BACKLOG);
        let artifacts = LocalArtifacts::open(options.data.join("artifacts"), Durability::Synced)?;
        let runner = runner(RunnerParts {
            data: options.data.clone(),
            config: options.config.clone(),
            artifacts: artifacts.clone(),
            supervisor: options.supervisor.clone(),
            output: output.clone(),
        });
        let tasks = TaskTracker::new();
        let vault = FileVault::new(options.data.join("secrets"));
        let ports = Ports {
            table: table.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            handoff: Arc::new(EndDrivers { runner: runner.clone(), tasks: tasks.clone() }),
            sealer: Some(Arc::new(KeySealer::new(vault.clone()))),
        };
        let detection = Arc::new(Detection { vault: Some(Arc::new(vault)), ..Detection::default() });
        let regions = Arc::new(Regions::new(ports, options.account.clone(), detection));
        let control = regions.control(&options.region);
        let (data, stop) = (options.data, CancellationToken::new());
        let host = Self { control, regions, table, artifacts, events, output, data, stop, tasks };
        host.start(runner, inbox, &options.event_source).await?;
        Ok(host)
    }

    async fn start(
        &self,
        runner: Arc<dyn ActionRunner>,
        inbox: inbox::Inbox,
        event_source: &str,
    ) -> anyhow::Result<()> {
        let left = recovery::scan(&self.table, self.control.place()).await?;
        let log = publisher::EventLog::open(&self.data.join("events.jsonl"))?;
        let publisher = publisher::Publisher {
            control: self.control.clone(),
            source: event_source.to_owned(),
            log,
            events: self.events.clone(),
        };
        let worker = worker::Worker {
            regions: self.regions.clone(),
            control: self.control.clone(),
            runner,
            tasks: self.tasks.clone(),
            calls: functions::Calls::default(),
            stop: self.stop.clone(),
        };
        worker.take_up(&left).await?;
        let (publications, rows) = inbox.split();
        self.tasks.spawn(publisher.run(left.publications, publications, self.stop.clone()));
        self.tasks.spawn(worker.run(left.rows, rows));
        Ok(())
    }

    /// The use cases.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The use cases in a region that a request names; none when it is no region's name.
    pub fn in_region(&self, region: &str) -> Option<Arc<Control>> {
        self.regions.named(region)
    }

    /// The control planes, for who outlives a borrow of the host.
    pub fn regions(&self) -> Arc<Regions> {
        self.regions.clone()
    }

    /// The data directory.
    pub fn data(&self) -> &PathBuf {
        &self.data
    }

    /// Every event from now on, in commit order.
    pub fn events(&self) -> broadcast::Receiver<Published> {
        self.events.subscribe()
    }

    /// Where events are sent: to subscribe for longer than a borrow of the host.
    pub fn publisher(&self) -> broadcast::Sender<Published> {
        self.events.clone()
    }

    /// Every line of output from now on.
    pub fn output(&self) -> broadcast::Receiver<OutputLine> {
        self.output.subscribe()
    }

    /// Stops taking up work, ends running programs, and closes the data directory. What was running is taken up (or
    /// reported as interrupted) by the next host.
    pub async fn close(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.table.flush().await?;
        self.table.close().await?;
        let Statistics { transactions, journal_syncs, checkpoints } = self.table.statistics();
        let artifact_syncs = self.artifacts.syncs();
        tracing::info!(transactions, journal_syncs, checkpoints, artifact_syncs, "closed");
        Ok(())
    }
}

//! Pending approvals of a run: approved as the command line says, or shown with a signed link that works while they are
//! pending.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use api::approval::{Approvals, ControlDesk, KeyFile, Link};
use api::regions::OneRegion;
use bytes::Bytes;
use control::Control;
use control::rows::PipelineRef;
use engine::{ActionExecution, ApprovalDecision, Slot};
use model::{ActionExecutionId, ActionStatus};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::ActionPath;

/// How long a link holds whose approval has no deadline, in minutes: CodePipeline's limit for approvals.
const LINK_MINUTES: u32 = 7 * 24 * 60;

/// What became of a pending approval.
pub enum Attended {
    /// It was approved without asking.
    Approved(ActionPath),
    /// Somebody must open this link.
    Link(ActionPath, String),
}

/// Attends to each approval of a run once.
pub struct Attendant {
    control: Arc<Control>,
    pipeline: PipelineRef,
    approve: Vec<ActionPath>,
    seen: HashSet<ActionExecutionId>,
    pages: Option<Pages>,
}

/// The approval pages, on loopback.
struct Pages {
    approvals: Arc<Approvals>,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Attendant {
    /// For the approvals of a pipeline.
    pub fn new(control: Arc<Control>, pipeline: PipelineRef, approve: Vec<ActionPath>) -> Self {
        Self { control, pipeline, approve, seen: HashSet::new(), pages: None }
    }

    /// Attends to what became pending among these actions.
    ///
    /// # Errors
    /// An approval cannot be decided, or the pages cannot be served.
    pub async fn attend(&mut self, actions: &[ActionExecution], data: &Path) -> anyhow::Result<Vec<Attended>> {
        let mut attended = Vec::new();
        for action in actions {
            let Some(approval) = action.approval.as_ref().filter(|_| action.status == ActionStatus::InProgress) else {
                continue;
            };
            if !self.seen.insert(action.id) {
                continue;
            }
            let path = ActionPath { stage: action.key.stage.to_string(), action: action.key.name.to_string() };
            if self.approve.contains(&path) {
                self.approve(action, &approval.token).await?;
                attended.push(Attended::Approved(path));
            } else {
                let url = self.link(action, &approval.token, data).await?;
                attended.push(Attended::Link(path, url));
            }
        }
        Ok(attended)
    }

    async fn approve(&self, action: &ActionExecution, token: &str) -> anyhow::Result<()> {
        let decision = ApprovalDecision {
            approved: true,
            summary: "approved by --approve".into(),
            by: super::follow::principal(&self.control),
            via: None,
            at: self.control.now(),
        };
        self.control.decide_approval(&self.pipeline, &action.key, token, decision).await?;
        Ok(())
    }

    async fn link(&mut self, action: &ActionExecution, token: &str, data: &Path) -> anyhow::Result<String> {
        let Slot::RunOrder(run_order) = action.key.slot else { anyhow::bail!("a rule cannot wait for an approval") };
        let region = self.control.place().region.clone();
        let (control, now) = (self.control.clone(), self.control.now());
        let pages = match &mut self.pages {
            Some(pages) => pages,
            none => none.insert(Pages::open(&control, data).await?),
        };
        let link = Link {
            id: uuid::Uuid::new_v4(),
            recipient: crate::environment::user(),
            region,
            pipeline_id: self.pipeline.id,
            execution: action.key.execution,
            stage: action.key.stage.clone(),
            action: action.key.name.clone(),
            run_order,
            attempt: action.key.attempt,
            action_execution_id: action.id,
            token: token.into(),
            expires: action.deadline.unwrap_or(now.plus_minutes(LINK_MINUTES)),
            key_id: pages.approvals.key_id().into(),
        };
        let signed = pages.approvals.sign(&link).await.context("the approval's link cannot be signed")?;
        Ok(format!("http://{}/approve/{signed}", pages.address))
    }
}

impl Pages {
    async fn open(control: &Arc<Control>, data: &Path) -> anyhow::Result<Self> {
        let keys = Arc::new(KeyFile::load_or_make(&data.join("approval-keys"))?);
        let desk = Arc::new(ControlDesk(Arc::new(OneRegion((**control).clone()))));
        let approvals = Arc::new(Approvals::new(desk, keys));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let (served, clock, until) = (approvals.clone(), control.clone(), shutdown.clone());
        let answer = move |request: http::Request<Bytes>, peer: SocketAddr| {
            let (approvals, clock) = (served.clone(), clock.clone());
            async move {
                let (parts, body) = request.into_parts();
                let token = parts.uri.path().strip_prefix("/approve/").unwrap_or_default().to_owned();
                approvals.serve(&parts, &token, &body, peer.ip(), clock.now()).await
            }
        };
        tokio::spawn(async move {
            local::http::serve(listener, local::http::Limits::default(), answer, until.cancelled_owned()).await;
        });
        Ok(Self { approvals, address, shutdown })
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

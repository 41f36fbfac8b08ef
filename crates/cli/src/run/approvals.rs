//! Pending approvals of a run: approved as the command line says, or shown with a signed link that works while they are
//! pending.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use api::extensions::link_to;
use api::guard::Guard;
use api::hosts::Hosts;
use api::regions::OneRegion;
use control::Control;
use control::rows::PipelineRef;
use engine::{ActionExecution, ApprovalDecision};
use model::{ActionExecutionId, ActionStatus};
use tokio::net::TcpListener;

use crate::args::ActionPath;
use crate::environment;
use crate::server::{Nobody, Parts, Server};

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
    data: PathBuf,
    approve: Vec<ActionPath>,
    seen: HashSet<ActionExecutionId>,
    /// The approval pages, once there is something to approve.
    server: Option<Server>,
}

impl Attendant {
    /// For the approvals of a pipeline.
    pub fn new(control: Arc<Control>, pipeline: PipelineRef, data: PathBuf, approve: Vec<ActionPath>) -> Self {
        Self { control, pipeline, data, approve, seen: HashSet::new(), server: None }
    }

    /// Attends to what became pending among these actions.
    ///
    /// # Errors
    /// An approval cannot be decided, or the pages cannot be served.
    pub async fn attend(&mut self, actions: &[ActionExecution]) -> anyhow::Result<Vec<Attended>> {
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
                attended.push(Attended::Link(path, self.link(action).await?));
            }
        }
        Ok(attended)
    }

    /// Ends the pages: answers in progress are finished first, whoever decided sees that it counted.
    pub async fn close(self) {
        if let Some(server) = self.server {
            server.close().await;
        }
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

    async fn link(&mut self, action: &ActionExecution) -> anyhow::Result<String> {
        let server = match &self.server {
            Some(server) => server,
            None => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let parts = Parts {
                    data: self.data.clone(),
                    listener: listener.context("the approval pages cannot be served on loopback")?,
                    regions: Arc::new(OneRegion((*self.control).clone())),
                    credentials: Arc::new(Nobody),
                    events: None,
                    hosts: Hosts::loopback(),
                    stand_ins: None,
                    guard: Guard::default(),
                };
                self.server.insert(Server::open(parts)?)
            }
        };
        let (region, now) = (&self.control.place().region, self.control.now());
        let made = link_to(server.api(), region, &self.pipeline, action, environment::user(), now).await;
        let (url, _) = made.map_err(|error| anyhow::anyhow!("the approval has no link: {}", error.message))?;
        Ok(url)
    }
}

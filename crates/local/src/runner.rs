//! Runs actions and rules: each provider by what stands in for it.

mod running;
mod standin;
mod unsupported;

use std::sync::Arc;

use async_trait::async_trait;
use control::ports::{ActionReply, ActionRequest, ActionRunner};
use engine::{ActionKey, Outcome, Started};
use model::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::commands::context::now_millis;
use crate::commands::{Ctx, run_commands};
use crate::host::RunnerParts;
use crate::process::LogSink;
use crate::sources::Sources;
use crate::{buildspec, deploy, invoke, rules};
use running::Running;
use standin::StandIn;
pub use unsupported::{Unsupported, unsupported};

/// How many programs run at a time unless `[limits] programs` says otherwise: all actions of the largest stage (50), and
/// on large machines a few for each processor.
fn usual_programs() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (4 * processors).max(64)
}

/// Runs actions on this machine.
pub struct LocalRunner {
    ctx: Ctx,
    sources: Sources,
    running: Running,
    programs: Semaphore,
    most: usize,
}

impl LocalRunner {
    /// With what its host gives it.
    pub fn new(parts: RunnerParts) -> Self {
        let mut ctx = Ctx::new(parts.data, parts.artifacts, Arc::new(parts.config));
        ctx.supervisor = parts.supervisor;
        ctx.supervisor.prepare();
        ctx.output = Some(parts.output);
        Self::with(ctx)
    }

    /// With a context of one's own.
    pub fn with(ctx: Ctx) -> Self {
        let most = ctx.config.programs.unwrap_or_else(usual_programs);
        let sources = Sources::new(&ctx.data, ctx.artifacts.clone());
        Self { ctx, sources, running: Running::default(), programs: Semaphore::new(most), most }
    }

    async fn run(&self, standin: StandIn, request: &ActionRequest, stop: &CancellationToken) -> ActionReply {
        let outcome = match standin {
            StandIn::Commands | StandIn::CodeBuild | StandIn::Invoke => self.run_program(standin, request, stop).await,
            StandIn::Source | StandIn::Deploy | StandIn::VariableCheck | StandIn::DeploymentWindow => {
                let sink = match self.ctx.log_sink(request, &[]) {
                    Ok(sink) => Arc::new(sink),
                    Err(fault) => return ActionReply::Ended(Box::new(fault.into())),
                };
                match standin {
                    StandIn::DeploymentWindow => return rules::await_window(request, Timestamp(now_millis()), &sink),
                    StandIn::VariableCheck => rules::check_variable(request, &sink),
                    StandIn::Source => self.bring_source(request, &sink, stop).await,
                    _ => deploy::deploy_to_bucket(&self.ctx, request, &sink).await,
                }
            }
            StandIn::Approval => return waiting(),
        };
        ActionReply::Ended(Box::new(outcome))
    }

    async fn bring_source(&self, request: &ActionRequest, sink: &Arc<LogSink>, stop: &CancellationToken) -> Outcome {
        tokio::select! {
            outcome = self.sources.run(request, &self.ctx.config, sink) => outcome,
            // Dropping the other ends its git.
            () = stop.cancelled() => Outcome::failed("Stopped", "the source action was stopped"),
        }
    }

    async fn run_program(&self, standin: StandIn, request: &ActionRequest, stop: &CancellationToken) -> Outcome {
        let place = match self.programs.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => {
                self.say_that_it_waits(request);
                tokio::select! {
                    place = self.programs.acquire() => place.ok(),
                    () = stop.cancelled() => None,
                }
            }
        };
        let Some(_place) = place else { return Outcome::failed("Stopped", "the action was stopped before it began") };
        match standin {
            StandIn::CodeBuild => buildspec::run_codebuild(&self.ctx, request, stop).await,
            StandIn::Invoke => invoke::run_invoke(&self.ctx, request, stop).await,
            _ => run_commands(&self.ctx, request, stop).await,
        }
    }

    fn say_that_it_waits(&self, request: &ActionRequest) {
        // If its log cannot be opened, the action itself will say so.
        if let Ok(sink) = self.ctx.log_sink(request, &[]) {
            sink.remark(&format!("waiting: {} programs run already ([limits] programs)", self.most));
        }
    }
}

/// For an action that ends by somebody's report.
fn waiting() -> ActionReply {
    ActionReply::Pending { started: Started::default(), poll_at: None }
}

#[async_trait]
impl ActionRunner for LocalRunner {
    async fn start(&self, request: ActionRequest) -> ActionReply {
        let standin = match StandIn::of(&request.declaration.action_type_id) {
            Ok(standin) => standin,
            Err(none) => {
                let config = &self.ctx.config;
                let message = none.message(config, &request.declaration.name);
                return ActionReply::Ended(Box::new(Outcome::failed("ConfigurationError", message)));
            }
        };
        let entered = self.running.enter(&request.action.key);
        self.run(standin, &request, entered.stop()).await
    }

    async fn poll(&self, request: ActionRequest) -> ActionReply {
        match StandIn::of(&request.declaration.action_type_id) {
            Ok(StandIn::DeploymentWindow) => self.start(request).await,
            Ok(StandIn::Invoke) if request.continuation_token.is_some() => self.start(request).await,
            // The others never ask to be polled; a row that says otherwise is of no use.
            Ok(_) | Err(_) => waiting(),
        }
    }

    async fn end(&self, key: &ActionKey) {
        self.running.end(key);
    }
}

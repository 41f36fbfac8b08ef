//! What providers need of the control plane: links, pipelines to start, jobs, connections.

use std::sync::Arc;

use actions::files::ProviderFiles;
use actions::heads::{ConnectionsByArn, ProviderHeads};
use actions::ports::{
    ApprovalLink, ApprovalLinks, Connection, ConnectionTokens, GitHost, JobNews, Jobs, PipelineStart, PipelineStarter,
    Secret, StartError,
};
use actions::roles::{RoleError, Roles, StsRoles, artifact_credentials};
use actions::runner::{ProviderParts, ProviderRunner};
use actions::web::Web;
use api::ApiError;
use api::approval::link::{self, Link, LinkKeys};
use api::means::{ArtifactCredentials, SessionCredentials};
use async_trait::async_trait;
use aws::KmsLinkKeys;
use aws_config::SdkConfig;
use control::connections::Provider;
use control::jobs::JobError;
use control::ports::{ActionRequest, PortError};
use control::rows::PipelineRef;
use control::system::SystemClock;
use control::{Control, ControlError};
use engine::{Refusal, SourceOverride, Start, TriggerDetail};
use model::{ExecutionId, ExecutionStatus, Timestamp, TriggerType};

use crate::environment::{Environment, names};
use crate::patience::{FILES, LOOK, Limited};
use crate::policies::StackPolicies;

/// The providers of a stack.
pub fn runner(environment: &Environment, config: &SdkConfig, control: &Control) -> ProviderRunner {
    let clock = Arc::new(SystemClock);
    let keys = KmsLinkKeys::from_config(config, environment.get(names::LINK_KEYS));
    let own = Arc::new(Own(control.clone()));
    ProviderRunner::new(ProviderParts {
        roles: Arc::new(roles(environment, config)),
        clock,
        connections: own.clone(),
        approvals: Arc::new(Links {
            keys: Arc::new(keys),
            base: environment.get(names::APPROVAL_URL).into(),
            policies: StackPolicies::from_environment(environment, config),
            control: control.clone(),
        }),
        pipelines: own.clone(),
        jobs: own,
        web: Web::new(),
    })
}

/// Roles by STS, assumed from the stack's service role.
pub fn roles(environment: &Environment, config: &SdkConfig) -> StsRoles {
    let service_role = environment.find(names::SERVICE_ROLE).map(str::to_owned);
    StsRoles::new(config.clone(), service_role, Arc::new(SystemClock))
}

/// The heads of sources.
pub fn heads(environment: &Environment, config: &SdkConfig, control: &Control) -> Limited<ProviderHeads> {
    let heads = ProviderHeads {
        roles: Arc::new(roles(environment, config)),
        connections: Arc::new(Own(control.clone())),
        web: Web::new(),
        account: control.place().account.clone(),
        region: control.place().region.clone(),
    };
    Limited(heads, LOOK)
}

/// The same control plane, which asks git hosts for the changed files that their events do not say.
pub fn with_files(control: Control) -> Control {
    let connections = Arc::new(Own(control.clone()));
    control.with_files(Arc::new(Limited(ProviderFiles { connections, web: Web::new() }, FILES)))
}

/// Signed links to approvals.
pub struct Links {
    /// What signs them.
    pub keys: Arc<dyn LinkKeys>,
    /// What they begin with.
    pub base: String,
    /// Who may approve: where that is restricted there are no links.
    pub policies: StackPolicies,
    /// Where the executions are, whose starter may be the one who must not approve.
    pub control: Control,
}

/// Credentials for job workers, by STS.
pub struct JobCredentials(pub Arc<dyn Roles>);

#[async_trait]
impl ArtifactCredentials for JobCredentials {
    async fn mint(&self, request: &ActionRequest) -> Result<Option<SessionCredentials>, ApiError> {
        let minted = artifact_credentials(&*self.0, request).await.map_err(|error| match error {
            RoleError::Unavailable(why) => {
                tracing::error!(why, "no credentials for a job's artifacts");
                ApiError::internal()
            }
            RoleError::Denied { .. } | RoleError::Invalid(_) => ApiError::invalid(error.to_string()),
        })?;
        Ok(Some(SessionCredentials {
            access_key_id: minted.access_key_id().to_owned(),
            secret_access_key: api::secret::Secret::new(minted.secret_access_key()),
            session_token: api::secret::Secret::new(minted.session_token().unwrap_or_default()),
        }))
    }
}

#[async_trait]
impl ApprovalLinks for Links {
    async fn link(&self, request: &ActionRequest, recipient: &str) -> Result<ApprovalLink, PortError> {
        let action = &request.action;
        let pipeline = PipelineRef { id: request.pipeline_id, name: request.pipeline.clone() };
        let unavailable = |error: &dyn std::fmt::Display| PortError::Unavailable(error.to_string());
        let policies = self.policies.current().await.map_err(|error| unavailable(&error))?;
        let is_free = policies.permit_link(&self.control, &pipeline, action).await;
        if !is_free.map_err(|error| unavailable(&error.message))? {
            return Ok(ApprovalLink { review: None, console: None });
        }
        let recipient = recipient.chars().take(link::MAX_RECIPIENT_BYTES / 4).collect();
        let (region, since, key) = (&request.region, action.started_at, self.keys.current());
        let link = Link::to(action, request.pipeline_id, region, recipient, since, key);
        let no_approval = || PortError::Invalid("a link was asked for an action that is no approval".into());
        let link = link.ok_or_else(no_approval)?;
        let token = link::sign(&*self.keys, &link).await;
        let token = token.ok_or_else(|| PortError::Unavailable("the key of approval links".into()))?;
        Ok(ApprovalLink { review: Some(format!("{}/approve/{token}", self.base.trim_end_matches('/'))), console: None })
    }
}

/// The control plane that the providers belong to.
struct Own(Control);

fn port(error: ControlError) -> PortError {
    match error {
        ControlError::Port(error) => error,
        ControlError::Busy => PortError::Conflict,
        ControlError::Refused(refusal) => PortError::Invalid(format!("refused: {refusal:?}")),
    }
}

fn job_port(error: JobError) -> PortError {
    match error {
        JobError::Control(error) => port(error),
        other => PortError::Invalid(other.to_string()),
    }
}

#[async_trait]
impl ConnectionTokens for Own {
    async fn connection(&self, _: &ActionRequest, arn: &str) -> Result<Option<Connection>, PortError> {
        self.by_arn(arn).await
    }
}

#[async_trait]
impl ConnectionsByArn for Own {
    async fn by_arn(&self, arn: &str) -> Result<Option<Connection>, PortError> {
        let Some(known) = self.0.connection_by_arn(arn).await.map_err(port)? else { return Ok(None) };
        let token = self.0.connection_token(&known).await.map_err(port)?;
        let kind = match known.provider {
            Provider::GitHub | Provider::GitHubEnterpriseServer => GitHost::GitHub,
            Provider::GitLab | Provider::GitLabSelfManaged => GitHost::GitLab,
            Provider::Bitbucket => GitHost::Bitbucket,
        };
        let (host, app_id, token) = (known.host, known.app_id, token.map(Secret::new));
        Ok(Some(Connection { kind, host, base_url: None, app_id, token }))
    }
}

#[async_trait]
impl PipelineStarter for Own {
    async fn start(&self, request: &ActionRequest, start: PipelineStart) -> Result<ExecutionId, StartError> {
        let place = self.0.place();
        let by = format!("arn:aws:codepipeline:{}:{}:{}", place.region, place.account, request.pipeline);
        let overrides = start.source_revisions.into_iter();
        let command = Start {
            trigger: TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: by },
            origin: None,
            variables: start.variables,
            overrides: overrides
                .map(|(action, kind, value)| SourceOverride { action: action.into(), kind, value })
                .collect(),
        };
        match self.0.start_pipeline_execution(&start.pipeline.as_str().into(), command, Some(&start.token)).await {
            Ok(id) => Ok(id),
            Err(ControlError::Refused(refusal)) => Err(refused(&start.pipeline, &refusal)),
            Err(error) => Err(StartError::Port(port(error))),
        }
    }

    async fn status(
        &self,
        _: &ActionRequest,
        pipeline: &str,
        execution: ExecutionId,
    ) -> Result<Option<ExecutionStatus>, PortError> {
        let known = match self.0.pipeline_ref(&pipeline.into()).await {
            Ok(known) => known,
            Err(ControlError::Refused(Refusal::PipelineNotFound)) => return Ok(None),
            Err(error) => return Err(port(error)),
        };
        let found = self.0.execution(known.id, execution).await.map_err(port)?;
        Ok(found.map(|found| found.status))
    }
}

fn refused(pipeline: &str, refusal: &Refusal) -> StartError {
    let error = api::ApiError::from(ControlError::Refused(refusal.clone()));
    StartError::Refused { code: error.code.into(), message: format!("{pipeline}: {}", error.message) }
}

#[async_trait]
impl Jobs for Own {
    async fn news(&self, _: &ActionRequest, job: &str) -> Result<JobNews, PortError> {
        let news = self.0.function_job(job).await.map_err(job_port)?;
        let heard_at: Option<Timestamp> = news.as_ref().map(|(heard_at, _)| *heard_at);
        Ok(JobNews { heard_at, continuation_token: news.and_then(|(_, token)| token) })
    }

    async fn take_continuation(&self, _: &ActionRequest, job: &str) -> Result<bool, PortError> {
        self.0.take_continuation(job).await.map_err(job_port)
    }
}

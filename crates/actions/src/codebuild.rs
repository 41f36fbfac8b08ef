//! CodeBuild actions and rules: a build, or a batch of them, from the action's artifacts.

mod call;
mod news;

use async_trait::async_trait;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::SortOrderType;
use control::ports::{ActionReply, ActionRequest};
use engine::Started;

use crate::clone_ref;
use crate::configuration::{Settings, arn, console, region};
use crate::fault::{Access, Fault};
use crate::objects::Objects;
use crate::polling;
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};
use call::{BuildCall, MARK};
use news::News;

/// How many pages of a project's builds are looked through for one that was started.
const PAGES: usize = 10;

/// How long CodeBuild surely knows a token.
const TOKEN_MINUTES: u32 = 4;

/// CodeBuild actions and rules.
pub(crate) struct CodeBuild;

#[async_trait]
impl Provider for CodeBuild {
    /// CodeBuild forgets idempotency tokens after five minutes. A start bears one, and a restarted driver looks through the
    /// project's builds for the one whose environment names the action execution.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Lookup
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let config = parts.roles.config(&Session::of(request)).await?;
        let clones = clone_ref::of_inputs(&Objects::new(&config, &request.role_arn), request).await?;
        let call = BuildCall::of(request, &clones)?;
        let client = Client::new(&config);
        let news = if call.batch {
            let verb = access(request, "codebuild:StartBuildBatch")?;
            let begun = call.start_batch(&client).await.map_err(|error| verb.fault(&error))?;
            begun.build_batch().map(News::of_batch)
        } else {
            let verb = access(request, "codebuild:StartBuild")?;
            let begun = call.start_build(&client).await.map_err(|error| verb.fault(&error))?;
            begun.build_value().map(News::of_build)
        };
        let news = news.ok_or_else(|| Fault::Unknown("CodeBuild told nothing of the build".into()))?;
        Ok(pending(parts, request, &news))
    }

    async fn find(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<Option<ActionReply>, Fault> {
        if parts.clock.now() < polling::began(&request.action).plus_minutes(TOKEN_MINUTES) {
            // The token finds it; the list of builds may not name it yet.
            return Ok(None);
        }
        let config = parts.roles.config(&Session::of(request)).await?;
        let client = Client::new(&config);
        let mut next_page = None;
        for _ in 0..PAGES {
            let (ids, more) = page(&client, request, next_page).await?;
            if ids.is_empty() {
                return Ok(None);
            }
            let builds = look(&client, request, ids).await?;
            if let Some(found) = builds.iter().find(|build| build.is_of(request)) {
                return Ok(Some(pending(parts, request, found)));
            }
            // They come newest first.
            let older = |build: &News| build.started.is_some_and(|at| at < request.action.started_at);
            if builds.iter().any(older) || more.is_none() {
                return Ok(None);
            }
            next_page = more;
        }
        // Too many to look through: better no build than two.
        Err(Fault::Ends {
            code: crate::fault::code::UNKNOWN_START,
            message: format!("among the newest builds of the project none names {MARK}, but there are more"),
        })
    }

    async fn poll(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let id = request.external_id.clone().unwrap_or_default();
        let config = parts.roles.config(&Session::of(request)).await?;
        let found = look(&Client::new(&config), request, vec![id.clone()]).await?;
        let Some(news) = found.first() else {
            let message = format!("CodeBuild knows no build {id}");
            let young = polling::may_turn_up(&request.action, parts.clock.now());
            return Err(if young { Fault::Later(message) } else { Fault::job(message) });
        };
        match news.judge(request)? {
            Some(outcome) => Ok(ended(outcome)),
            None => Ok(pending(parts, request, news)),
        }
    }
}

fn access(request: &ActionRequest, verb: &'static str) -> Result<Access, Fault> {
    let project = Settings(request).required("ProjectName")?;
    Ok(Access::new(&request.role_arn, verb, arn(request, "codebuild", &format!("project/{project}"))))
}

/// A page of the project's builds, newest first, and what leads to the next.
async fn page(
    client: &Client,
    request: &ActionRequest,
    next: Option<String>,
) -> Result<(Vec<String>, Option<String>), Fault> {
    let project = Settings(request).required("ProjectName")?;
    if call::is_batch(request)? {
        let verb = access(request, "codebuild:ListBuildBatchesForProject")?;
        let list = client.list_build_batches_for_project().project_name(project).sort_order(SortOrderType::Descending);
        let page = list.set_next_token(next).send().await.map_err(|error| verb.fault(&error))?;
        Ok((page.ids().to_vec(), page.next_token().map(Into::into)))
    } else {
        let verb = access(request, "codebuild:ListBuildsForProject")?;
        let list = client.list_builds_for_project().project_name(project).sort_order(SortOrderType::Descending);
        let page = list.set_next_token(next).send().await.map_err(|error| verb.fault(&error))?;
        Ok((page.ids().to_vec(), page.next_token().map(Into::into)))
    }
}

async fn look(client: &Client, request: &ActionRequest, ids: Vec<String>) -> Result<Vec<News>, Fault> {
    if call::is_batch(request)? {
        let verb = access(request, "codebuild:BatchGetBuildBatches")?;
        let found = client.batch_get_build_batches().set_ids(Some(ids)).send().await;
        let found = found.map_err(|error| verb.fault(&error))?;
        Ok(found.build_batches().iter().map(News::of_batch).collect())
    } else {
        let verb = access(request, "codebuild:BatchGetBuilds")?;
        let found = client.batch_get_builds().set_ids(Some(ids)).send().await.map_err(|error| verb.fault(&error))?;
        Ok(found.builds().iter().map(News::of_build).collect())
    }
}

fn pending(parts: &ProviderParts, request: &ActionRequest, news: &News) -> ActionReply {
    let project = news.id.split(':').next().unwrap_or_default();
    let kind = if news.is_batch { "batch" } else { "build" };
    let page = format!(
        "codesuite/codebuild/{}/projects/{project}/{kind}/{}/?region={}",
        request.account,
        news.id,
        region(request)
    );
    let started = Started {
        external_id: Some(news.id.clone()),
        external_url: Some(news.log_url.clone().unwrap_or_else(|| console(region(request), &page))),
        summary: news.phase.as_ref().map(|phase| format!("{kind} {}: {phase}", news.id)),
        ..Started::default()
    };
    let poll_at = Some(polling::next(polling::began(&request.action), parts.clock.now()));
    ActionReply::Pending { started, poll_at }
}

#[cfg(test)]
mod tests;

//! What comes before an execution is started: the past is put away, the pipeline is declared.

use std::time::Duration;

use control::{Control, ControlError};
use engine::{Refusal, Stop};
use model::action_types::{MASK, is_secret_key};
use model::{ExecutionId, Pipeline, PipelineName};

use crate::exit::Unusable;

/// How long what an interrupted run left is waited for.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(20);

/// Ends what an interrupted run left: two executions at once would wait for each other's stages.
///
/// # Errors
/// It does not end, or the table fails.
pub async fn end_leftovers(control: &Control) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    loop {
        let mut live = 0;
        let (pipelines, _) = control.list_pipelines(None, 1000).await?;
        for pipeline in pipelines {
            live += end_executions(control, &pipeline.name).await?;
        }
        if live == 0 {
            return Ok(());
        }
        if started.elapsed() > LEFTOVER_PATIENCE {
            anyhow::bail!(
                "an execution that an earlier run left does not end; remove the data directory to start afresh"
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn end_executions(control: &Control, name: &PipelineName) -> anyhow::Result<usize> {
    let (executions, _) = control.list_pipeline_executions(name, None, 100, None).await?;
    let live: Vec<ExecutionId> =
        executions.iter().filter(|execution| !execution.status.is_terminal()).map(|execution| execution.id).collect();
    for id in &live {
        let reason = Some("its penstock run was interrupted".to_owned());
        match control.stop_pipeline_execution(name, Stop { execution: *id, abandon: true, reason }).await {
            Ok(()) | Err(ControlError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(live.len())
}

/// Creates the pipeline, or updates it where the file says something else than an earlier run's.
///
/// # Errors
/// It is refused, or the table fails.
pub async fn declare(control: &Control, pipeline: &Pipeline) -> anyhow::Result<()> {
    let plain = |pipeline: &Pipeline| Pipeline { version: None, ..pipeline.clone() };
    match control.get_pipeline(&pipeline.name, None).await {
        Ok(Some(stored)) if plain(&stored.declaration) == plain(pipeline) => {}
        Ok(_) => {
            control.update_pipeline(with_secrets(plain(pipeline))).await.map_err(refused)?;
        }
        Err(ControlError::Refused(Refusal::PipelineNotFound)) => {
            control.create_pipeline(with_secrets(plain(pipeline))).await.map_err(refused)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What stands for a secret that the file does not tell.
const UNTOLD: &str = "not told";

/// Declarations that were got from an API show `****` for their secrets, as GitHub's token. Nothing on this machine uses
/// them.
fn with_secrets(mut pipeline: Pipeline) -> Pipeline {
    for action in pipeline.stages.iter_mut().flat_map(|stage| &mut stage.actions) {
        for (key, value) in &mut action.configuration {
            if value == MASK && is_secret_key(&action.action_type_id, key) {
                *value = UNTOLD.into();
            }
        }
    }
    pipeline
}

/// A refusal before anything runs is a fault of the input.
pub fn refused(error: ControlError) -> anyhow::Error {
    match error {
        ControlError::Refused(Refusal::Invalid(message)) => Unusable::new(message).into(),
        other => other.into(),
    }
}

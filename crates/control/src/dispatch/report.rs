//! What becomes of a started action: news from its provider, and its end.

use engine::{ActionKey, ActionReport, Outcome, What};
use model::{StringMap, Timestamp};

use crate::control::{Applied, Control, ControlError};
use crate::jobs::{MAX_VARIABLES_BYTES, variables_bytes};
use crate::keys;
use crate::ports::{ActionReply, Condition, Key, PortError, Write};
use crate::rows::{ActionRef, PipelineRef, Task, WorkRow};
use crate::stored::{decode, encode};

/// The longest message of an error that is kept.
const MAX_MESSAGE_CHARACTERS: usize = 8_000;

impl Control {
    /// Reports what a provider said of an action.
    pub async fn report(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        reply: ActionReply,
        consumed: Option<&WorkRow>,
    ) -> Result<Applied, ControlError> {
        match reply {
            ActionReply::Ended(outcome) => self.complete_action(pipeline, key, *outcome, consumed).await,
            ActionReply::Pending { started, poll_at } => {
                let event = self.event(What::Action(key.clone(), ActionReport::Started(started.clone())));
                let poll = poll_at.map(|due| self.poll_row(pipeline, key, due, event.seed));
                let mut extra = poll.iter().map(|row| self.put_row(row)).collect::<Result<Vec<_>, _>>()?;
                if let Some(external_id) = &started.external_id {
                    extra.push(self.pointer(pipeline, key, external_id)?);
                }
                self.apply(pipeline, &event, consumed, &extra).await
            }
        }
    }

    /// What leads from the work's id at its provider, or a job's id, back to the action.
    pub(crate) fn pointer(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        external_id: &str,
    ) -> Result<Write, PortError> {
        let body = encode(&ActionRef { pipeline: pipeline.clone(), key: key.clone() })?;
        let key = self.place().external(external_id);
        Ok(Write::Put { key, revision: 1, body, condition: Condition::Always })
    }

    /// The action execution whose work has this id at its provider.
    pub async fn action_by_external_id(&self, external_id: &str) -> Result<Option<ActionRef>, ControlError> {
        let found = self.table().get(&self.place().external(external_id)).await?;
        Ok(found.map(|stored| decode(&stored.body, "a pointer to an action execution")).transpose()?)
    }

    /// The row that has an action's provider asked for news.
    pub(crate) fn poll_row(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        due: Timestamp,
        seed: model::Seed,
    ) -> WorkRow {
        WorkRow {
            id: seed.id("poll"),
            region: self.place().region.clone(),
            pipeline: pipeline.clone(),
            due,
            task: Task::Poll(key.clone()),
            tries: 0,
        }
    }

    /// Writes a row.
    pub(crate) fn put_row(&self, row: &WorkRow) -> Result<Write, PortError> {
        Ok(Write::Put { key: row.key(self.place()), revision: 1, body: encode(row)?, condition: Condition::Always })
    }

    /// An action ended: its item, its output variables, and the row that has its stage judged.
    pub async fn complete_action(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        outcome: Outcome,
        consumed: Option<&WorkRow>,
    ) -> Result<Applied, ControlError> {
        let outcome = within_limits(outcome);
        let mut extra = Vec::new();
        if outcome.error.is_none() && !outcome.variables.is_empty() {
            extra.push(self.put_variables(pipeline, key, &outcome.variables)?);
        }
        let event = self.event(What::Action(key.clone(), ActionReport::Ended(Box::new(outcome))));
        self.apply(pipeline, &event, consumed, &extra).await
    }

    /// Writes an action's output variables beside it.
    pub(crate) fn put_variables(
        &self,
        pipeline: &PipelineRef,
        key: &ActionKey,
        variables: &StringMap,
    ) -> Result<Write, PortError> {
        let key = Key { pk: self.place().pipeline(pipeline.id), sk: keys::variables_sk(key) };
        Ok(Write::Put { key, revision: 1, body: encode(variables)?, condition: Condition::Always })
    }
}

/// What may be stored of an outcome: too many output variables fail their action, and a long message is cut.
fn within_limits(outcome: Outcome) -> Outcome {
    let bytes = variables_bytes(&outcome.variables);
    let mut outcome = if outcome.error.is_none() && bytes > MAX_VARIABLES_BYTES {
        let message = format!(
            "The output variables have {bytes} bytes with their names; they may have {MAX_VARIABLES_BYTES}. Hand larger \
             things on as an output artifact."
        );
        let failed = Outcome::failed("ConfigurationError", message);
        Outcome { external_id: outcome.external_id, external_url: outcome.external_url, ..failed }
    } else {
        outcome
    };
    if let Some(error) = &mut outcome.error
        && let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE_CHARACTERS)
    {
        error.message.truncate(end);
        error.message.push('…');
    }
    outcome
}

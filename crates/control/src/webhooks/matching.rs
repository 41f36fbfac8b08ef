//! A stored delivery is matched: each pipeline that it starts in a commit of its own, then its row is consumed.

use engine::triggers::Push;
use engine::{Origin, TriggerDetail};
use model::{Action, TriggerType};

use super::{Content, DeliveryRef, FilterRule, StoredDelivery, Webhook, filters};
use crate::control::{Control, ControlError};
use crate::intake::{Begin, Received, push_token, trigger_token};
use crate::ports::{Condition, PortError, Write};
use crate::rows::{PipelineRef, WorkRow};
use crate::stored::{decode, encode};

impl Control {
    /// Matches the delivery of a work row and consumes the row. A row that is delivered again starts nothing twice.
    ///
    /// # Errors
    /// A port failed: the row stays.
    pub async fn match_delivery(&self, row: &WorkRow, delivery: &DeliveryRef) -> Result<Received, ControlError> {
        let key = self.place().delivery(&delivery.hook, &delivery.delivery);
        let mut received = Received::default();
        let mut extra = Vec::new();
        // A row without its delivery has nothing to match.
        if let Some(stored) = self.table().get(&key).await? {
            let stored: StoredDelivery = decode(&stored.body, "a webhook delivery")?;
            match stored.content {
                Content::Changes(events) => {
                    let mut failure = None;
                    for event in &events {
                        match self.receive_repository(event).await {
                            Ok(some) => received.add(some),
                            Err(error) => failure = failure.or(Some(error)),
                        }
                    }
                    failure.map_or(Ok(()), Err)?;
                }
                Content::Filtered { webhook, selected, push } => {
                    received = self.match_webhook(&webhook, delivery, &selected, push.as_deref()).await?;
                    if !received.started.is_empty() {
                        let key = self.place().webhook_time(&webhook);
                        let body = encode(&self.now())?;
                        extra.push(Write::Put { key, revision: 1, body, condition: Condition::Always });
                    }
                }
            }
        }
        extra.push(Write::Delete { key: row.key(self.place()), condition: Condition::Present });
        match self.write(&extra).await {
            // Somebody else consumed it.
            Ok(()) | Err(ControlError::Port(PortError::Conflict)) => Ok(received),
            Err(error) => Err(error),
        }
    }

    async fn match_webhook(
        &self,
        name: &str,
        delivery: &DeliveryRef,
        selected: &[(FilterRule, Vec<String>)],
        push: Option<&Push>,
    ) -> Result<Received, ControlError> {
        let mut received = Received::default();
        let Some(webhook) = self.webhook(name).await?.filter(|webhook| webhook.hook == delivery.hook) else {
            return Ok(received);
        };
        let Some((pipeline, action)) = self.target(&webhook).await? else {
            let why = format!("its webhook {name} names an action that is not there");
            received.passed.push((webhook.target_pipeline, why));
            return Ok(received);
        };
        let moved = push.filter(|push| is_of(push, &action));
        if let Some(push) = moved.filter(|push| push.deleted()) {
            self.note_webhook(&pipeline, &action, push, delivery).await?;
            received.passed.push((pipeline.name, "the branch was deleted".into()));
            return Ok(received);
        }
        let fails = |(rule, values): &&(FilterRule, Vec<String>)| !filters::holds(rule, values, &action.configuration);
        if let Some((rule, _)) = selected.iter().find(fails) {
            if let Some(push) = moved {
                self.note_webhook(&pipeline, &action, push, delivery).await?;
            }
            let why = format!("the filter {} of its webhook {name} does not hold", rule.json_path);
            received.passed.push((pipeline.name, why));
            return Ok(received);
        }
        let trigger = TriggerDetail { kind: TriggerType::Webhook, detail: self.webhook_arn(name) };
        let (origin, token) = match moved {
            Some(push) => (pushed(push, &action), push_token(push, Some(&delivery.delivery))),
            None => (Origin::default(), vec!["webhook", &delivery.hook, &delivery.delivery]),
        };
        let origin = Origin { action: Some(action.name.clone()), ..origin };
        let token = trigger_token(&action.name, &token);
        let begin = Begin { origin: Some(origin), trigger, token, ..Begin::default() };
        let begun = self.begin(&pipeline, begin).await?;
        received.note(&pipeline.name, begun);
        Ok(received)
    }

    /// A push of the action's branch that starts nothing.
    async fn note_webhook(
        &self,
        pipeline: &PipelineRef,
        action: &Action,
        push: &Push,
        delivery: &DeliveryRef,
    ) -> Result<(), ControlError> {
        let origin = Origin { action: Some(action.name.clone()), ..pushed(push, action) };
        self.note_passed(pipeline, &origin, push, Some(&delivery.delivery)).await
    }

    /// The pipeline and source action of a webhook, as they are now.
    pub(super) async fn target(&self, webhook: &Webhook) -> Result<Option<(PipelineRef, Action)>, ControlError> {
        let name = &webhook.target_pipeline;
        let Some((item, _)) = self.name_item(name).await? else { return Ok(None) };
        let Some(declaration) = self.declaration(item.id, item.version).await? else { return Ok(None) };
        let mut actions = declaration.actions().map(|(_, action)| action);
        let action = actions.find(|action| {
            action.name == webhook.target_action && action.action_type_id.category == model::Category::Source
        });
        let pipeline = PipelineRef { id: item.id, name: name.clone() };
        Ok(action.map(|action| (pipeline, action.clone())))
    }
}

/// Whether a push moves the branch of a source action: then exactly that commit runs, if one is left.
fn is_of(push: &Push, action: &Action) -> bool {
    let branch = ["Branch", "BranchName"].iter().find_map(|key| action.configuration.get(*key));
    push.branch().is_some() && push.branch() == branch.map(String::as_str)
}

fn pushed(push: &Push, action: &Action) -> Origin {
    let owner = action.configuration.get("Owner").zip(action.configuration.get("Repo"));
    let repository = owner.map(|(owner, name)| format!("{owner}/{name}"));
    let event = engine::triggers::RepositoryEvent {
        provider: "GitHub".into(),
        connection: String::new(),
        repository: repository.unwrap_or_default(),
        delivery: None,
        change: engine::triggers::RepositoryChange::Push(push.clone()),
    };
    // A webhook's execution names the webhook, not the git fields of a connection's.
    Origin { trigger: std::collections::BTreeMap::new(), ..event.origin() }
}

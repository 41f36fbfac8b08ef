//! What a pipeline's creation, update and removal write of its source resources, in the commit that makes the change.

use std::collections::BTreeSet;

use engine::Refusal;
use model::{Pipeline, Timestamp};

use super::poll::{PolledSource, polled_sk};
use super::{Pointer, Resource, Rule, RuleItem, RuleState, Rules, sources_of};
use crate::commit::one_write_an_item;
use crate::control::{Control, ControlError};
use crate::ports::{Condition, Key, PortError, Write};
use crate::rows::PipelineRef;
use crate::stored::{decode, encode};

/// How many writes of a commit are for source resources. A pipeline with more (over 15 sources) has them made just before:
/// a pointer to a pipeline that does not come to be starts nothing.
const MAX_INSIDE: usize = 40;

/// What a change of a declaration means for source resources.
#[derive(Debug, Default)]
pub(crate) struct SourceWrites {
    /// To write with the change.
    pub writes: Vec<Write>,
    /// Rules to make after it.
    pub made: Vec<Rule>,
    /// Resources that lost a user.
    pub left: Vec<Resource>,
}

impl Control {
    /// What goes from one declaration to another: none is before the creation, and after the removal.
    pub(crate) async fn source_writes(
        &self,
        pipeline: &PipelineRef,
        before: Option<&Pipeline>,
        after: Option<&Pipeline>,
        at: Timestamp,
    ) -> Result<SourceWrites, ControlError> {
        let sources = |declaration: Option<&Pipeline>| {
            declaration.map(|declaration| sources_of(pipeline, declaration)).unwrap_or_default()
        };
        let (old, new) = (sources(before), sources(after));
        if let (Some(rules), Some(after)) = (&self.detection().rules, after) {
            refuse_loops(rules, after, &new)?;
        }
        let mut changed = SourceWrites::default();
        for (resource, pointer) in old.iter().filter(|source| !keeps_place(&new, source)) {
            changed.writes.push(delete(self.pointer_key(resource, pointer)));
            changed.writes.push(delete(self.polled_key(pointer)));
        }
        for source in &new {
            if !old.contains(source) {
                self.put_source(source, at, &mut changed.writes)?;
            } else if source.1.polls {
                self.wake_polled(&source.1, at, &mut changed.writes).await?;
            }
        }
        self.rule_changes(&old, &new, &mut changed).await?;
        changed.writes = one_write_an_item(changed.writes);
        while changed.writes.len() > MAX_INSIDE {
            let earlier: Vec<_> = changed.writes.drain(..MAX_INSIDE).collect();
            self.write(&earlier).await?;
        }
        Ok(changed)
    }

    /// After the commit: rules of new resources are made, those without users removed. What fails is mended by
    /// [`Control::reconcile_rules`].
    pub(crate) async fn sources_changed(&self, changed: &SourceWrites) {
        let Some(rules) = &self.detection().rules else { return };
        for rule in &changed.made {
            if let Err(error) = rules.port.ensure(rule).await {
                tracing::error!(%error, rule = rule.name, "a rule could not be made; the sweep tries again");
            }
        }
        for resource in &changed.left {
            if let Err(error) = self.release_rule(resource).await {
                tracing::error!(%error, "a rule could not be removed; the sweep tries again");
            }
        }
    }

    fn put_source(
        &self,
        (resource, pointer): &(Resource, Pointer),
        at: Timestamp,
        writes: &mut Vec<Write>,
    ) -> Result<(), PortError> {
        let put = |key, body| Write::Put { key, revision: 1, body, condition: Condition::Always };
        writes.push(put(self.pointer_key(resource, pointer), encode(pointer)?));
        if let Some(polled) = PolledSource::new(resource, pointer, at) {
            writes.push(put(self.polled_key(pointer), encode(&polled)?));
        }
        Ok(())
    }

    /// An update has a source polled again that was idle for too long.
    async fn wake_polled(&self, pointer: &Pointer, at: Timestamp, writes: &mut Vec<Write>) -> Result<(), ControlError> {
        let key = self.polled_key(pointer);
        let Some(stored) = self.table().get(&key).await? else { return Ok(()) };
        let polled: PolledSource = decode(&stored.body, &key.sk)?;
        if polled.disabled_at.is_some() {
            let polled = PolledSource { disabled_at: None, changed_at: at, ..polled };
            let revision = stored.revision + 1;
            let condition = Condition::Revision(stored.revision);
            writes.push(Write::Put { key, revision, body: encode(&polled)?, condition });
        }
        Ok(())
    }

    async fn rule_changes(
        &self,
        old: &[(Resource, Pointer)],
        new: &[(Resource, Pointer)],
        changed: &mut SourceWrites,
    ) -> Result<(), ControlError> {
        let Some(rules) = &self.detection().rules else { return Ok(()) };
        let resources = |sources: &[(Resource, Pointer)]| -> BTreeSet<Resource> {
            sources.iter().map(|(resource, _)| resource.clone()).filter(Resource::has_rule).collect()
        };
        let (old, new) = (resources(old), resources(new));
        changed.left = old.difference(&new).cloned().collect();
        let mut fresh = 0;
        for resource in new.difference(&old) {
            let rule = self.rule(resource);
            let key = Key { pk: self.place().rules(), sk: rule.name.clone() };
            let known = self.table().get(&key).await?;
            fresh += usize::from(known.is_none());
            let revision = known.map_or(0, |stored| stored.revision);
            let condition = if revision == 0 { Condition::Absent } else { Condition::Revision(revision) };
            // Reconciliation notes what it is made of once that is sure.
            let item = RuleItem { resource: resource.clone(), state: RuleState::Active, made_of: None };
            changed.writes.push(Write::Put { key, revision: revision + 1, body: encode(&item)?, condition });
            changed.made.push(rule);
        }
        if fresh > 0 {
            self.check_quota(rules, fresh).await?;
        }
        Ok(())
    }

    fn pointer_key(&self, resource: &Resource, pointer: &Pointer) -> Key {
        Key { pk: self.place().source(&resource.text()), sk: polled_sk(pointer) }
    }

    pub(crate) fn polled_key(&self, pointer: &Pointer) -> Key {
        Key { pk: self.place().polled(), sk: polled_sk(pointer) }
    }
}

/// Whether a source action keeps its resource: then its pointer is written over.
fn keeps_place(new: &[(Resource, Pointer)], (resource, pointer): &(Resource, Pointer)) -> bool {
    new.iter().any(|(other, now)| other == resource && now.action == pointer.action)
}

/// A bucket of artifacts that notified of every object would have its pipelines start themselves.
fn refuse_loops(rules: &Rules, declaration: &Pipeline, sources: &[(Resource, Pointer)]) -> Result<(), Refusal> {
    let stores = declaration.artifact_stores.iter().flatten().map(|(_, store)| store);
    let stores = stores.chain(&declaration.artifact_store).map(|store| &store.location);
    let artifacts: BTreeSet<&String> = stores.chain(&rules.artifact_buckets).collect();
    for (resource, pointer) in sources.iter().filter(|(_, pointer)| !pointer.polls) {
        if let Resource::Object { bucket, .. } = resource
            && artifacts.contains(bucket)
        {
            return Err(Refusal::Invalid(format!(
                "The source action {} would be notified of every object in {bucket}, where artifacts are stored: executions \
                 would start executions. Use another bucket, or set PollForSourceChanges to \"true\".",
                pointer.action
            )));
        }
    }
    Ok(())
}

fn delete(key: Key) -> Write {
    Write::Delete { key, condition: Condition::Always }
}

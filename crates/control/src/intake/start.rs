//! A change starts a pipeline once: under its token, and not for a push that was noted already.

use engine::triggers::{Push, note_passed};
use engine::{Command, ItemKey, Origin, Refusal, SourceHead, Start, TriggerDetail, What};
use model::{ActionName, ExecutionId, StringMap, TriggerType};
use sha2::{Digest, Sha256};

use crate::commit::Prepared;
use crate::control::{Control, ControlError, Round};
use crate::hexadecimal::hex;
use crate::intake::push_token;
use crate::keys;
use crate::ports::{Condition, Key, PortError, Write};
use crate::rows::PipelineRef;
use crate::stored::{decode, encode};

/// A start that a change asks for.
pub(crate) struct Begin {
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// What to name as its cause.
    pub trigger: TriggerDetail,
    /// Starts once.
    pub token: String,
    /// The revision of the source head that the change was judged by; a head that moved since makes it obsolete.
    pub judged_at: Option<u64>,
}

impl Default for Begin {
    fn default() -> Self {
        let trigger = TriggerDetail { kind: TriggerType::Webhook, detail: String::new() };
        Self { origin: None, trigger, token: String::new(), judged_at: None }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// An execution.
    Started(ExecutionId),
    /// It was started before.
    Repeated,
    /// The source moved on meanwhile.
    Moved,
    /// The pipeline refuses, and would again.
    Refused(String),
}

/// A token for the starts of an action. No token of the API's clients has a dot.
pub(crate) fn trigger_token(action: &ActionName, parts: &[&str]) -> String {
    let mut digest = Sha256::new().chain_update(action.as_str());
    for part in parts {
        digest.update([0]);
        digest.update(part);
    }
    format!("trigger.{}", hex(&digest.finalize()[..20]))
}

/// How often a start is decided anew.
const ROUNDS: u32 = 32;

impl Control {
    /// Starts, unless this change did before.
    pub(crate) async fn begin(&self, pipeline: &PipelineRef, begin: Begin) -> Result<Begun, ControlError> {
        let start = Start {
            trigger: begin.trigger,
            origin: begin.origin.clone(),
            variables: StringMap::new(),
            overrides: Vec::new(),
        };
        let event = self.event(What::Command(Command::Start(start)));
        let id = ExecutionId(event.seed.id("execution"));
        let extra = [Write::Put {
            key: self.token_key(pipeline, &begin.token),
            revision: 1,
            body: encode(&id)?,
            condition: Condition::Absent,
        }];
        let place = begin.origin.as_ref().and_then(head_place);
        for round in 0..ROUNDS {
            if self.started_by(pipeline, &begin.token).await?.is_some() {
                self.table().flush().await?;
                return Ok(Begun::Repeated);
            }
            let (revision, head) = self.noted(pipeline, place.as_ref()).await?;
            if begin.judged_at.is_some_and(|judged| judged != revision) {
                return Ok(Begun::Moved);
            }
            if begin.origin.as_ref().is_some_and(|origin| is_repeat(&head, origin)) {
                return Ok(Begun::Repeated);
            }
            let prepared = match self.round(pipeline, &event, round, None, &extra).await? {
                Round::Commit(prepared, _) => prepared,
                Round::Refused(refusal) => return refused(refusal),
                Round::Ignored(reason) => return Ok(Begun::Refused(format!("{reason:?}"))),
            };
            // Decided by the head that was judged, or judged anew.
            if place.as_ref().is_some_and(|key| !self.rests_on(&prepared, pipeline, key, revision)) {
                continue;
            }
            match self.make(&prepared).await {
                Ok(()) => {
                    self.table().flush().await?;
                    return Ok(Begun::Started(prepared.changed.execution.unwrap_or(id)));
                }
                Err(PortError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ControlError::Busy)
    }

    /// Notes a push that starts nothing, where what follows it could not be judged without: a ref that is gone, or there
    /// again. One delivery is noted once.
    pub(crate) async fn note_passed(
        &self,
        pipeline: &PipelineRef,
        origin: &Origin,
        push: &Push,
        delivery: Option<&str>,
    ) -> Result<(), ControlError> {
        let Some((action, place)) = origin.action.as_ref().zip(head_place(origin)) else { return Ok(()) };
        if !push.created() && !push.deleted() {
            return Ok(());
        }
        let parts = [vec!["passed"], push_token(push, delivery)].concat();
        let token = self.token_key(pipeline, &trigger_token(action, &parts));
        let key = Key { pk: self.place().pipeline(pipeline.id), sk: keys::item_sk(&place) };
        for _ in 0..ROUNDS {
            let (revision, mut head) = self.noted(pipeline, Some(&place)).await?;
            if !note_passed(&mut head, push) || self.table().get(&token).await?.is_some() {
                return Ok(());
            }
            let put = |key: &Key, revision, body, condition| Write::Put { key: key.clone(), revision, body, condition };
            let writes = [
                put(&key, revision + 1, encode(&head)?, Condition::Revision(revision)),
                put(&token, 1, encode(&())?, Condition::Absent),
            ];
            match self.write(&writes).await {
                Err(ControlError::Port(PortError::Conflict)) => {}
                written => return written,
            }
        }
        Err(ControlError::Busy)
    }

    /// What is noted of a source's order, and its revision; 0 for nothing.
    pub(crate) async fn noted(
        &self,
        pipeline: &PipelineRef,
        place: Option<&ItemKey>,
    ) -> Result<(u64, SourceHead), ControlError> {
        let Some(place) = place else { return Ok((0, SourceHead::default())) };
        let key = Key { pk: self.place().pipeline(pipeline.id), sk: keys::item_sk(place) };
        match self.table().get(&key).await? {
            Some(stored) => Ok((stored.revision, decode(&stored.body, &key.sk)?)),
            None => Ok((0, SourceHead::default())),
        }
    }

    fn rests_on(&self, prepared: &Prepared, pipeline: &PipelineRef, place: &ItemKey, revision: u64) -> bool {
        let (pk, sk) = (self.place().pipeline(pipeline.id), keys::item_sk(place));
        let needed = if revision == 0 { Condition::Absent } else { Condition::Revision(revision) };
        prepared.writes.iter().any(|write| match write {
            Write::Put { key, condition, .. } => key.pk == pk && key.sk == sk && *condition == needed,
            Write::Delete { .. } | Write::Check { .. } => false,
        })
    }
}

/// Where the order of an origin's source is kept.
pub(crate) fn head_place(origin: &Origin) -> Option<ItemKey> {
    let (action, place) = origin.source_head()?;
    Some(ItemKey::SourceHead(action.clone(), place))
}

/// Only moves of a ref repeat what was noted; a pull request is told by its token, an object by its version.
fn is_repeat(head: &SourceHead, origin: &Origin) -> bool {
    let is_move = origin.git_ref.as_ref().is_some_and(|git_ref| git_ref.starts_with("refs/heads/"));
    let after = origin.after.as_deref().filter(|_| is_move);
    after.is_some_and(|after| engine::triggers::is_repeat(head, origin.before.as_deref(), after))
}

fn refused(refusal: Refusal) -> Result<Begun, ControlError> {
    match refusal {
        Refusal::PipelineNotFound => Ok(Begun::Refused("the pipeline was deleted".into())),
        Refusal::ConcurrentExecutionsLimit(limit) => {
            Ok(Begun::Refused(format!("{limit} executions are in progress, which is the most")))
        }
        Refusal::Invalid(why) => Ok(Begun::Refused(why)),
        refusal => Err(refusal.into()),
    }
}

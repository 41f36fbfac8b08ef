//! A declaration read leniently: what is missing or mistyped is skipped, so that the rest can still be judged.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use crate::action_types::{self, ActionType};
use crate::status::{Category, ConditionSlot, ExecutionMode, Owner, PipelineType};

/// When something happens in an execution: its stage, then its run order. What happens at a smaller moment is over.
pub(super) type Moment = (usize, i64);

/// A declaration.
pub(super) struct Draft<'a> {
    pub(super) value: &'a Value,
    /// V1 when absent; V2 when it is no word, so that one fault does not cause others.
    pub(super) kind: PipelineType,
    pub(super) mode: ExecutionMode,
    pub(super) stages: Vec<StageDraft<'a>>,
    /// Every action, stage by stage.
    pub(super) actions: Vec<Task<'a>>,
    /// Every rule of every condition, stage by stage.
    pub(super) rules: Vec<Task<'a>>,
}

/// A stage.
pub(super) struct StageDraft<'a> {
    pub(super) index: usize,
    pub(super) value: &'a Value,
    pub(super) name: &'a str,
    actions: Range<usize>,
}

/// An action or a rule: both have a type, a configuration, commands and input artifacts.
pub(super) struct Task<'a> {
    pub(super) value: &'a Value,
    pub(super) place: TaskPlace,
    pub(super) name: &'a str,
    pub(super) stage_name: &'a str,
    pub(super) moment: Moment,
    pub(super) category: Option<Category>,
    pub(super) owner: Option<Owner>,
    pub(super) provider: &'a str,
    pub(super) version: &'a str,
    /// Its type, if that is known.
    pub(super) known: Option<&'static ActionType>,
}

/// Where an action or a rule stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskPlace {
    Action { stage: usize, index: usize },
    Rule { stage: usize, slot: ConditionSlot, condition: usize, index: usize },
}

impl fmt::Display for TaskPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action { stage, index } => write!(f, "$.stages[{stage}].actions[{index}]"),
            Self::Rule { stage, slot, condition, index } => {
                write!(f, "$.stages[{stage}].{}.conditions[{condition}].rules[{index}]", slot.field())
            }
        }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn read(value: &'a Value) -> Self {
        let mut draft = Self {
            value,
            kind: match text(value, "pipelineType") {
                None if value.get("pipelineType").is_none_or(Value::is_null) => PipelineType::V1,
                None => PipelineType::V2,
                Some(word) => PipelineType::parse(word).unwrap_or(PipelineType::V2),
            },
            mode: text(value, "executionMode").and_then(ExecutionMode::parse).unwrap_or(ExecutionMode::Superseded),
            stages: Vec::new(),
            actions: Vec::new(),
            rules: Vec::new(),
        };
        for (index, stage) in list(value, "stages").iter().enumerate() {
            draft.read_stage(index, stage);
        }
        draft
    }

    fn read_stage(&mut self, stage: usize, value: &'a Value) {
        let name = text(value, "name").unwrap_or_default();
        let start = self.actions.len();
        for (index, action) in list(value, "actions").iter().enumerate() {
            let place = TaskPlace::Action { stage, index };
            let order = action.get("runOrder").and_then(Value::as_i64).unwrap_or(1);
            self.actions.push(Task::read(action, place, name, (stage, order), "actionTypeId"));
        }
        let actions = start..self.actions.len();
        self.stages.push(StageDraft { index: stage, value, name, actions });
        for slot in ConditionSlot::ALL.iter().copied() {
            self.read_rules(stage, name, slot, value);
        }
    }

    fn read_rules(&mut self, stage: usize, stage_name: &'a str, slot: ConditionSlot, value: &'a Value) {
        let order = match slot {
            ConditionSlot::BeforeEntry => i64::MIN,
            ConditionSlot::OnSuccess | ConditionSlot::OnFailure => i64::MAX,
        };
        for (condition, content) in conditions(value, slot).iter().enumerate() {
            for (index, rule) in list(content, "rules").iter().enumerate() {
                let place = TaskPlace::Rule { stage, slot, condition, index };
                self.rules.push(Task::read(rule, place, stage_name, (stage, order), "ruleTypeId"));
            }
        }
    }

    /// The actions of a stage.
    pub(super) fn actions_of(&self, stage: &StageDraft<'_>) -> &[Task<'a>] {
        &self.actions[stage.actions.clone()]
    }

    /// Every action, then every rule.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task<'a>> {
        self.actions.iter().chain(&self.rules)
    }
}

impl<'a> Task<'a> {
    fn read(value: &'a Value, place: TaskPlace, stage_name: &'a str, moment: Moment, type_field: &str) -> Self {
        let type_id = value.get(type_field).unwrap_or(&Value::Null);
        let rule = matches!(place, TaskPlace::Rule { .. });
        let category = text(type_id, "category").and_then(Category::parse);
        let owner = match text(type_id, "owner") {
            None if rule => Some(Owner::Aws),
            word => word.and_then(Owner::parse),
        };
        let provider = text(type_id, "provider").unwrap_or_default();
        let version = text(type_id, "version").unwrap_or(if rule { "1" } else { "" });
        let known = category.zip(owner).and_then(|(category, owner)| action_types::find(category, owner, provider));
        // Whoever makes a custom type of the same name has made another one.
        let known =
            known.filter(|known| known.owner != Owner::Custom || version.is_empty() || known.version == version);
        Self {
            value,
            place,
            name: text(value, "name").unwrap_or_default(),
            stage_name,
            moment,
            category,
            owner,
            provider,
            version,
            known,
        }
    }

    /// The path of one of its fields.
    pub(super) fn path(&self, field: &str) -> String {
        format!("{}.{field}", self.place)
    }

    pub(super) fn is_rule(&self) -> bool {
        matches!(self.place, TaskPlace::Rule { .. })
    }

    /// `action "Build"`, `rule "Check"`.
    pub(super) fn describe(&self) -> String {
        format!("{} \"{}\"", if self.is_rule() { "rule" } else { "action" }, self.name)
    }

    /// A configuration value.
    pub(super) fn setting(&self, key: &str) -> Option<&'a str> {
        text(self.value.get("configuration")?, key)
    }

    /// Every configuration value that is text.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let configuration = self.value.get("configuration").and_then(Value::as_object);
        configuration.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// Its commands.
    pub(super) fn commands(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        list(self.value, "commands").iter().enumerate().filter_map(|(index, value)| Some((index, value.as_str()?)))
    }

    /// The names of its input or output artifacts.
    pub(super) fn artifacts(&self, field: &str) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        list(self.value, field)
            .iter()
            .enumerate()
            .filter_map(|(index, artifact)| Some((index, text(artifact, "name")?)))
    }

    /// Whether its type is this one of AWS's.
    pub(super) fn is(&self, category: Category, provider: &str) -> bool {
        self.known
            .is_some_and(|known| known.owner == Owner::Aws && known.category == category && known.provider == provider)
    }
}

/// The conditions of a slot of a stage.
pub(super) fn conditions(stage: &Value, slot: ConditionSlot) -> &[Value] {
    stage.get(slot.field()).map_or(&[], |content| list(content, "conditions"))
}

/// A field that is text.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

/// A field that is a list; nothing when it is not.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a field is there and not null.
pub(super) fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some_and(|field| !field.is_null())
}

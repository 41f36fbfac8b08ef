//! Scripts in prose, one step a line. After each line every row that is due runs, unless the script holds them, and what must
//! always hold is checked.
//!
//! ```text
//! given A(s) -> B(x,y) in QUEUED mode        a pipeline (see `pipelines`); `variables N=V` adds variables
//! start #1                                   the next execution; `with N=V`, `pushed a..b`, `sequencer s`, `at commit c`
//! B/x of #1 succeeds | fails [with CODE]     an action ends; B/before:rule names a rule, B/x@1 an earlier attempt
//! B/ok of #1 is approved | is rejected [with a wrong token]
//! stop #1 [and abandon] [because WHY]        retry B of #1 with MODE          roll B back to #1
//! override SLOT of B for #1                  disable into B | enable out of A update to …  delete
//! wait N minutes                             … and run what is due; `the clock jumps N minutes` runs nothing
//! hold dispatch | hold rows | release        drivers, or all rows, stand still
//! … -- refused WORD | -- ignored WORD        what the step comes to, where it is not accepted
//! then …                                     see `Play::then`
//! ```

use engine::{
    ActionKey, ActionReport, ApprovalDecision, Command, Decision, Origin, Outcome, Override, Position, Retry, Rollback,
    SetTransition, Slot, SourceOverride, Start, StateChange, Stop, Subject, TransitionSide, TriggerDetail, What, Work,
};
use model::{ConditionSlot, ExecutionId, ExecutionMode, Pipeline, RetryMode, SourceRevisionType, TriggerType};

use crate::pipelines::{pipeline, with_variables};
use crate::world::World;

/// Plays a script from its beginning.
pub fn play(script: &str) -> Play {
    let mut play = Play::new();
    play.more(script);
    play
}

/// A script being played.
pub struct Play {
    pub world: World,
    told: usize,
    dispatch: bool,
    rows: bool,
}

impl Play {
    fn new() -> Self {
        Self { world: World::new(), told: 0, dispatch: true, rows: true }
    }

    /// Plays further lines.
    pub fn more(&mut self, script: &str) {
        for line in joined(script) {
            let (step, expected) =
                line.split_once(" -- ").map_or((line.as_str(), None), |(step, end)| (step, Some(end)));
            if let Some(assertion) = step.strip_prefix("then ") {
                self.then(assertion.trim(), &line);
            } else {
                let decision = self.step(step.trim(), &line);
                check(decision, expected, &line);
                self.settle();
            }
            self.always(&line);
        }
    }

    fn settle(&mut self) {
        if self.rows {
            self.world.settle(self.dispatch);
        }
    }

    /// What must hold after every line.
    fn always(&self, line: &str) {
        let faults = self.world.faults();
        assert!(faults.is_empty(), "after {line:?}: {faults:#?}");
        for execution in self.world.executions() {
            let why = self.world.why(execution.id);
            assert_eq!(why.is_empty(), execution.status.is_terminal(), "after {line:?}: {} {why:?}", execution.status);
        }
    }

    fn step(&mut self, step: &str, line: &str) -> Option<Decision> {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words.as_slice() {
            ["given", ..] => {
                self.world = World::with(declared(step.trim_start_matches("given ")));
                None
            }
            ["update", "to", ..] => {
                self.command(Command::Update(Box::new(declared(step.trim_start_matches("update to ")))))
            }
            ["delete"] => self.command(Command::Delete),
            ["start", number, rest @ ..] => {
                assert_eq!(*number, format!("#{}", self.world.numbered.len() + 1), "{line:?} is out of order");
                self.command(Command::Start(start(rest)))
            }
            _ => self.asked(step, &words, line),
        }
    }

    fn asked(&mut self, step: &str, words: &[&str], line: &str) -> Option<Decision> {
        match words {
            ["stop", number, rest @ ..] => {
                let abandon = rest.starts_with(&["and", "abandon"]);
                let reason = step.split_once(" because ").map(|(_, reason)| reason.to_owned());
                self.command(Command::Stop(Stop { execution: self.id(number), abandon, reason }))
            }
            ["retry", stage, "of", number, "with", mode] => self.command(Command::Retry(Retry {
                execution: self.id(number),
                stage: (*stage).into(),
                mode: RetryMode::parse(mode).expect("a retry mode"),
            })),
            ["roll", stage, "back", "to", number] => self.command(Command::Rollback(Rollback {
                stage: (*stage).into(),
                target: self.id(number),
                by: "arn:ann".into(),
            })),
            ["override", slot, "of", stage, "for", number] => self.command(Command::Override(Override {
                execution: self.id(number),
                stage: (*stage).into(),
                condition: ConditionSlot::parse(slot).expect("a condition"),
            })),
            [verb @ ("disable" | "enable"), side @ ("into" | "out"), .., stage] => {
                self.command(Command::SetTransition(SetTransition {
                    stage: (*stage).into(),
                    side: if *side == "into" { TransitionSide::Inbound } else { TransitionSide::Outbound },
                    disable: (*verb == "disable").then(|| "a freeze".to_owned()),
                    by: "arn:ann".into(),
                }))
            }
            _ => self.passing(words, line),
        }
    }

    fn passing(&mut self, words: &[&str], line: &str) -> Option<Decision> {
        match words {
            ["wait", minutes, "minutes"] | ["the", "clock", "jumps", minutes, "minutes"] => {
                self.world.now = self.world.now.plus_millis(minutes.parse::<i64>().expect("minutes") * 60_000);
                if words[0] == "the" {
                    // Whatever the line after does comes before any row.
                    self.rows = false;
                }
                None
            }
            ["hold", "dispatch"] => {
                self.dispatch = false;
                None
            }
            ["hold", "rows"] => {
                self.rows = false;
                None
            }
            ["release"] => {
                (self.dispatch, self.rows) = (true, true);
                None
            }
            ["forget", "events"] => {
                self.told = self.world.published.len();
                None
            }
            ["admit", stage] => Some(self.world.happens(What::Work(Work::Admit((*stage).into())))),
            [path, "of", number, rest @ ..] => Some(self.news(path, number, rest)),
            _ => panic!("no such step: {line:?}"),
        }
    }

    fn news(&mut self, path: &str, number: &str, words: &[&str]) -> Decision {
        let key = self.key(path, number).unwrap_or_else(|| panic!("{path} of {number} has not run"));
        match words {
            ["succeeds"] => self.world.end(&key, Outcome::default()),
            ["fails"] => self.world.end(&key, Outcome::failed("JobFailed", "it broke")),
            ["fails", "with", code] => self.world.end(&key, Outcome::failed(*code, "it broke")),
            ["is", "claimed", drive @ ..] => {
                self.world.claim(&key, drive.last().map_or(1, |drive| drive.parse().expect("a drive")))
            }
            ["is", "due"] => self.world.happens(What::Work(Work::Due(key))),
            ["is", "advanced"] => self.world.happens(What::Work(Work::Advance(key))),
            ["is", "approved", rest @ ..] => self.decide(key, true, rest),
            ["is", "rejected", rest @ ..] => self.decide(key, false, rest),
            other => panic!("no such news: {other:?}"),
        }
    }

    fn decide(&mut self, key: ActionKey, approved: bool, rest: &[&str]) -> Decision {
        let stored = self.world.action(&key).and_then(|action| action.approval.clone()).map(|approval| approval.token);
        let wrong = rest == ["with", "a", "wrong", "token"];
        let token = stored.filter(|_| !wrong).unwrap_or_else(|| "wrong".into());
        let (at, by) = (self.world.now, "arn:ann".to_owned());
        let decision = ApprovalDecision { approved, summary: "seen".into(), by, via: None, at };
        self.world.happens(What::Action(key, ActionReport::Decided { token, decision }))
    }

    pub fn command(&mut self, command: Command) -> Option<Decision> {
        Some(self.world.happens(What::Command(command)))
    }

    /// The execution `#n`.
    pub fn id(&self, number: &str) -> ExecutionId {
        let place: usize = number.trim_start_matches('#').parse().expect("an execution is #N");
        self.world.numbered.get(place - 1).copied().unwrap_or_else(|| panic!("there is no {number}"))
    }

    /// The number of an execution.
    pub fn number(&self, id: ExecutionId) -> String {
        format!("#{}", self.world.numbered.iter().position(|known| *known == id).map_or(0, |place| place + 1))
    }

    /// As it is, with one more execution numbered.
    pub fn numbered_with(&self, id: Option<ExecutionId>) -> Self {
        let mut world = self.world.clone();
        world.numbered.extend(id);
        Self { world, told: self.told, dispatch: self.dispatch, rows: self.rows }
    }

    /// The newest attempt at `B/x`, or `B/before:rule`; `B/x@1` is the first.
    pub fn key(&self, path: &str, number: &str) -> Option<ActionKey> {
        let (path, attempt) = path.split_once('@').map_or((path, None), |(path, attempt)| (path, Some(attempt)));
        let (stage, name) = path.split_once('/').expect("an action is STAGE/NAME");
        let (rule, name) = name.split_once(':').map_or((None, name), |(slot, name)| (Some(slot), name));
        let slot = rule.map(|rule| match rule {
            "before" => ConditionSlot::BeforeEntry,
            "success" => ConditionSlot::OnSuccess,
            _ => ConditionSlot::OnFailure,
        });
        let execution = self.id(number);
        let matches = |key: &&ActionKey| {
            let place = match (key.slot, slot) {
                (Slot::Rule(of), Some(wanted)) => of == wanted,
                (Slot::RunOrder(_), None) => true,
                _ => false,
            };
            key.execution == execution && key.stage == *stage && key.name == *name && place
        };
        let attempt = attempt.map(|attempt| attempt.parse::<u32>().expect("an attempt"));
        let keys = self.world.actions().map(|action| &action.key).filter(matches);
        keys.filter(|key| attempt.is_none_or(|wanted| key.attempt == wanted)).max_by_key(|key| key.attempt).cloned()
    }

    /// What is so now:
    ///
    /// ```text
    /// #1 is STATUS | #1 is in B | #1 is before B | #1 is nowhere | #1 is in attempt 2
    /// #1 waits because TEXT | #1 waits for nothing          what `explain` says
    /// B of #1 is STATUS | B/x of #1 is STATUS | B/x of #1 did not run | B/x of #1 is in attempt 2
    /// SLOT of B for #1 is STATUS                            a condition
    /// events: #1 STARTED | #1 A STARTED | #1 A/s STARTED    all since the last such line
    /// ```
    fn then(&mut self, text: &str, line: &str) {
        if let Some(expected) = text.strip_prefix("events:") {
            let expected: Vec<&str> = expected.split('|').map(str::trim).filter(|word| !word.is_empty()).collect();
            let told: Vec<String> = self.world.published[self.told..].iter().map(|change| self.named(change)).collect();
            self.told = self.world.published.len();
            assert_eq!(told, expected, "{line:?}");
            return;
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let (actual, expected) = match words.as_slice() {
            [number, "waits", "because", ..] => {
                let because = text.split_once("because ").map_or("", |(_, because)| because);
                let why = self.why(number);
                assert!(why.iter().any(|reason| reason.contains(because)), "{line:?}: {why:#?}");
                return;
            }
            [number, "waits", "for", "nothing"] => (format!("{:?}", self.why(number)), "[]".to_owned()),
            [slot, "of", stage, "for", number, "is", status] => (self.condition(slot, stage, number), (*status).into()),
            [path, "of", number, "did", "not", "run"] => (format!("{:?}", self.key(path, number)), "None".to_owned()),
            [path, "of", number, "is", "in", "attempt", attempt] => {
                (self.key(path, number).map_or(0, |key| key.attempt).to_string(), (*attempt).into())
            }
            [place, "of", number, "is", status] => (self.status(place, number), (*status).into()),
            [number, "is", "in", "attempt", attempt] => {
                (self.world.execution(self.id(number)).attempt.to_string(), (*attempt).into())
            }
            [number, "is", place @ ("in" | "before"), stage] => (self.place(number), format!("{place} {stage}")),
            [number, "is", "nowhere"] => (self.place(number), String::new()),
            [number, "is", status] => (self.world.execution(self.id(number)).status.to_string(), (*status).into()),
            _ => panic!("no such assertion: {line:?}"),
        };
        assert_eq!(actual, expected, "{line:?}");
    }

    /// What `explain` says, with executions by their numbers.
    pub fn why(&self, number: &str) -> Vec<String> {
        let mut reasons: Vec<String> = self.world.why(self.id(number)).iter().map(ToString::to_string).collect();
        for (place, id) in self.world.numbered.iter().enumerate() {
            for reason in &mut reasons {
                *reason = reason.replace(&id.to_string(), &format!("#{}", place + 1));
            }
        }
        reasons
    }

    fn condition(&self, slot: &str, stage: &str, number: &str) -> String {
        let slot = ConditionSlot::parse(slot).expect("a condition");
        let stage = self.world.stage(self.id(number), stage);
        let state = stage.and_then(|stage| stage.conditions.get(&slot));
        state.map_or("absent".into(), |state| state.status.to_string())
    }

    fn status(&self, place: &str, number: &str) -> String {
        if place.contains('/') {
            let action = self.key(place, number).and_then(|key| self.world.action(&key).cloned());
            action.map_or("absent".into(), |action| action.status.to_string())
        } else {
            self.world.stage(self.id(number), place).map_or("absent".into(), |stage| stage.status.to_string())
        }
    }

    fn place(&self, number: &str) -> String {
        let at = &self.world.execution(self.id(number)).at;
        let places = at.iter().map(|(stage, position)| match position {
            Position::Inside => format!("in {stage}"),
            Position::Waiting => format!("before {stage}"),
        });
        places.collect::<Vec<_>>().join(", ")
    }

    /// A state change as scripts write it.
    pub fn named(&self, change: &StateChange) -> String {
        let number = self.number(change.execution);
        let state = change.state.as_str();
        match &change.subject {
            Subject::Pipeline { .. } => format!("{number} {state}"),
            Subject::Stage { stage, .. } => format!("{number} {stage} {state}"),
            Subject::Action(action) => format!("{number} {}/{} {state}", action.stage, action.action),
        }
    }
}

/// Lines without blanks; one that begins with `|` continues the one before.
fn joined(script: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match lines.last_mut() {
            Some(last) if line.starts_with('|') => {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn check(decision: Option<Decision>, expected: Option<&str>, line: &str) {
    let fits = match (&decision, expected.and_then(|expected| expected.split_once(' '))) {
        (Some(Decision::Refused(refusal)), Some(("refused", word))) => format!("{refusal:?}").contains(word),
        (Some(Decision::Ignored(reason)), Some(("ignored", word))) => format!("{reason:?}").contains(word),
        (Some(Decision::Changed(_)) | None, None) => true,
        _ => false,
    };
    assert!(fits, "{line:?} came to {decision:?}");
}

fn declared(text: &str) -> Pipeline {
    let (text, variables) = text.split_once(" variables ").map_or((text, ""), |(text, variables)| (text, variables));
    let (text, mode) = text.split_once(" in ").map_or((text, "SUPERSEDED"), |(text, mode)| (text, mode));
    let mode = ExecutionMode::parse(mode.trim_end_matches(" mode")).expect("a mode");
    with_variables(pipeline(text, mode), variables)
}

fn start(words: &[&str]) -> Start {
    let trigger = TriggerDetail { kind: TriggerType::StartPipelineExecution, detail: "arn:ann".into() };
    let mut start = Start { trigger, origin: None, variables: Default::default(), overrides: Vec::new() };
    let origin = || Origin { action: Some("s".into()), git_ref: Some("refs/heads/main".into()), ..Origin::default() };
    for pair in words.chunks(2) {
        match pair {
            ["with", variable] => {
                let (name, value) = variable.split_once('=').expect("a variable is N=V");
                start.variables.insert(name.into(), value.into());
            }
            ["pushed", range] => {
                let (before, after) = range.split_once("..").expect("a push is BEFORE..AFTER");
                start.origin = Some(Origin { before: Some(before.into()), after: Some(after.into()), ..origin() });
            }
            ["sequencer", value] => start.origin = Some(Origin { sequencer: Some((*value).into()), ..origin() }),
            ["version", value] => start.overrides.push(SourceOverride {
                action: "s".into(),
                kind: SourceRevisionType::S3ObjectVersionId,
                value: (*value).into(),
            }),
            ["commit", value] => start.overrides.push(SourceOverride {
                action: "s".into(),
                kind: SourceRevisionType::CommitId,
                value: (*value).into(),
            }),
            ["artifact", action] => start.overrides.push(SourceOverride {
                action: (*action).into(),
                kind: SourceRevisionType::S3ObjectVersionId,
                value: "c0ffee".into(),
            }),
            other => panic!("no such start: {other:?}"),
        }
    }
    start
}

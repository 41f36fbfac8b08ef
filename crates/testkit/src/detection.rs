//! What change detection needs of a host, in memory: secrets, rules, heads of sources, changed files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use control::connections::{Connection, Vault};
use control::intake::ChangedFiles;
use control::ports::PortError;
use control::sources::{BranchHead, ObjectHead, PolledSource, Rule, SourceHeads, SourceRules};
use engine::triggers::RepositoryEvent;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Secrets in memory.
#[derive(Debug, Default)]
pub struct MemoryVault(Mutex<BTreeMap<String, String>>);

impl MemoryVault {
    /// The names of all secrets.
    pub fn names(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn put(&self, name: &str, secret: &str) -> Result<(), PortError> {
        lock(&self.0).insert(name.into(), secret.into());
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<String>, PortError> {
        Ok(lock(&self.0).get(name).cloned())
    }

    async fn delete(&self, name: &str) -> Result<(), PortError> {
        lock(&self.0).remove(name);
        Ok(())
    }
}

/// Rules in memory.
#[derive(Debug, Default)]
pub struct MemoryRules {
    rules: Mutex<BTreeMap<String, Rule>>,
    broken: Mutex<bool>,
}

impl MemoryRules {
    /// All rules, by name.
    pub fn all(&self) -> Vec<Rule> {
        lock(&self.rules).values().cloned().collect()
    }

    /// Has every call fail, or no more.
    pub fn break_down(&self, broken: bool) {
        *lock(&self.broken) = broken;
    }

    /// Makes a rule behind everybody's back.
    pub fn insert(&self, rule: Rule) {
        lock(&self.rules).insert(rule.name.clone(), rule);
    }

    fn check(&self) -> Result<(), PortError> {
        if *lock(&self.broken) { Err(PortError::Unavailable("the bus".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl SourceRules for MemoryRules {
    async fn ensure(&self, rule: &Rule) -> Result<(), PortError> {
        self.check()?;
        self.insert(rule.clone());
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), PortError> {
        self.check()?;
        lock(&self.rules).remove(name);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, PortError> {
        self.check()?;
        Ok(lock(&self.rules).keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }
}

/// Heads of sources in memory.
#[derive(Debug, Default)]
pub struct MemoryHeads {
    object: Mutex<Option<ObjectHead>>,
    branches: Mutex<VecDeque<Vec<BranchHead>>>,
    asked: Mutex<usize>,
}

impl MemoryHeads {
    /// The object is this now.
    pub fn put_object(&self, head: Option<ObjectHead>) {
        *lock(&self.object) = head;
    }

    /// What the next looks at branches see, one after the other; the last goes for all that follow.
    pub fn put_branches(&self, looks: Vec<Vec<BranchHead>>) {
        *lock(&self.branches) = looks.into();
    }

    /// How often anything was asked.
    pub fn asked(&self) -> usize {
        *lock(&self.asked)
    }
}

#[async_trait]
impl SourceHeads for MemoryHeads {
    async fn object(&self, _: &PolledSource) -> Result<Option<ObjectHead>, PortError> {
        *lock(&self.asked) += 1;
        Ok(lock(&self.object).clone())
    }

    async fn branches(&self, _: &PolledSource, only: Option<&str>) -> Result<Vec<BranchHead>, PortError> {
        *lock(&self.asked) += 1;
        let mut looks = lock(&self.branches);
        let look = if looks.len() > 1 { looks.pop_front() } else { looks.front().cloned() };
        let is_wanted = |head: &BranchHead| only.is_none_or(|only| head.branch == only);
        Ok(look.unwrap_or_default().into_iter().filter(is_wanted).collect())
    }
}

/// The same changed files whatever is asked; a commit's id goes on with zeros.
#[derive(Clone, Debug)]
pub struct SameFiles(pub Option<Vec<String>>);

#[async_trait]
impl ChangedFiles for SameFiles {
    async fn changed_files(
        &self,
        _: Option<&Connection>,
        _: &RepositoryEvent,
    ) -> Result<Option<Vec<String>>, PortError> {
        Ok(self.0.clone())
    }

    async fn full_commit_id(
        &self,
        _: Option<&Connection>,
        _: &RepositoryEvent,
        short: &str,
    ) -> Result<Option<String>, PortError> {
        Ok(Some(format!("{short:0<40}")))
    }
}

//! What the tests of actions that run programs have in common: a store, an action request, and what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use control::ports::{ActionRequest, Artifacts, artifact_location};
use engine::{ActionExecution, ActionKey, Outcome, Slot};
use local::artifacts::{Durability, LocalArtifacts};
use local::commands::Ctx;
use local::config::LocalConfig;
use local::process;
use model::{
    Action, ActionTypeId, Category, EnvironmentVariable, ExecutionId, InputArtifact, OutputArtifact, Owner, PipelineId,
    StringMap, Timestamp,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::process::supervisor;

/// A data directory with an artifact store, and a place for sources.
pub struct Place {
    pub ctx: Ctx,
    directory: TempDir,
}

impl Place {
    /// With this `penstock.toml`.
    pub fn with(configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("penstock.toml");
        let config = LocalConfig::parse(&file, configuration).unwrap();
        let data = directory.path().join("data");
        let artifacts = LocalArtifacts::open(data.join("artifacts"), Durability::Buffered).unwrap();
        let mut ctx = Ctx::new(data, artifacts, Arc::new(config));
        ctx.supervisor = supervisor();
        ctx.grace = Duration::from_millis(300);
        Self { ctx, directory }
    }

    pub fn new() -> Self {
        Self::with("")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Stores an artifact with these files; a name that ends in `@` is a link to the content.
    pub async fn artifact(&self, name: &str, files: &[(&str, &str)]) {
        let tree = self.path().join(format!("tree-{name}"));
        fs::create_dir_all(&tree).unwrap();
        for (path, content) in files {
            let file = tree.join(path.trim_end_matches('@'));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if path.ends_with('@') { symlink(content, file).unwrap() } else { fs::write(file, content).unwrap() }
        }
        let zip = self.path().join(format!("{name}.zip"));
        local::archive::pack_tree(&tree, &zip).unwrap();
        self.ctx.artifacts.store("bucket", &format!("in/{name}"), &zip).await.unwrap();
    }

    /// The files of an output artifact, with their content; links as `-> target`.
    pub fn output(&self, name: &str) -> BTreeMap<String, String> {
        let to = self.path().join(format!("out-{name}"));
        let zip = self.ctx.artifacts.path("bucket", &format!("out/{name}")).unwrap();
        local::archive::unpack(&zip, &to).unwrap();
        let entries = local::archive::tree(&to).unwrap();
        let content = |path: &Path| match fs::read_link(path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => fs::read_to_string(path).unwrap(),
        };
        entries.into_iter().map(|entry| (entry.name.display().to_string(), content(&entry.from))).collect()
    }

    /// The action's log.
    pub fn log(&self, request: &ActionRequest) -> String {
        let path = local::process::log_path(&self.ctx.data, &request.pipeline, &request.action.key);
        fs::read_to_string(path).unwrap_or_default()
    }

    /// That nothing remains but logs and artifacts: scratch directories are emptied, soon after their actions have ended.
    pub fn assert_clean(&self) {
        assert_eq!(super::process::records(&self.ctx.data), Vec::<PathBuf>::new());
        for _ in 0..2_000 {
            if self.left().is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("left: {:?}", self.left());
    }

    /// What is in scratch directories.
    fn left(&self) -> Vec<PathBuf> {
        let files = local::archive::tree(&process::scratch_directory(&self.ctx.data)).unwrap_or_default();
        let is_kept = |entry: &local::archive::Entry| {
            let notes = entry.name.ends_with("notes") && fs::metadata(&entry.from).is_ok_and(|meta| meta.len() == 0);
            notes || entry.name.to_string_lossy().starts_with("script-")
        };
        files.into_iter().filter(|entry| !is_kept(entry)).map(|entry| entry.name).collect()
    }
}

/// An action of a type, as it is handed to its stand-in.
pub fn request(category: Category, provider: &str) -> ActionRequest {
    let action_type = ActionTypeId { category, owner: Owner::Aws, provider: provider.into(), version: "1".into() };
    let key = ActionKey {
        execution: ExecutionId(Uuid::from_u128(7)),
        stage: "Build".into(),
        slot: Slot::RunOrder(1),
        name: "Run".into(),
        attempt: 1,
    };
    ActionRequest {
        pipeline: "shop".into(),
        pipeline_id: PipelineId(Uuid::from_u128(1)),
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        execution: key.execution,
        action: execution(key, &action_type),
        declaration: Action {
            name: "Run".into(),
            action_type_id: action_type,
            run_order: None,
            configuration: StringMap::new(),
            commands: Vec::new(),
            output_artifacts: Vec::new(),
            input_artifacts: Vec::new(),
            output_variables: Vec::new(),
            role_arn: None,
            region: None,
            namespace: None,
            timeout_in_minutes: None,
            environment_variables: Vec::new(),
        },
        role_arn: "arn:aws:iam::123456789012:role/pipeline".into(),
        encryption_key: None,
        near_bucket: None,
        source_override: None,
        pushed_commit: None,
        input_revisions: StringMap::new(),
        external_id: None,
        continuation_token: None,
    }
}

fn execution(key: ActionKey, action_type: &ActionTypeId) -> ActionExecution {
    let claimed = testkit::actions::claimed(key, action_type.clone(), Timestamp(0));
    ActionExecution { pipeline: "shop".into(), deadline: None, timeout_minutes: 1, ..claimed }
}

/// Changes to a request, one after the other.
pub trait Declare {
    fn input(self, name: &str) -> Self;
    fn output(self, name: &str, files: &[&str]) -> Self;
    fn configure(self, key: &str, value: &str) -> Self;
    fn environment(self, name: &str, value: &str, kind: Option<&str>) -> Self;
}

impl Declare for ActionRequest {
    fn input(mut self, name: &str) -> Self {
        self.declaration.input_artifacts.push(InputArtifact { name: name.into() });
        self.action.inputs.push(artifact_location(name, "bucket", format!("in/{name}")));
        self
    }

    fn output(mut self, name: &str, files: &[&str]) -> Self {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        self.declaration.output_artifacts.push(OutputArtifact { name: name.into(), files });
        self.action.outputs.push(artifact_location(name, "bucket", format!("out/{name}")));
        self
    }

    fn configure(mut self, key: &str, value: &str) -> Self {
        self.declaration.configuration.insert(key.into(), value.into());
        self
    }

    fn environment(mut self, name: &str, value: &str, kind: Option<&str>) -> Self {
        let variable = EnvironmentVariable { name: name.into(), value: value.into(), kind: kind.map(String::from) };
        self.declaration.environment_variables.push(variable);
        self
    }
}

/// Code and message of a failure.
pub fn failure(outcome: &Outcome) -> (&str, &str) {
    let error = outcome.error.as_ref().expect("the action fails");
    (&error.code, &error.message)
}

/// That an action succeeded.
pub fn assert_succeeded(outcome: &Outcome) {
    assert_eq!(outcome.error, None);
}

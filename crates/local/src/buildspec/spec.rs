//! A buildspec, version 0.2.

use model::suggestion::did_you_mean;

use super::node::Node;
use crate::commands::files::Selection;
use crate::commands::session::{AfterFailure, Phase};

/// What a buildspec says, as far as it has a meaning on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Buildspec {
    /// The shell.
    pub shell: &'static str,
    /// `env/variables`.
    pub variables: Vec<(String, String)>,
    /// `env/parameter-store`: variable and parameter.
    pub parameters: Vec<(String, String)>,
    /// `env/secrets-manager`: variable and secret.
    pub secrets: Vec<(String, String)>,
    /// `env/exported-variables`.
    pub exported: Vec<String>,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// `artifacts`, if it names files.
    pub artifacts: Option<Selection>,
    /// `artifacts/secondary-artifacts`, by identifier.
    pub secondary: Vec<(String, Selection)>,
    /// What to tell people: keys that are unknown, or of no meaning here.
    pub remarks: Vec<String>,
}

/// The phases in their order, and whether the next one runs after a failure by default.
const PHASES: [(&str, &str, AfterFailure); 4] = [
    ("install", "INSTALL", AfterFailure::End),
    ("pre_build", "PRE_BUILD", AfterFailure::End),
    ("build", "BUILD", AfterFailure::Continue),
    ("post_build", "POST_BUILD", AfterFailure::End),
];

/// How often `RETRY` runs a phase again.
const USUAL_RETRIES: u32 = 3;
/// The most that `RETRY-n` may say.
const MOST_RETRIES: u32 = 100;

/// Reads a buildspec.
///
/// # Errors
/// The first fault: where it is, what is wrong and what would be right.
pub(super) fn read(text: &str) -> Result<Buildspec, String> {
    let mut reader = Reader { remarks: Vec::new() };
    let root = Node::read(text)?;
    let mut top = reader.fields("", &root)?;
    version(top.take("version"))?;
    let env = reader.env(top.take("env"))?;
    let phases = reader.phases(top.take("phases"))?;
    let (artifacts, secondary) = reader.artifacts(top.take("artifacts"))?;
    if top.take("run-as").is_some() {
        reader.no_user("run-as");
    }
    if top.take("batch").is_some() {
        return Err(
            "batch: batch builds cannot be run here; remove the section, or split the batch into actions".into()
        );
    }
    for (key, why) in [
        ("cache", "of no meaning here"),
        ("proxy", "of no meaning here"),
        ("reports", "of no meaning here: no report is made"),
    ] {
        if top.take(key).is_some() {
            reader.remarks.push(format!("buildspec: {key} is {why}"));
        }
    }
    reader.unknown(top);
    Ok(Buildspec { phases, artifacts, secondary, remarks: reader.remarks, ..env })
}

fn version(found: Option<Node>) -> Result<(), String> {
    match found {
        Some(Node::Text(version)) if version == "0.2" => Ok(()),
        Some(Node::Text(version)) => Err(format!("version: {version} is not supported; write 0.2")),
        Some(other) => Err(format!("version: is {}; write 0.2", other.kind())),
        None => Err("version: is missing; write version: 0.2".into()),
    }
}

/// The primary artifact's files, where there are any, and those of secondary ones by name.
type Artifacts = (Option<Selection>, Vec<(String, Selection)>);

/// The fields of a mapping; each is taken once, and what remains is unknown.
struct Fields {
    path: String,
    fields: Vec<(String, Node)>,
    asked: Vec<&'static str>,
}

impl Fields {
    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.remove(at).1).filter(|node| *node != Node::Null)
    }

    fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}

struct Reader {
    remarks: Vec<String>,
}

impl Reader {
    fn fields(&mut self, path: &str, node: &Node) -> Result<Fields, String> {
        match node {
            Node::Map(fields) => Ok(Fields { path: path.to_owned(), fields: fields.clone(), asked: Vec::new() }),
            other if path.is_empty() => {
                Err(format!("it is {}; a buildspec is a mapping with version and phases", other.kind()))
            }
            other => Err(format!("{path}: is {}; it must be a mapping", other.kind())),
        }
    }

    fn unknown(&mut self, rest: Fields) {
        for (key, _) in &rest.fields {
            let hint = did_you_mean(key, rest.asked.iter().copied()).map(|near| format!("; did you mean {near}?"));
            let path = rest.path(key);
            self.remarks.push(format!("buildspec: {path} is unknown{}", hint.unwrap_or_default()));
        }
    }

    fn no_user(&mut self, path: &str) {
        self.remarks
            .push(format!("buildspec: {path} is of no meaning here: commands run as the user that runs Penstock"));
    }

    fn env(&mut self, node: Option<Node>) -> Result<Buildspec, String> {
        let mut env = self.fields("env", &node.unwrap_or(Node::Map(Vec::new())))?;
        let shell = match env.take("shell").map(|node| text("env/shell", node)).transpose()?.as_deref() {
            None | Some("/bin/sh" | "sh") => "/bin/sh",
            Some("bash" | "/bin/bash") => "bash",
            Some(other) => return Err(format!("env/shell: {other} cannot be run here; it is bash or /bin/sh")),
        };
        let variables = pairs("env/variables", env.take("variables"))?;
        let parameters = pairs("env/parameter-store", env.take("parameter-store"))?;
        let secrets = pairs("env/secrets-manager", env.take("secrets-manager"))?;
        let mut exported = texts("env/exported-variables", env.take("exported-variables"))?;
        exported.retain(|name| {
            let refused = name.starts_with("AWS_");
            if refused {
                self.remarks
                    .push(format!("buildspec: env/exported-variables: {name} is not exported, as none with AWS_ is"));
            }
            !refused
        });
        if env.take("git-credential-helper").is_some() {
            self.remarks.push("buildspec: env/git-credential-helper is of no meaning here".into());
        }
        self.unknown(env);
        Ok(Buildspec {
            shell,
            variables,
            parameters,
            secrets,
            exported,
            phases: Vec::new(),
            artifacts: None,
            secondary: Vec::new(),
            remarks: Vec::new(),
        })
    }

    fn phases(&mut self, node: Option<Node>) -> Result<Vec<Phase>, String> {
        let node = node.ok_or("phases: is missing; write at least phases: {build: {commands: [...]}}")?;
        let mut fields = self.fields("phases", &node)?;
        let mut phases = Vec::new();
        for (key, name, by_default) in PHASES {
            if let Some(node) = fields.take(key) {
                phases.push(self.phase(&fields.path(key), name, by_default, &node)?);
            }
        }
        if phases.is_empty() {
            let given: Vec<&str> = fields.fields.iter().map(|(name, _)| name.as_str()).collect();
            let given = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
            let known = PHASES.map(|(key, ..)| key).join(", ");
            return Err(format!("phases: has {given}; at least one of {known} is needed"));
        }
        self.unknown(fields);
        Ok(phases)
    }

    fn phase(
        &mut self,
        path: &str,
        name: &'static str,
        by_default: AfterFailure,
        node: &Node,
    ) -> Result<Phase, String> {
        let mut fields = self.fields(path, node)?;
        let commands = fields.take("commands");
        // Without commands a phase does nothing and succeeds; only `install` may be about something else.
        if commands.is_none() && name != PHASES[0].1 {
            let given = fields.fields.iter().map(|(name, _)| name.as_str());
            let meant = given.filter(|given| model::suggestion::did_you_mean(given, ["commands"]).is_some());
            let hint = meant.map(|given| format!("; did you mean it by {given}?")).next().unwrap_or_default();
            return Err(format!("{path}/commands: is missing{hint}"));
        }
        let commands = command_list(&fields.path("commands"), commands)?;
        let finally = command_list(&fields.path("finally"), fields.take("finally"))?;
        let on_failure = fields.take("on-failure").map(|node| text(&fields.path("on-failure"), node)).transpose()?;
        let (retries, after_failure) = match on_failure {
            None => (0, by_default),
            Some(word) => {
                on_failure_of(&word, by_default).map_err(|problem| format!("{path}/on-failure: {problem}"))?
            }
        };
        if fields.take("run-as").is_some() {
            self.no_user(&fields.path("run-as"));
        }
        if let Some(versions) = fields.take("runtime-versions") {
            let named = match versions {
                Node::Map(entries) => entries.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
                Node::Null | Node::Text(_) | Node::List(_) => String::new(),
            };
            self.remarks.push(format!("buildspec: {path}/runtime-versions ({named}): what is installed here is used"));
        }
        self.unknown(fields);
        Ok(Phase { name: Some(name), commands, finally, retries, after_failure })
    }

    fn artifacts(&mut self, node: Option<Node>) -> Result<Artifacts, String> {
        let Some(node) = node else { return Ok((None, Vec::new())) };
        let mut fields = self.fields("artifacts", &node)?;
        let mut secondary = Vec::new();
        match fields.take("secondary-artifacts") {
            None => {}
            Some(Node::Map(entries)) => {
                for (name, node) in entries {
                    let path = format!("artifacts/secondary-artifacts/{name}");
                    let fields = self.fields(&path, &node)?;
                    let selection = self.selection(fields)?.ok_or_else(|| format!("{path}/files: is missing"))?;
                    secondary.push((name, selection));
                }
            }
            Some(other) => {
                return Err(format!("artifacts/secondary-artifacts: is {}; it must be a mapping", other.kind()));
            }
        }
        Ok((self.selection(fields)?, secondary))
    }

    fn selection(&mut self, mut fields: Fields) -> Result<Option<Selection>, String> {
        let files = fields.path("files");
        let exclude = fields.path("exclude-paths");
        let selection = Selection {
            files: texts(&files, fields.take("files"))?,
            // Said to be a mapping, shown as a text, used as a list: whichever it is.
            exclude: one_or_more(&exclude, fields.take("exclude-paths"))?,
            base: fields.take("base-directory").map(|node| text(&fields.path("base-directory"), node)).transpose()?,
            discard_paths: switch(&fields.path("discard-paths"), fields.take("discard-paths"))?,
            follow_links: !switch(&fields.path("enable-symlinks"), fields.take("enable-symlinks"))?,
        };
        for ignored in ["name", "s3-prefix"] {
            // A pipeline names its artifacts itself.
            let _ = fields.take(ignored);
        }
        self.unknown(fields);
        Ok(Some(selection).filter(|selection| !selection.files.is_empty()))
    }
}

fn text(path: &str, node: Node) -> Result<String, String> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Null => Ok(String::new()),
        other @ (Node::List(_) | Node::Map(_)) => Err(format!("{path}: is {}; it must be a text", other.kind())),
    }
}

fn texts(path: &str, node: Option<Node>) -> Result<Vec<String>, String> {
    match node {
        None => Ok(Vec::new()),
        Some(Node::List(items)) => {
            items.into_iter().enumerate().map(|(index, item)| text(&format!("{path}[{index}]"), item)).collect()
        }
        Some(other) => Err(format!("{path}: is {}; it must be a list", other.kind())),
    }
}

fn one_or_more(path: &str, node: Option<Node>) -> Result<Vec<String>, String> {
    match node {
        Some(Node::Text(one)) => Ok(vec![one]),
        other => texts(path, other),
    }
}

/// Commands are texts; one with a colon and a space is read as a mapping unless it is quoted, a common mistake.
fn command_list(path: &str, node: Option<Node>) -> Result<Vec<String>, String> {
    if let Some(Node::List(items)) = &node
        && let Some(index) = items.iter().position(|item| matches!(item, Node::Map(_)))
    {
        return Err(format!(
            "{path}[{index}]: is a mapping; put the command in quotes, for it holds a colon and a space"
        ));
    }
    texts(path, node)
}

fn pairs(path: &str, node: Option<Node>) -> Result<Vec<(String, String)>, String> {
    match node {
        None => Ok(Vec::new()),
        Some(Node::Map(entries)) => entries
            .into_iter()
            .map(|(name, value)| {
                let value = text(&format!("{path}/{name}"), value)?;
                Ok((name, value))
            })
            .collect(),
        Some(other) => Err(format!("{path}: is {}; it must be a mapping", other.kind())),
    }
}

fn switch(path: &str, node: Option<Node>) -> Result<bool, String> {
    let Some(node) = node else { return Ok(false) };
    match text(path, node)?.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" | "" => Ok(false),
        other => Err(format!("{path}: is {other}; it is yes or no")),
    }
}

fn on_failure_of(word: &str, by_default: AfterFailure) -> Result<(u32, AfterFailure), String> {
    let right = "it is ABORT, CONTINUE, RETRY, or RETRY-n with n from 0 to 100";
    match word {
        "ABORT" => Ok((0, AfterFailure::End)),
        "CONTINUE" => Ok((0, AfterFailure::Continue)),
        "RETRY" => Ok((USUAL_RETRIES, by_default)),
        other => {
            let count = other.strip_prefix("RETRY-").ok_or_else(|| format!("is {other}; {right}"))?;
            match count.parse() {
                Ok(count) if count <= MOST_RETRIES => Ok((count, by_default)),
                Ok(_) => Err(format!("is {other}; {right}")),
                Err(_) => Err(format!("is {other}, but regular expressions are not supported here; {right}")),
            }
        }
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;

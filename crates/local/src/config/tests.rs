use super::*;

const WHOLE: &str = r#"
[source."Checkout"]
path = "../repo"
[source."shop/Checkout"]
path = "/abs/repo"
[bucket."site"]
path = "out/site"
[project."unit-tests"]
buildspec = "ci/build.yml"
environment = { K = "V" }
[project.plain]
[function."notify"]
command = ["python3", "notify.py"]
environment = { LEVEL = "1" }
[function."remote"]
endpoint_url = "http://127.0.0.1:4566"
[provider."CloudFormation"]
endpoint_url = "aws"
[secret."token"]
value = "hush-hush"
[secret."from-env"]
env = "PENSTOCK_TEST_SURELY_UNSET"
[secret."from-file"]
file = "secrets/token"
[environment]
inherit = ["CARGO_HOME"]
[limits]
programs = 4
"#;

fn faults(text: &str) -> Vec<String> {
    match LocalConfig::parse(Path::new("dir/penstock.toml"), text) {
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        Ok(config) => panic!("accepted: {config:?}"),
    }
}

#[test]
fn every_section_is_read_and_paths_are_relative_to_the_file() {
    let config = LocalConfig::parse(Path::new("/home/me/shop/penstock.toml"), WHOLE).unwrap();
    assert_eq!(config.source("other", "Checkout"), Some(Path::new("/home/me/shop/../repo")));
    assert_eq!(config.source("shop", "Checkout"), Some(Path::new("/abs/repo")), "the longer wins");
    assert_eq!(config.source("shop", "Other"), None);
    assert_eq!(config.buckets["site"], Path::new("/home/me/shop/out/site"));
    assert_eq!(config.projects["unit-tests"].buildspec.as_deref(), Some("ci/build.yml"));
    assert_eq!(config.projects["unit-tests"].environment["K"], "V");
    assert_eq!(config.projects["plain"], Project::default());
    let Function::Command { command, environment } = &config.functions["notify"] else { panic!() };
    assert_eq!((command.len(), environment["LEVEL"].as_str()), (2, "1"));
    assert_eq!(config.functions["remote"], Function::Endpoint("http://127.0.0.1:4566".into()));
    assert_eq!(config.providers["CloudFormation"], "aws");
    assert_eq!(config.inherit, ["CARGO_HOME"]);
    assert_eq!(config.programs, Some(4));
}

#[test]
fn faults_are_all_named_with_their_lines() {
    let text = "[sorce.x]\npath = 1\n[bucket.b]\npaht = 'x'\n[function.f]\n[limits]\nprograms = 0\n";
    assert_eq!(
        faults(text),
        [
            "dir/penstock.toml:1: unknown section `sorce` in penstock.toml; did you mean `source`?",
            "dir/penstock.toml:3: [bucket.\"b\"] needs `path`",
            "dir/penstock.toml:4: unknown key `paht` in [bucket.\"b\"]; did you mean `path`?",
            "dir/penstock.toml:5: [function.\"f\"] needs either `command` or `endpoint_url`",
            "dir/penstock.toml:7: `programs` must be a whole number of at least 1",
        ]
    );
}

#[test]
fn values_of_the_wrong_kind_are_faults() {
    for (text, said) in [
        ("source = 1", "1: `source` takes names: write [source.\"NAME\"]"),
        ("[source]\nx = 'y'", "2: [source.\"x\"] must be a table, not of type string"),
        ("[source.x]\npath = ''", "2: `path` is empty"),
        ("[source.x]\npath = true", "2: `path` must be a string, not of type boolean"),
        ("[project.x]\nenvironment = { A = 1 }", "2: `environment.A` must be a string"),
        ("[project.x]\nenvironment = 'A=1'", "2: `environment` must be a table of strings"),
        ("[function.x]\ncommand = 'a b'", "2: `command` must be a list of strings"),
        ("[function.x]\ncommand = []", "2: `command` names no program"),
        ("[function.x]\ncommand = ['a']\nendpoint_url = 'aws'", "needs either `command` or `endpoint_url`"),
        ("[provider.x]\nendpoint_url = 'localhost'", "must be a URL as \"http://127.0.0.1:4566\""),
        ("[secret.x]\nvalue = 'a'\nenv = 'B'", "1: [secret.\"x\"] needs exactly one of"),
        ("[environment]\ninherit = 'A'", "2: `inherit` must be a list of strings"),
        ("[limits]\nprograms = -1", "2: `programs` must be a whole number"),
        ("a = [", "1: "),
        ("[x]\n[x]", "2: "),
    ] {
        let found = faults(text).join("\n");
        assert!(found.contains(said), "{text}: {found}");
    }
}

#[test]
fn secrets_are_found_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let config = LocalConfig::parse(&dir.path().join("penstock.toml"), WHOLE).unwrap();
    assert_eq!(config.secret("token").unwrap(), "hush-hush");
    assert!(!format!("{config:?}").contains("hush-hush"));
    let unset = config.secret("from-env").unwrap_err().to_string();
    assert!(unset.contains("PENSTOCK_TEST_SURELY_UNSET, which is not set"), "{unset}");
    let absent = config.secret("from-file").unwrap_err().to_string();
    assert!(absent.contains("secrets/token"), "{absent}");
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    std::fs::write(dir.path().join("secrets/token"), "two\nlines\r\n").unwrap();
    assert_eq!(config.secret("from-file").unwrap(), "two\nlines");
    let unknown = config.secret("tokens").unwrap_err().to_string();
    assert!(unknown.contains("there is `token`") && unknown.contains("[secret.\"tokens\"]"), "{unknown}");
}

#[test]
fn the_file_is_found_beside_and_need_not_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pipeline.json");
    assert_eq!(LocalConfig::discover(&file).unwrap(), LocalConfig::empty(dir.path().into()));
    std::fs::write(dir.path().join(FILE_NAME), "[bucket.b]\npath = 'x'").unwrap();
    for beside in [&file, dir.path()] {
        assert_eq!(LocalConfig::discover(beside).unwrap().buckets["b"], dir.path().join("x"));
    }
    assert!(matches!(LocalConfig::load(&file), Err(ConfigError::Unreadable { .. })));
}

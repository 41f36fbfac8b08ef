//! Every rule of semantics.md 6 as a row of a table, and what holds of all filters.

use model::{Patterns, Pipeline, PullRequestFilter, PushFilter};
use proptest::prelude::*;
use serde_json::json;

use super::change::NO_COMMIT;
use super::*;
use crate::item::SourceHead;

fn patterns(text: &str) -> Patterns {
    let mut patterns = Patterns::default();
    for word in text.split_whitespace() {
        match word.strip_prefix('!') {
            Some(word) => patterns.excludes.push(word.into()),
            None => patterns.includes.push(word.into()),
        }
    }
    patterns
}

/// `branches: main !x; files: a/**` as a filter.
fn fields(text: &str) -> Vec<(&str, Patterns)> {
    text.split(';')
        .filter_map(|part| part.split_once(':'))
        .map(|(name, globs)| (name.trim(), patterns(globs)))
        .collect()
}

fn push_filter(text: &str) -> PushFilter {
    let mut filter = PushFilter::default();
    for (name, patterns) in fields(text) {
        match name {
            "tags" => filter.tags = Some(patterns),
            "branches" => filter.branches = Some(patterns),
            "files" => filter.file_paths = Some(patterns),
            other => panic!("{other}"),
        }
    }
    filter
}

fn request_filter(text: &str) -> PullRequestFilter {
    let mut filter = PullRequestFilter::default();
    for (name, patterns) in fields(text) {
        match name {
            "events" => filter.events = patterns.includes,
            "branches" => filter.branches = Some(patterns),
            "files" => filter.file_paths = Some(patterns),
            other => panic!("{other}"),
        }
    }
    filter
}

/// `main a.txt b.txt` is a push to a branch, `tag:v1` one of a tag, `new:`, `gone:` and `unknown:` say what they say.
fn push(text: &str) -> RepositoryChange {
    let mut words = text.split_whitespace();
    let mut name = words.next().unwrap();
    let mut push = Push { before: Some("b".into()), after: Some("a".into()), ..Push::default() };
    push.files = Some(words.map(str::to_owned).collect());
    if let Some(rest) = name.strip_prefix("new:") {
        (push.before, name) = (None, rest);
    }
    if let Some(rest) = name.strip_prefix("gone:") {
        (push.after, name) = (None, rest);
    }
    if let Some(rest) = name.strip_prefix("unknown:") {
        (push.files, name) = (None, rest);
    }
    push.git_ref = match name.strip_prefix("tag:") {
        Some(tag) => format!("refs/tags/{tag}"),
        None => format!("refs/heads/{name}"),
    };
    RepositoryChange::Push(push)
}

/// `OPEN topic->main a.txt`.
fn request(text: &str) -> RepositoryChange {
    let mut words = text.split_whitespace();
    let event = match words.next().unwrap() {
        "OPEN" => PullRequestEvent::Open,
        "UPDATED" => PullRequestEvent::Updated,
        "CLOSED" => PullRequestEvent::Closed,
        other => panic!("{other}"),
    };
    let (source, target) = words.next().unwrap().split_once("->").unwrap();
    let files: Vec<String> = words.map(str::to_owned).collect();
    RepositoryChange::PullRequest(PullRequest {
        number: 7,
        event,
        title: None,
        source_branch: source.into(),
        target_branch: target.into(),
        head: Commit { id: "c".into(), ..Commit::default() },
        from_fork: false,
        files: (files != ["unknown"]).then_some(files),
    })
}

fn pushes(filters: &str) -> Watch {
    Watch::Trigger { push: filters.split('|').map(push_filter).collect(), pull_request: Vec::new() }
}

fn requests(filters: &str) -> Watch {
    Watch::Trigger { push: Vec::new(), pull_request: filters.split('|').map(request_filter).collect() }
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Starts(Passed::Branch) => "starts".into(),
        Verdict::Starts(Passed::Push(index) | Passed::PullRequest(index)) => format!("starts {index}"),
        Verdict::NeedsFiles => "needs files".into(),
        Verdict::Passes(_) => "no".into(),
        Verdict::Unreadable(_) => "unreadable".into(),
    }
}

#[test]
fn pushes_against_filters() {
    let many = format!("main {}", (0..100).map(|n| format!("other/{n} ")).collect::<String>());
    let rows: &[(&str, &str, &str)] = &[
        // Branches and tags; excludes win.
        ("branches: main", "main", "starts 0"),
        ("branches: main", "topic", "no"),
        ("branches: main", "tag:main", "no"),
        ("tags: v1.*", "tag:v1.2", "starts 0"),
        ("tags: v1.*", "v1.2", "no"),
        ("tags: v* !v2*", "tag:v2.1", "no"),
        ("branches: ** !release", "release", "no"),
        ("branches: main !main", "main", "no"),
        ("branches: !main", "topic/x", "starts 0"),
        ("branches: !main", "main", "no"),
        // `*` stays within a name between slashes, `**` crosses.
        ("branches: feature/*", "feature/a", "starts 0"),
        ("branches: feature/*", "feature/a/b", "no"),
        ("branches: feature/**", "feature/a/b", "starts 0"),
        ("branches: *", "feature/a", "no"),
        ("branches: **", "feature/a", "starts 0"),
        ("branches: {main,next}", "next", "starts 0"),
        // A list's filters are alternatives.
        ("branches: main | tags: v*", "tag:v1", "starts 1"),
        ("branches: main | branches: next", "other", "no"),
        // A filter's fields must all fit; one changed file that passes is enough.
        ("branches: main; files: src/**", "main src/a.rs", "starts 0"),
        ("branches: main; files: src/**", "next src/a.rs", "no"),
        ("branches: main; files: src/**", "main doc/a.md", "no"),
        ("branches: main; files: src/**", "main doc/a.md src/x/y.rs", "starts 0"),
        ("branches: main; files: !**/*.md", "main a.md doc/b.md", "no"),
        ("branches: main; files: !**/*.md", "main a.md b.rs", "starts 0"),
        ("branches: main; files: README.md !LICENSE.txt", "main LICENSE.txt", "no"),
        ("branches: main; files: README.md !LICENSE.txt", "main LICENSE.txt README.md", "starts 0"),
        ("branches: main; files: common/**/*.js", "main common/app.js", "starts 0"),
        ("branches: main; files: src/**", "main", "no"),
        // Only the first 100 files are looked at.
        ("branches: main; files: src/**", &format!("{many} src/a"), "no"),
        ("branches: main; files: src/**", &format!("{} src/a", many.replace("other/7 ", "")), "starts 0"),
        // A new branch starts, but not with file paths: what it changes is not known.
        ("branches: topic", "new:topic", "starts 0"),
        ("branches: topic; files: **", "new:topic a", "no"),
        ("branches: main; files: **", "unknown:main", "needs files"),
        ("branches: next; files: **", "unknown:main", "no"),
        ("branches: main; files: ** | branches: main", "unknown:main", "starts 1"),
        ("tags: v*; files: **", "tag:v1 a", "no"),
        // Nothing runs for what is gone, and a filter that asks for nothing lets nothing in.
        ("branches: main", "gone:main", "no"),
        ("tags: **", "gone:tag:v1", "no"),
        ("", "main", "no"),
        ("branches: {main", "main", "unreadable"),
    ];
    for (filters, event, expected) in rows {
        assert_eq!(word(&judge(&pushes(filters), &push(event))), *expected, "{filters} / {event}");
    }
    assert_eq!(word(&judge(&pushes("branches: **"), &request("OPEN a->b"))), "no");
}

#[test]
fn pull_requests_against_filters() {
    let rows = [
        ("branches: main", "OPEN topic->main", "starts 0"),
        ("branches: main", "CLOSED topic->main", "starts 0"),
        ("branches: topic", "OPEN topic->main", "no"),
        ("events: CLOSED; branches: main", "CLOSED topic->main", "starts 0"),
        ("events: CLOSED; branches: main", "UPDATED topic->main", "no"),
        ("events: OPEN UPDATED; branches: main", "UPDATED topic->main", "starts 0"),
        ("branches: main !release/*", "OPEN topic->release/1", "no"),
        ("branches: main; files: src/**", "OPEN topic->main src/a", "starts 0"),
        ("branches: main; files: src/**", "OPEN topic->main doc/a", "no"),
        ("branches: main; files: src/**", "OPEN topic->main unknown", "needs files"),
        ("events: OPEN; branches: next | events: CLOSED; branches: main", "CLOSED topic->main", "starts 1"),
    ];
    for (filters, event, expected) in rows {
        assert_eq!(word(&judge(&requests(filters), &request(event))), expected, "{filters} / {event}");
    }
    assert_eq!(word(&judge(&requests("branches: **"), &push("main"))), "no");
}

#[test]
fn without_a_trigger_pushes_to_the_configured_branch_start() {
    let watch = Watch::Branch("main".into());
    for (event, expected) in
        [("main", "starts"), ("new:main", "starts"), ("gone:main", "no"), ("topic", "no"), ("tag:main", "no")]
    {
        assert_eq!(word(&judge(&watch, &push(event))), expected, "{event}");
    }
    assert_eq!(word(&judge(&watch, &request("OPEN topic->main"))), "no");
}

fn declared(kind: &str, configuration: serde_json::Value, triggers: serde_json::Value) -> Option<Watch> {
    let pipeline: Pipeline = serde_json::from_value(json!({
        "name": "p", "roleArn": "r", "pipelineType": kind, "triggers": triggers,
        "stages": [{ "name": "S", "actions": [{ "name": "Src",
            "actionTypeId": { "category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1" },
            "configuration": configuration }] }]
    }))
    .unwrap();
    let action = &pipeline.stages[0].actions[0];
    Watch::of(&pipeline, action)
}

#[test]
fn a_declared_trigger_takes_the_place_of_the_default() {
    let branch = json!({ "BranchName": "main" });
    let quiet = json!({ "BranchName": "main", "DetectChanges": "false" });
    let trigger = |action: &str| {
        json!([{ "providerType": "CodeStarSourceConnection", "gitConfiguration":
            { "sourceActionName": action, "push": [{ "tags": { "includes": ["v*"] } }] } }])
    };
    let default = Some(Watch::Branch("main".into()));
    assert_eq!(declared("V2", branch.clone(), json!([])), default);
    assert_eq!(declared("V1", branch.clone(), json!([])), default);
    assert_eq!(declared("V2", quiet.clone(), json!([])), None);
    assert_eq!(declared("V1", quiet.clone(), json!([])), None);
    assert_eq!(declared("V2", quiet, trigger("Src")), Some(pushes("tags: v*")));
    assert_eq!(declared("V2", branch.clone(), trigger("Other")), default);
    assert_eq!(declared("V1", branch, trigger("Src")), default);
}

#[test]
fn patterns_fit_whole_names() {
    let rows = [
        ("*.java", "A.java", true),
        ("*.java", "a/A.java", false),
        ("*.{java,class}", "A.class", true),
        ("foo.?", "foo.c", true),
        ("foo.?", "foo./", false),
        ("directory/*", "directory/a", true),
        ("directory/*", "directory/a/b", false),
        ("directory/**", "directory/a/b", true),
        ("directory/**", "directory", false),
        ("**/README.md", "README.md", true),
        ("**/README.md", "a/b/README.md", true),
        ("**/README.md", "aREADME.md", false),
        ("a/**/b", "a/b", true),
        ("a/**/b", "a/x/y/b", true),
        ("release**", "release/1/2", true),
        ("x**/b", "xa/c/b", true),
        ("[ab]c", "bc", true),
        ("[!ab]c", "bc", false),
        ("[!ab]c", "/c", false),
        ("[a-c]", "b", true),
        ("[-a]", "-", true),
        ("[*?\\]", "\\", true),
        ("[.-0]", "/", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("a.c", "abc", false),
        ("Main", "main", false),
        ("main", "main\n", false),
        ("ma,in", "ma,in", true),
        ("{a/**,b}", "a/x/y", true),
        ("schön/*", "schön/ß", true),
    ];
    for (pattern, name, expected) in rows {
        assert_eq!(Glob::new(pattern).unwrap().fits(name), expected, "{pattern} / {name}");
    }
    for wrong in ["[a", "{a", "a}", "a\\", "[z-a]"] {
        assert!(Glob::new(wrong).is_err(), "{wrong}");
    }
}

fn head(pushes: &str) -> SourceHead {
    let pushes = pushes.split_whitespace().filter_map(|push| push.split_once("..")).map(|(b, a)| (b.into(), a.into()));
    SourceHead { pushes: pushes.collect(), sequencer: None }
}

#[test]
fn pushes_that_were_noted_are_repeats() {
    // (noted, tip, push, repeat)
    let rows = [
        ("", None, "..b", false),
        ("a..b", Some("b"), "a..b", true),
        // Another hook, or a look at the branch that missed what came between.
        ("x..z", Some("z"), "y..z", true),
        ("a..b b..c", Some("c"), "a..b", true),
        ("a..b b..c", Some("c"), "c..d", false),
        // An old push that comes late is no repeat, and does not move the tip.
        ("b..c", Some("c"), "a..b", false),
        ("b..c a..b", Some("c"), "b..c", true),
        ("d..e c..d a..b b..c", Some("e"), "d..e", true),
        // A branch set back, and pushed again.
        ("a..b b..a", Some("a"), "a..b", false),
        ("a..b b..a a..b", Some("b"), "b..a", false),
        ("a..b b..c c..a", Some("a"), "a..d", false),
    ];
    for (noted, expected, pushed, repeat) in rows {
        let head = head(noted);
        assert_eq!(tip(&head), expected, "{noted}");
        let (before, after) = pushed.split_once("..").unwrap();
        assert_eq!(is_repeat(&head, Some(before).filter(|b| !b.is_empty()), after), repeat, "{noted} / {pushed}");
    }
}

/// A branch that was deleted and is pushed again starts anew, whatever was noted of it before.
#[test]
fn a_deleted_branch_is_new_when_it_is_pushed_again() {
    let passed = |head: &mut SourceHead, moved: &str| {
        let (before, after) = moved.split_once("..").unwrap();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        note_passed(head, &Push { before: some(before), after: some(after), ..Push::default() })
    };
    // (noted, the deletion, is it noted)
    for (noted, deleted, expected) in [
        ("0..a a..b", "b..", true),
        // A push in between that no filter let pass, and a deletion that does not say where the branch was.
        ("0..a a..b", "x..", true),
        ("0..a a..b", "..", true),
        ("", "b..", false),
    ] {
        let mut head = head(&noted.replace('0', NO_COMMIT));
        assert_eq!((passed(&mut head, deleted), is_gone(&head)), (expected, expected), "{noted} / {deleted}");
        assert!(!is_repeat(&head, Some(NO_COMMIT), "a"), "{noted} / {deleted}");
        assert!(!passed(&mut head, deleted), "it is gone already");
    }
    // Its deletion comes after it is there again.
    let mut late = head(&"0..a a..b 0..c".replace('0', NO_COMMIT));
    assert!(passed(&mut late, "b.."));
    assert_eq!(tip(&late), Some("c"));
    // There again without starting anything: what follows is no old push.
    let mut again = head(&"0..a a..b b..0".replace('0', NO_COMMIT));
    assert!(is_repeat(&again, Some("a"), "b"));
    assert!(passed(&mut again, "..a") && !passed(&mut again, "..a"));
    assert!(!is_repeat(&again, Some("a"), "b"));
}

#[test]
fn origins_say_what_events_write() {
    let commit = Commit {
        id: "c0ffee".into(),
        message: Some("Update".into()),
        author_name: Some("Mary Major".into()),
        ..Commit::default()
    };
    let push = Push {
        git_ref: "refs/tags/v4".into(),
        after: Some("7a6".into()),
        commit: Some(commit.clone()),
        ..Push::default()
    };
    let mut event = RepositoryEvent {
        provider: "GitLab".into(),
        connection: "arn".into(),
        repository: "mmajor/sample".into(),
        delivery: None,
        change: RepositoryChange::Push(push),
    };
    let origin = event.origin();
    assert_eq!(origin.after.as_deref(), Some("c0ffee"));
    let expected = json!({
        "provider-type": "GitLab", "full-repository-name": "mmajor/sample", "connection-arn": "arn", "tag-name": "v4",
        "commit-id": "c0ffee", "commit-message": "Update", "author-display-name": "Mary Major"
    });
    assert_eq!(json!(origin.trigger), expected);
    let RepositoryChange::PullRequest(mut pull) = request("OPEN topic->main") else { panic!() };
    pull.head = commit;
    event.change = RepositoryChange::PullRequest(pull);
    let origin = event.origin();
    assert_eq!((origin.git_ref.as_deref(), origin.after.as_deref()), (Some("refs/pull/7/head"), Some("c0ffee")));
    assert_eq!(origin.trigger["branch-name"], "topic");
}

proptest! {
    /// Whatever the pattern, reading it ends, and what it lets in without a star it lets in alone.
    #[test]
    fn patterns_never_panic(pattern in ".{0,30}", name in ".{0,30}") {
        if let Ok(glob) = Glob::new(&pattern) {
            let _ = glob.fits(&name);
        }
    }

    /// A name without special characters fits itself and nothing else.
    #[test]
    fn plain_names_fit_themselves(name in "[a-zA-Z0-9_./-]{1,20}", other in "[a-zA-Z0-9_./-]{1,20}") {
        let glob = Glob::new(&name).unwrap();
        prop_assert!(glob.fits(&name));
        prop_assert_eq!(glob.fits(&other), name == other);
    }

    /// `*` never crosses a slash, `**` always does.
    #[test]
    fn stars_and_slashes(name in "[a-z/]{0,12}") {
        prop_assert_eq!(Glob::new("*").unwrap().fits(&name), !name.contains('/'));
        prop_assert!(Glob::new("**").unwrap().fits(&name));
    }

    /// An exclude more never starts more; another filter more never starts less.
    #[test]
    fn filters_are_monotonous(name in "[a-c/]{1,4}", one in "[a-c*/]{1,4}", other in "[a-c*/]{1,4}") {
        let starts = |watch: &Watch| matches!(judge(watch, &push(&name)), Verdict::Starts(_));
        let plain = pushes(&format!("branches: {one}"));
        let excluded = pushes(&format!("branches: {one} !{other}"));
        let more = pushes(&format!("branches: {one} | branches: {other}"));
        prop_assert!(!starts(&excluded) || starts(&plain));
        prop_assert!(!starts(&plain) || starts(&more));
    }
}

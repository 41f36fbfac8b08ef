//! Links and pages, over a desk of one approval.

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use engine::Approval;
use http::Request;
use model::Category;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_795_500_000_000);
const ID: &str = "0f9a1c4e-7a07-4f4b-9b5e-3a0d5f1c2b11";
const TOKEN: &str = "5d1c7f0e-93cf-4f43-8f6c-0a1f6f9d7a02";

fn waiting() -> ActionExecution {
    let key = testkit::actions::key(ID.parse().unwrap(), "Ship", "Decide");
    let manual = testkit::actions::aws_type(Category::Approval, "Manual");
    ActionExecution {
        id: ID.parse().unwrap(),
        pipeline: "release".into(),
        approval: Some(Approval { token: TOKEN.into(), required: 1, decisions: Vec::new() }),
        ..testkit::actions::claimed(key, manual, NOW)
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A desk of one action that decides once, as the engine does.
struct OneDesk {
    action: Mutex<ActionExecution>,
    shown: Shown,
    finds: AtomicUsize,
    shows: AtomicUsize,
}

#[async_trait]
impl Desk for OneDesk {
    async fn find(&self, link: &Link) -> Result<Option<ActionExecution>, ApiError> {
        self.finds.fetch_add(1, Ordering::Relaxed);
        let action = self.action.lock().unwrap().clone();
        Ok((link.action_key() == action.key && link.pipeline_id.to_string() == ID).then_some(action))
    }

    async fn show(&self, _: &Link, _: &ActionExecution) -> Result<Shown, ApiError> {
        self.shows.fetch_add(1, Ordering::Relaxed);
        Ok(self.shown.clone())
    }

    async fn decide(&self, _: &Link, _: &ActionExecution, decision: ApprovalDecision) -> Result<(), ApiError> {
        let mut action = self.action.lock().unwrap();
        if action.status != ActionStatus::InProgress {
            return Err(engine::Refusal::ApprovalAlreadyCompleted.into());
        }
        action.status = if decision.approved { ActionStatus::Succeeded } else { ActionStatus::Failed };
        action.approval.as_mut().unwrap().decisions.push(decision);
        Ok(())
    }
}

struct Setup {
    desk: Arc<OneDesk>,
    keys: Arc<KeyFile>,
    approvals: Approvals,
    _folder: tempfile::TempDir,
}

fn setup_with(shown: Shown) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let keys = Arc::new(KeyFile::load_or_make(&folder.path().join("approval-key")).unwrap());
    let action = Mutex::new(waiting());
    let desk = Arc::new(OneDesk { action, shown, finds: AtomicUsize::new(0), shows: AtomicUsize::new(0) });
    let approvals = Approvals::new(desk.clone(), keys.clone());
    Setup { desk, keys, approvals, _folder: folder }
}

fn setup() -> Setup {
    setup_with(Shown {
        pipeline: "release".into(),
        stage: "Ship".into(),
        action: "Decide".into(),
        execution: ID.into(),
        ..Shown::default()
    })
}

impl Setup {
    fn link(&self) -> Link {
        Link {
            id: ID.parse().unwrap(),
            recipient: "ada@example.org".into(),
            region: "eu-west-1".into(),
            pipeline_id: ID.parse().unwrap(),
            execution: ID.parse().unwrap(),
            stage: "Ship".into(),
            action: "Decide".into(),
            run_order: 1,
            attempt: 1,
            action_execution_id: ID.parse().unwrap(),
            token: TOKEN.into(),
            expires: NOW.plus_minutes(30),
            key_id: self.keys.current().into(),
        }
    }

    fn token(&self) -> String {
        self.sign(&self.link())
    }

    fn sign(&self, link: &Link) -> String {
        block_on(self.approvals.sign(link)).unwrap()
    }

    fn get(&self, token: &str) -> (u16, String) {
        self.call("GET", token, "", NOW)
    }

    fn post(&self, token: &str, form: &str) -> (u16, String) {
        self.call("POST", token, form, NOW)
    }

    fn call(&self, method: &str, token: &str, body: &str, now: Timestamp) -> (u16, String) {
        let response = self.response(method, token, body, now);
        let status = response.status().as_u16();
        match response.into_body() {
            Body::Full(bytes) => (status, String::from_utf8(bytes.to_vec()).unwrap()),
            Body::Stream(_) => panic!("a page is no stream"),
        }
    }

    fn response(&self, method: &str, token: &str, body: &str, now: Timestamp) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri("/approve/x")
            .header("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
            .header("user-agent", "Browser/1.0")
            .body(())
            .unwrap();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        block_on(self.approvals.serve(&request.into_parts().0, token, body.as_bytes(), peer, now))
    }

    fn change(&self, change: impl FnOnce(&mut ActionExecution)) {
        change(&mut self.desk.action.lock().unwrap());
    }

    fn decisions(&self) -> Vec<ApprovalDecision> {
        self.desk.action.lock().unwrap().approval.as_ref().unwrap().decisions.clone()
    }
}

fn decision(via: Option<String>) -> ApprovalDecision {
    ApprovalDecision { approved: true, summary: String::new(), by: "arn".into(), via, at: NOW }
}

const INVALID: &str = "This is not a valid link";

#[test]
fn getting_the_page_changes_nothing() {
    let setup = setup();
    let token = setup.token();
    for method in ["GET", "HEAD", "GET"] {
        let (status, page) = setup.call(method, &token, "", NOW);
        assert_eq!(status, 200);
        assert!(page.contains("Approve or reject?") && page.contains("release"), "{page}");
    }
    assert_eq!(setup.decisions(), []);
}

#[test]
fn posting_decides_once_and_keeps_who_and_how() {
    for (form, approved, summary, word) in [
        ("decision=approve&summary=ship+it%0D%0Anow", true, "ship it\nnow", "Approved"),
        ("summary=&decision=reject", false, "", "Rejected"),
    ] {
        let setup = setup();
        let token = setup.token();
        let (status, page) = setup.post(&token, form);
        assert_eq!(status, 200, "{page}");
        assert!(page.contains(&format!("<h1>{word}</h1>")), "{page}");
        let expected = ApprovalDecision {
            approved,
            summary: summary.into(),
            by: "ada@example.org".into(),
            via: Some(format!("link {ID}, 127.0.0.1, Browser/1.0")),
            at: NOW,
        };
        assert_eq!(setup.decisions(), std::slice::from_ref(&expected));
        for method in ["GET", "POST"] {
            let (status, page) = setup.call(method, &token, "decision=approve", NOW);
            assert_eq!(status, 409);
            assert!(page.contains("Already decided") && page.contains(word), "{page}");
        }
        assert_eq!(setup.decisions(), [expected]);
    }
}

#[test]
fn the_loser_of_two_at_once_gets_the_used_page() {
    let setup = setup();
    let token = setup.token();
    let opened = block_on(setup.approvals.open(&token, NOW)).ok().unwrap();
    assert_eq!(setup.post(&token, "decision=approve").0, 200);
    // The other had read the action before.
    let error = block_on(setup.desk.decide(&opened.link, &opened.action, decision(None))).unwrap_err();
    let page = Closed::from(error).page();
    assert_eq!(page.status(), 409);
    assert_eq!(setup.decisions().len(), 1);
}

#[test]
fn forms_that_say_nothing_clear_decide_nothing() {
    let setup = setup();
    let token = setup.token();
    let long = format!("decision=approve&summary={}", "%C3%A4".repeat(513));
    for (form, part) in [
        ("", "Choose Approve or Reject"),
        ("decision=", "Choose Approve or Reject"),
        ("decision=Approve", "Choose Approve or Reject"),
        ("decision=approve&decision=reject", "Choose Approve or Reject"),
        ("decision=approve&summary=a&summary=b", "given twice"),
        ("decision=approve&x=1", "not known"),
        (long.as_str(), "at most 512 characters"),
        (&"x".repeat(MAX_FORM_BYTES + 1), "at most 512 characters"),
    ] {
        let (status, page) = setup.post(&token, form);
        assert_eq!(status, 400, "{form}");
        assert!(page.contains("role=\"alert\"") && page.contains(part), "{form}: {page}");
    }
    // What was written is not lost.
    assert!(setup.post(&token, "summary=kept+text").1.contains("kept text"));
    assert_eq!(setup.decisions(), []);
    assert_eq!(setup.post(&token, &format!("decision=approve&summary={}", "%C3%A4".repeat(512))).0, 200);
}

#[test]
fn other_methods_are_refused() {
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let setup = setup();
        let response = setup.response(method, &setup.token(), "decision=approve", NOW);
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
        assert_eq!(setup.decisions(), []);
    }
}

#[test]
fn altered_links_and_noise_get_one_page() {
    let setup = setup();
    let token = setup.token();
    let (payload, mac) = token.split_once('.').unwrap();
    let first = setup.get("x");
    assert_eq!(first.0, 404);
    assert!(first.1.contains(INVALID));
    let link = |change: fn(&mut Link)| {
        let mut link = setup.link();
        change(&mut link);
        // The payload changed, the MAC as it was.
        let payload = serde_json::to_vec(&link).unwrap();
        format!("{}.{mac}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload))
    };
    let altered = [
        String::new(),
        ".".into(),
        payload.into(),
        format!("{payload}."),
        format!("{payload}.{mac}."),
        format!("{payload}.{mac}A"),
        format!("{payload}={mac}"),
        format!("{payload}.{}", "A".repeat(43)),
        format!(".{mac}"),
        "a".repeat(1_000_000),
        "%2e%2e/%00".into(),
        link(|link| link.expires = link.expires.plus_minutes(1)),
        link(|link| link.recipient = "eve@example.org".into()),
        link(|link| link.id = TOKEN.parse().unwrap()),
        link(|link| link.key_id = "other".into()),
        link(|link| link.region = "us-east-1".into()),
        link(|link| link.stage = "Other".into()),
        link(|link| link.attempt = 2),
        link(|link| link.token = "another".into()),
    ];
    for token in &altered {
        assert_eq!(setup.get(token), first, "{token:.80}");
        assert_eq!(setup.post(token, "decision=approve"), first, "{token:.80}");
    }
    assert_eq!(setup.decisions(), []);
    assert_eq!(setup.desk.shows.load(Ordering::Relaxed), 0);
}

#[test]
fn well_signed_links_that_fit_no_approval_get_the_same_page() {
    let setup = setup();
    let first = setup.get("x");
    let cases: [fn(&mut Link); 4] = [
        |link| link.pipeline_id = TOKEN.parse().unwrap(),
        |link| link.token = "another".into(),
        |link| link.action_execution_id = TOKEN.parse().unwrap(),
        |link| link.run_order = 2,
    ];
    for change in cases {
        let mut link = setup.link();
        change(&mut link);
        assert_eq!(setup.get(&setup.sign(&link)), first);
    }
    let other = self::setup();
    assert_eq!(setup.get(&other.token()), first);
    setup.change(|action| action.approval = None);
    assert_eq!(setup.get(&setup.token()), first);
}

#[test]
fn noise_costs_at_most_one_read() {
    let setup = setup();
    setup.get("noise");
    assert_eq!(setup.desk.finds.load(Ordering::Relaxed), 0);
    setup.get(&self::setup().token());
    assert_eq!(setup.desk.finds.load(Ordering::Relaxed), 1);
}

#[test]
fn expired_links_have_their_page() {
    let setup = setup();
    let token = setup.token();
    let at = |now| setup.call("POST", &token, "decision=approve", now);
    let (status, page) = at(NOW.plus_minutes(30));
    assert_eq!(status, 410);
    assert!(page.contains("This link has expired"), "{page}");
    assert_eq!(setup.decisions(), []);
    setup.change(|action| action.deadline = Some(NOW));
    assert!(at(NOW).1.contains("This link has expired"));
    setup.change(|action| action.status = ActionStatus::Failed);
    assert!(at(NOW.plus_millis(-1)).1.contains("This link has expired"));
    assert_eq!(setup.decisions(), []);
}

#[test]
fn superseded_links_have_their_page() {
    for status in [ActionStatus::Abandoned, ActionStatus::Cancelled] {
        let setup = setup();
        setup.change(|action| action.status = status);
        for (status, page) in [setup.get(&setup.token()), setup.post(&setup.token(), "decision=approve")] {
            assert_eq!(status, 410);
            assert!(page.contains("This link was superseded"), "{page}");
        }
    }
    let setup = setup_with(Shown { has_newer_attempt: true, ..Shown::default() });
    setup.change(|action| {
        action.status = ActionStatus::Failed;
        action.approval.as_mut().unwrap().decisions.push(decision(None));
    });
    assert!(setup.get(&setup.token()).1.contains("This link was superseded"));
}

#[test]
fn a_link_counts_once_even_where_several_must_decide() {
    let setup = setup();
    let mine = decision(Some(via_prefix(&setup.link())));
    setup.change(|action| {
        let approval = action.approval.as_mut().unwrap();
        approval.required = 2;
        approval.decisions.push(mine);
    });
    assert_eq!(setup.post(&setup.token(), "decision=approve").0, 409);
    let other = Link { id: TOKEN.parse().unwrap(), ..setup.link() };
    assert_eq!(setup.post(&setup.sign(&other), "decision=approve").0, 200);
}

#[test]
fn pages_leak_nothing_and_run_nothing() {
    let setup = setup();
    for token in [setup.token(), "x".into()] {
        let response = setup.response("GET", &token, "", NOW);
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    }
    let (_, page) = setup.get(&setup.token());
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    let policy = setup.response("GET", "x", "", NOW).headers()["content-security-policy"].to_str().unwrap().to_owned();
    use sha2::Digest;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style.as_bytes()));
    assert!(policy.contains(&hash), "the style's hash is that of the style as sent");
    for absent in ["<script", "<img", "<iframe", "<link", " style=", " onload", " onclick", "src="] {
        assert!(!page.contains(absent), "{absent}: {page}");
    }
}

#[test]
fn pages_work_with_a_screen_reader() {
    let (_, page) = setup().get("x");
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    let setup = setup();
    let (_, page) = setup.get(&setup.token());
    for part in [
        "<title>Approve release / Ship / Decide?",
        "<main><h1>",
        "<label for=\"summary\">",
        "<textarea id=\"summary\" name=\"summary\"",
        "aria-describedby=\"summary-help\"",
        "<button type=\"submit\" name=\"decision\" value=\"approve\">Approve</button>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // The focus goes through the page in the order of reading.
    let places = ["<textarea", "value=\"approve\"", "value=\"reject\""].map(|part| page.find(part).unwrap());
    assert!(places.is_sorted());
    assert!(!page.contains("tabindex") && !page.contains("autofocus"));
}

#[test]
fn strangers_text_is_escaped() {
    let hostile = "</dd><script>alert(1)</script>\" onload='x' \u{202e}&amp;";
    let setup = setup_with(Shown {
        pipeline: hostile.into(),
        stage: hostile.into(),
        action: hostile.into(),
        execution: hostile.into(),
        revisions: vec![ShownRevision {
            action: hostile.into(),
            id: hostile.into(),
            summary: Some(hostile.into()),
            url: Some("javascript:alert(1)".into()),
        }],
        started_by: Some(hostile.into()),
        custom_data: Some(hostile.into()),
        external_link: Some("https://example.org/\"><script>".into()),
        recipient: hostile.into(),
        expires: hostile.into(),
        has_newer_attempt: false,
    });
    let (_, page) = setup.get(&setup.token());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script") && !page.contains("href=\"javascript:"), "{page}");
    assert!(page.contains("href=\"https://example.org/&quot;&gt;&lt;script&gt;\""), "{page}");
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("summary", "</textarea><script>").finish();
    let (_, page) = setup.post(&setup.token(), &form);
    assert!(page.contains("&lt;/textarea&gt;&lt;script&gt;") && !page.contains("<script"), "{page}");
}

#[test]
fn a_browsers_name_is_cut_and_has_no_control_characters() {
    let mut request = Request::builder().body(()).unwrap();
    let agent = format!("a\tb{}", "c".repeat(5000));
    request.headers_mut().insert("user-agent", agent.parse().unwrap());
    let via = via(&setup().link(), &request.into_parts().0, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(via.contains("127.0.0.1, abc") && via.len() < 300, "{via}");
}

#[test]
fn keys_are_kept_and_old_ones_still_verify() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = KeyFile::load_or_make(&path).unwrap();
    let setup = setup();
    let link = Link { key_id: first.current().into(), ..setup.link() };
    let token = block_on(link::sign(&first, &link)).unwrap();
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("newer {}\n{old}", "0f".repeat(32))).unwrap();
    let both = KeyFile::load_or_make(&path).unwrap();
    assert_eq!(both.current(), "newer");
    assert!(block_on(link::verify(&both, &link::parse(&token).unwrap())));
    std::fs::write(&path, format!("newer {}\n", "0f".repeat(32))).unwrap();
    let retired = KeyFile::load_or_make(&path).unwrap();
    assert!(!block_on(link::verify(&retired, &link::parse(&token).unwrap())));
    assert_eq!(block_on(link::sign(&retired, &link)), None);
    for wrong in ["", "id", "id 00", "id zz", &format!("{} {}", "i".repeat(65), "0f".repeat(32))] {
        std::fs::write(&path, wrong).unwrap();
        assert!(KeyFile::load_or_make(&path).unwrap_err().to_string().contains(":1: must be ID KEY"), "{wrong}");
    }
    assert!(!format!("{both:?}").contains("0f0f"));
}

proptest! {
    #[test]
    fn no_token_panics(token in "\\PC{0,200}") {
        prop_assert_eq!(link::parse(&token), None);
    }

    #[test]
    fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..200), mac in any::<[u8; 32]>()) {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        prop_assert_eq!(link::parse(&format!("{}.{}", encode(&payload), encode(&mac))), None);
    }
}

#[test]
fn every_changed_character_is_noticed() {
    let setup = setup();
    let token = setup.token();
    proptest!(|(at in 0..token.len(), to in "[A-Za-z0-9_.-]")| {
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        if changed != token {
            prop_assert_eq!(setup.get(&changed).0, 404);
        }
    });
}

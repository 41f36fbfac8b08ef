//! `penstock proxy` between clients and a Function URL, and as a Lambda extension.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use api::secret::Secret;
use api::sigv4::{Credential, Credentials, Verifier};
use local::sign::{Keys, Unsigned, headers};
use model::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::{Ended, ended, penstock, scratch};

const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";
const JSON: &str = "application/x-amz-json-1.1";

/// A request as it came.
struct Taken {
    head: String,
    body: Vec<u8>,
}

/// Something that answers in the place of AWS.
struct Stand {
    address: String,
    taken: Receiver<Taken>,
}

impl Stand {
    fn new(answer: impl Fn(&Taken) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = take(&mut stream);
                let _ = stream.write_all(answer(&request).as_bytes());
                let _ = sender.send(request);
            }
        });
        Self { address, taken }
    }

    /// With the same answer to everything.
    fn always(status: &str, headers: &str, body: &str) -> Self {
        let answer = response(status, headers, body);
        Self::new(move |_| answer.clone())
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn take(stream: &mut TcpStream) -> Taken {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
    let mut body = vec![0; header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    Taken { head, body }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

fn keys(id: &str, secret: &str) -> Keys {
    Keys { access_key_id: id.into(), secret_access_key: secret.into(), session_token: Some("t0ken".into()) }
}

fn own() -> Keys {
    keys("AKIAOWN", "s3cret")
}

/// A running proxy; ended when this is dropped.
struct Proxy {
    child: Child,
    address: String,
}

impl Proxy {
    fn start(stand: &str, more: &[&str]) -> Self {
        let dir = scratch();
        let mut command = command(dir.path());
        command.args(["proxy", "--url", URL, "--connect", &format!("http://{stand}")]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line:?}")).1.to_owned();
        Self { child, address }
    }

    fn end(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Sends what a client would; the answer.
    fn call(&self, asked: &Asked<'_>) -> Told {
        let sent = Unsigned {
            service: "codepipeline",
            region: asked.region,
            host: &self.address,
            path: asked.path,
            headers: &[("content-type", asked.content_type), ("x-amz-target", "CodePipeline_20150709.ListPipelines")],
            body: asked.signed,
            at: now(),
        };
        let lines: String = headers(&sent, &asked.keys)
            .into_iter()
            .filter(|(name, _)| asked.host.is_none() || *name != "host")
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let host = asked.host.map_or(String::new(), |host| format!("host: {host}\r\n"));
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\n{host}{lines}{}smithy-protocol: rpc-v2-cbor\r\nx-own: kept\r\nconnection: close, x-hop\r\nx-hop: dropped\r\ncontent-length: {}\r\n\r\n",
            asked.path,
            asked.more,
            asked.body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(asked.body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        Told { head: String::from_utf8(answer[..at + 4].to_vec()).unwrap(), body: answer[at + 4..].to_vec() }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

fn command(dir: &std::path::Path) -> Command {
    let mut command = penstock(dir);
    command.env("AWS_ACCESS_KEY_ID", "AKIAOWN").env("AWS_SECRET_ACCESS_KEY", "s3cret");
    command.env("AWS_SESSION_TOKEN", "t0ken").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// What a client asks.
struct Asked<'a> {
    keys: Keys,
    region: &'a str,
    path: &'a str,
    content_type: &'a str,
    signed: &'a [u8],
    body: &'a [u8],
    host: Option<&'a str>,
    more: &'a str,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self {
            keys: own(),
            region: "eu-west-1",
            path: "/",
            content_type: JSON,
            signed: b"{}",
            body: b"{}",
            host: None,
            more: "",
        }
    }
}

/// What a client is told.
struct Told {
    head: String,
    body: Vec<u8>,
}

impl Told {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Knows the keys that the proxy signs with.
struct Known;

impl Credentials for Known {
    fn find(&self, access_key: &str) -> Option<Arc<Credential>> {
        let Keys { access_key_id, secret_access_key, session_token } = own();
        (access_key == access_key_id).then(|| {
            Arc::new(Credential {
                secret: Secret::new(secret_access_key),
                session_token: session_token.map(Secret::new),
                principal: access_key_id,
            })
        })
    }
}

fn verified(taken: &Taken) -> api::sigv4::Identity {
    let mut request = http::Request::post(taken.head.split(' ').nth(1).unwrap());
    for (name, value) in taken.head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Verifier::new(Arc::new(Known), "lambda").verify(&parts, &taken.body, now()).unwrap()
}

#[test]
fn a_call_is_signed_for_lambda_and_its_answer_comes_back_whole() {
    let error = r#"{"__type":"PipelineNotFoundException","message":"no"}"#;
    let answered =
        format!("content-type: {JSON}\r\nx-amzn-requestid: id-1\r\nx-amzn-errortype: PipelineNotFoundException\r\n");
    let stand = Stand::always("400 Bad Request", &answered, error);
    let mut proxy = Proxy::start(&stand.address, &[]);
    let told = proxy.call(&Asked::default());
    let taken = stand.taken.recv().unwrap();
    assert_eq!(verified(&taken).region, "eu-west-1");
    assert_eq!(header(&taken.head, "host"), Some("abc.lambda-url.eu-west-1.on.aws"));
    assert_eq!(header(&taken.head, "x-amz-target"), Some("CodePipeline_20150709.ListPipelines"));
    assert_eq!((header(&taken.head, "x-own"), header(&taken.head, "x-hop")), (Some("kept"), None));
    assert_eq!((told.status(), std::str::from_utf8(&told.body).unwrap()), (400, error));
    assert_eq!(header(&told.head, "x-amzn-requestid"), Some("id-1"));
    assert_eq!(header(&told.head, "x-amzn-errortype"), Some("PipelineNotFoundException"));
    assert_eq!(header(&told.head, "content-type"), Some(JSON));
    assert_eq!(proxy.end(), Some(0));
}

#[test]
fn what_is_not_ones_own_or_of_this_machine_goes_no_further() {
    let stand = Stand::always("200 OK", "", "{}");
    let proxy = Proxy::start(&stand.address, &[]);
    for (asked, code) in [
        (Asked { keys: keys("AKIAOTHER", "s3cret"), ..Asked::default() }, "UnrecognizedClientException"),
        (Asked { keys: keys("AKIAOWN", "guessed"), ..Asked::default() }, "InvalidSignatureException"),
        (Asked { body: b"[]", ..Asked::default() }, "InvalidSignatureException"),
        (Asked { region: "us-east-1", ..Asked::default() }, "InvalidSignatureException"),
        (Asked { host: Some("rebound.example.org"), ..Asked::default() }, "AccessDeniedException"),
        (Asked { more: "origin: https://example.org\r\n", ..Asked::default() }, "AccessDeniedException"),
        (Asked { path: "/elsewhere", content_type: "text/plain", ..Asked::default() }, "UnsupportedMediaTypeException"),
    ] {
        let told = proxy.call(&asked);
        assert!(told.status() >= 400, "{}", told.head);
        assert_eq!(header(&told.head, "x-amzn-errortype"), Some(code), "{}", told.json());
        assert_eq!(told.json()["__type"], code);
    }
    assert!(stand.taken.try_recv().is_err(), "something was passed on");
    let open = Proxy::start(&stand.address, &["--any-credentials"]);
    open.call(&Asked { keys: keys("AKIAOTHER", "guessed"), ..Asked::default() });
    assert_eq!(verified(&stand.taken.recv().unwrap()).access_key, "AKIAOWN");
}

#[test]
fn what_lambda_itself_says_is_told_in_the_clients_protocol() {
    let said = r#"{"Message":"Forbidden. For troubleshooting, see: the guide"}"#;
    let stand = Stand::always(
        "403 Forbidden",
        "content-type: application/json\r\nx-amzn-ErrorType: AccessDeniedException\r\n",
        said,
    );
    let proxy = Proxy::start(&stand.address, &[]);
    let json = proxy.call(&Asked::default());
    assert_eq!((json.status(), json.json()["__type"].as_str()), (403, Some("AccessDeniedException")));
    let message = json.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("lambda:InvokeFunctionUrl") && message.contains("AKIAOWN"), "{message}");
    assert!(!message.contains("s3cret"));
    let path = "/service/CodePipeline_20150709/operation/ListPipelines";
    let cbor = proxy.call(&Asked {
        path,
        content_type: "application/cbor",
        signed: b"\xa0",
        body: b"\xa0",
        ..Asked::default()
    });
    assert_eq!(header(&cbor.head, "smithy-protocol"), Some("rpc-v2-cbor"));
    assert_eq!((cbor.status(), header(&cbor.head, "x-amzn-errortype")), (403, Some("AccessDeniedException")));
    assert!(String::from_utf8_lossy(&cbor.body).contains("com.amazonaws.codepipeline#AccessDeniedException"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let told = Proxy::start(&closed, &[]).call(&Asked::default());
    assert_eq!((told.status(), told.json()["__type"].as_str()), (503, Some("ServiceUnavailable")));
    assert!(told.json()["message"].as_str().unwrap().contains(URL), "{}", told.json());
}

#[test]
fn a_command_is_pointed_at_the_stack_and_its_status_passed_on() {
    let dir = scratch();
    let connect = ["proxy", "--url", URL, "--connect", "http://127.0.0.1:1"];
    let script = "echo $AWS_ENDPOINT_URL_CODEPIPELINE $AWS_REGION; exit 7";
    let told = ended(command(dir.path()).args(connect).args(["--", "sh", "-c", script]));
    assert!(told.stdout.starts_with("http://127.0.0.1:") && told.stdout.ends_with(" eu-west-1\n"), "{}", told.stdout);
    assert_eq!((told.code, told.stderr.as_str()), (7, ""));
    let missing = ended(command(dir.path()).args(connect).args(["--", "no-such-program"]));
    assert!(missing.code == 2 && missing.stderr.contains("no-such-program"), "{}", missing.stderr);
    let proxy = Proxy::start("127.0.0.1:1", &["--print-env"]);
    assert!(proxy.address.starts_with("127.0.0.1:"));
}

#[test]
fn what_cannot_be_reached_or_signed_is_told_at_the_start() {
    let dir = scratch();
    let run = |args: &[&str], with_keys: bool| -> Ended {
        let mut bare = penstock(dir.path());
        bare.env("AWS_EC2_METADATA_DISABLED", "true");
        ended(if with_keys { command(dir.path()) } else { bare }.arg("proxy").args(args))
    };
    let connect = ["--url", URL, "--connect", "http://127.0.0.1:1"];
    for (args, with_keys, needed) in [
        (&[][..], true, "PENSTOCK_API_URL"),
        (&["--url", "http://127.0.0.1:1/"], true, "--region"),
        (&["--url", "http://example.org/", "--region", "r"], true, "this machine only"),
        (&[&connect[..], &["--listen", "0.0.0.0:0"]].concat(), true, "127.0.0.1"),
        (&connect, false, "AWS_ACCESS_KEY_ID"),
        (&[&connect[..], &["--lambda-extension"]].concat(), true, "AWS_LAMBDA_RUNTIME_API"),
    ] {
        let told = run(args, with_keys);
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{args:?}: {}", told.stderr);
        assert!(told.stderr.contains(needed), "{args:?}: {}", told.stderr);
    }
}

/// Lambda's Extensions API: registers, then sends the one event that ends everything once it is asked for.
fn extensions() -> Stand {
    Stand::new(|taken| {
        let id = "lambda-extension-identifier: ext-1\r\n";
        match taken.head.split(' ').nth(1).unwrap() {
            "/2020-01-01/extension/register" => response("200 OK", id, "{}"),
            "/2020-01-01/extension/event/next" => response("200 OK", id, r#"{"eventType":"SHUTDOWN"}"#),
            _ => response("202 Accepted", "", "{}"),
        }
    })
}

#[test]
fn as_an_extension_it_registers_is_ready_and_ends_with_the_function() {
    let lambda = extensions();
    let dir = scratch();
    let mut command = command(dir.path());
    command.env("AWS_LAMBDA_RUNTIME_API", &lambda.address).env("PENSTOCK_API_URL", URL);
    let told = ended(command.args(["proxy", "--lambda-extension", "--connect", "http://127.0.0.1:1"]));
    assert_eq!((told.code, told.stdout.as_str()), (0, ""), "{}", told.stderr);
    let register = lambda.taken.recv().unwrap();
    assert_eq!(header(&register.head, "lambda-extension-name"), Some("penstock-proxy"));
    assert_eq!(serde_json::from_slice::<Value>(&register.body).unwrap(), json!({ "events": ["SHUTDOWN"] }));
    let next = lambda.taken.recv().unwrap();
    assert!(next.head.contains("event/next") && header(&next.head, "lambda-extension-identifier") == Some("ext-1"));
}

#[test]
fn an_extension_that_cannot_work_says_so_to_lambda() {
    let lambda = extensions();
    let dir = scratch();
    let told =
        ended(command(dir.path()).env("AWS_LAMBDA_RUNTIME_API", &lambda.address).args(["proxy", "--lambda-extension"]));
    assert_eq!(told.code, 2, "{}", told.stderr);
    lambda.taken.recv().unwrap();
    let error = lambda.taken.recv().unwrap();
    assert!(error.head.contains("init/error"), "{}", error.head);
    assert!(String::from_utf8_lossy(&error.body).contains("PENSTOCK_API_URL"));
}

fn doctor(stand: &Stand, args: &[&str]) -> Ended {
    let (dir, address) = (scratch(), format!("http://{}", stand.address));
    let mut command = command(dir.path());
    command.env("AWS_ENDPOINT_URL", &address).env("AWS_REGION", "eu-west-1");
    ended(command.arg("doctor").args(args).args(["--connect", &address]))
}

#[test]
fn doctor_says_what_is_wrong_with_the_way_to_a_stack() {
    let head = "date: Tue, 24 Nov 2020 10:00:00 GMT\r\ncontent-type: application/json\r\n";
    let stand = Stand::always("403 Forbidden", head, r#"{"Message":"Forbidden"}"#);
    let told = doctor(&stand, &["--url", URL]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    for needed in ["mend  clock", "set this machine's clock", "mend  api", "lambda:InvokeFunctionUrl", "AKIAOWN"] {
        assert!(told.stdout.contains(needed), "{needed}: {}", told.stdout);
    }
    assert!(!told.stdout.contains("s3cret") && !told.stdout.contains("t0ken"), "{}", told.stdout);
    let elsewhere = doctor(&stand, &["--url", URL, "--region", "us-east-1"]);
    assert!(elsewhere.stdout.contains("clients here sign for eu-west-1"), "{}", elsewhere.stdout);
    let nothing = doctor(&stand, &["--stack", "web"]);
    assert!(nothing.code == 1 && nothing.stdout.contains("cloudformation:DescribeStacks"), "{}", nothing.stdout);
}

#[test]
fn doctor_finds_a_stack_by_its_name_and_tells_its_alarms() {
    let stand = Stand::new(|taken| {
        let body = String::from_utf8_lossy(&taken.body).into_owned();
        let xml = |inner: &str| response("200 OK", "content-type: text/xml\r\n", &format!("<R>{inner}</R>"));
        let output = |key: &str, value: &str| {
            format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
        };
        match body.split('&').next().unwrap() {
            "Action=DescribeStacks" => xml(&format!(
                "<StackStatus>UPDATE_COMPLETE</StackStatus>{}{}",
                output("TableName", "t"),
                output("ApiUrl", URL)
            )),
            "Action=DescribeAlarms" => xml("<AlarmName>web-RowsParkedAlarm-1</AlarmName>"),
            "Action=GetCallerIdentity" => xml("<Arn>arn:aws:iam::123456789012:user/ada</Arn>"),
            _ => response("200 OK", &format!("content-type: {JSON}\r\n"), r#"{"pipelines":[]}"#),
        }
    });
    let told = doctor(&stand, &["--stack", "web"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    for needed in [
        "web in eu-west-1 is UPDATE_COMPLETE",
        "web-RowsParkedAlarm-1: infra/redrive.md",
        "user/ada",
        "takes the signature",
    ] {
        assert!(told.stdout.contains(needed), "{needed}: {}", told.stdout);
    }
    let asked: Vec<Taken> = stand.taken.try_iter().collect();
    let of = |body: &str| asked.iter().find(|taken| String::from_utf8_lossy(&taken.body).contains(body)).unwrap();
    let scope = |taken: &Taken| header(&taken.head, "authorization").unwrap().contains("/eu-west-1/monitoring/");
    assert!(scope(of("AlarmNamePrefix=web-")));
    assert_eq!(verified(of("maxResults")).region, "eu-west-1");
}

//! Hostile clients against a real server: each gets a refusal or a closed connection, others are served all the while, and
//! memory stays bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Served, repository};

/// How much more memory a server may have while it is attacked, in MiB: its 256 connections with 5 MiB each would be 1,280.
const MOST_MORE: f64 = 400.0;

fn connect(server: &Served) -> TcpStream {
    let address = server.endpoint.strip_prefix("http://").expect("an address");
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream
}

/// The first line of what is answered to these bytes; empty where the connection was only closed.
fn answered(server: &Served, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    // The server may have heard enough before all of it is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

fn is_refused(line: &str) -> bool {
    line.is_empty() || line.starts_with("HTTP/1.1 4")
}

fn is_alive(server: &Served) -> bool {
    answered(server, b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").ends_with("200 OK")
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn attacks() -> Vec<(&'static str, Vec<u8>)> {
    let json = "x-amz-target: CodePipeline_20150709.GetPipeline\r\ncontent-type: application/x-amz-json-1.1\r\n";
    let authorization = |text: &str| format!("{json}authorization: {text}\r\nx-amz-date: 20261124T060000Z\r\n");
    let credential = "AWS4-HMAC-SHA256 Credential=A/20261124/us-east-1/codepipeline/aws4_request";
    let chunks = format!("{:x}\r\n", 1 << 20).into_bytes().into_iter().chain(vec![b'x'; 1 << 20]).chain(*b"\r\n");
    let chunks: Vec<u8> = chunks.collect();
    let chunked = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    vec![
        ("ten megabytes", post(json, &vec![b'x'; 10 << 20])),
        ("ten megabytes in chunks", [chunked.clone(), chunks.repeat(10)].concat()),
        ("a chunk of an impossible size", [chunked, b"ffffffffffffffffff\r\nx".to_vec()].concat()),
        ("four megabytes of brackets", post(json, &vec![b'['; 4 << 20])),
        ("text that is none", post(json, b"{\"name\": \"\xff\xfe\xed\xa0\x80\"}")),
        ("a key twice", post(json, b"{\"name\":\"a\",\"name\":\"b\"}")),
        ("a huge number", post(json, format!("{{\"version\": {}}}", "9".repeat(100_000)).as_bytes())),
        ("a signature of nothing", post(&authorization("AWS4-HMAC-SHA256 "), b"{}")),
        (
            "signed headers without end",
            post(&authorization(&format!("{credential}, SignedHeaders={}, Signature=00", "a;".repeat(20_000))), b"{}"),
        ),
        (
            "a signature that is no number",
            post(&authorization(&format!("{credential}, SignedHeaders=host, Signature=zz")), b"{}"),
        ),
        ("a compressed nothing", post(&format!("{json}content-encoding: gzip\r\n"), &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0])),
        (
            "a webhook of nobody",
            b"POST /webhooks/x HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec(),
        ),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_vec(),
        ),
        ("a head without end", [b"GET / HTTP/1.1\r\nx: ".to_vec(), vec![b'a'; 1 << 20]].concat()),
        ("bytes", (0..=255).cycle().take(100_000).collect()),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a name with a line in it", b"GET /healthz HTTP/1.1\r\nhost: a\rb\r\n\r\n".to_vec()),
    ]
}

#[test]
fn attackers_are_refused_and_memory_is_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    repository(&directory.path().join("src"));
    let server = Served::start(directory.path());
    assert!(is_alive(&server));
    let before = server.resident_mebibytes();
    // Clients that say nothing, or one byte: they hold places until they are turned out.
    let silent: Vec<TcpStream> = (0..100)
        .map(|number| {
            let mut stream = connect(&server);
            let _ = stream.write_all(if number % 2 == 0 { b"" } else { b"P" });
            stream
        })
        .collect();
    let (mut most, began) = (before, Instant::now());
    for (what, bytes) in attacks() {
        let line = answered(&server, &bytes);
        assert!(is_refused(&line), "{what}: {line}");
        assert!(is_alive(&server), "{what}");
        most = server.resident_mebibytes().max(most);
    }
    let large = post("content-type: application/x-amz-json-1.1\r\n", &vec![b'['; 4 << 20]);
    thread::scope(|scope| {
        let attackers: Vec<_> = (0..64)
            .map(|_| {
                let (server, large) = (&server, &large);
                scope.spawn(move || assert!(is_refused(&answered(server, large))))
            })
            .collect();
        while attackers.iter().any(|attacker| !attacker.is_finished()) {
            most = server.resident_mebibytes().max(most);
            thread::sleep(Duration::from_millis(5));
        }
    });
    // Requests behind each other, the last of which is none.
    let good = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(1000);
    let mut stream = connect(&server);
    stream.write_all(&[good, b"\0\xff garbage\r\n\r\n".to_vec()].concat()).expect("sent");
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200 OK").count(), 1000);
    assert!(is_alive(&server));
    drop(silent);
    eprintln!("resident: {before:.1} MiB before, {most:.1} MiB at most, in {:.1?}", began.elapsed());
    assert!(most - before < MOST_MORE, "{before:.1} MiB before, {most:.1} MiB at most");
}

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::testing::FakeAws;

#[test]
fn redirections_never_leave_tls() {
    let from: Uri = "https://api.example/a?b".parse().unwrap();
    let to = |location: &str| resolve(&from, location).map(|uri| uri.to_string());
    assert_eq!(to("https://other.example/x"), Ok("https://other.example/x".into()));
    assert_eq!(to("/y?z"), Ok("https://api.example/y?z".into()));
    for location in ["http://other.example/x", "ftp://x", "nonsense"] {
        assert!(to(location).is_err(), "{location}");
    }
}

#[tokio::test]
async fn redirections_come_to_an_end() {
    let fake = FakeAws::with(|_| Some((302, vec![("location".into(), "/again".into())], Vec::new())));
    let Err(fault) = Web::with(fake.clone()).get("https://a.example/", "*/*", None).await else { panic!() };
    assert_eq!(fault, Fault::Later("a.example: more than 5 redirections".into()));
    assert_eq!(fake.requests().len(), 6);
}

#[tokio::test]
async fn answers_that_are_too_long_are_not_read() {
    let fake = FakeAws::with(|_| Some((200, Vec::new(), vec![b'x'; MAX_TEXT_BYTES + 1])));
    let answer = Web::with(fake).get("https://a.example/", "*/*", None).await.unwrap();
    assert!(answer.text().await.is_err());
}

/// A server on loopback that answers one request; what it was asked.
async fn serve_once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            asked.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (url, served)
}

#[tokio::test]
async fn a_server_is_asked_over_a_real_connection() {
    let (url, served) = serve_once("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let token = Secret::new("t0ken");
    let answer = Web::new().get(&format!("{url}/path?q=1"), "application/json", Some(&token)).await.unwrap();
    assert_eq!((answer.status, answer.text().await), (200, Ok("hello".into())));
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{asked}");
    for header in ["authorization: Bearer t0ken", "accept: application/json", "user-agent: penstock"] {
        assert!(asked.to_lowercase().contains(&header.to_lowercase()), "{asked}");
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_may_be_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let Err(fault) = Web::new().get(&url, "*/*", None).await else { panic!() };
    assert!(matches!(&fault, Fault::Unknown(message) if message.starts_with("127.0.0.1: ")), "{fault:?}");
}

#[tokio::test]
async fn a_token_that_is_no_header_is_not_shown() {
    let fake = FakeAws::with(|_| None);
    let token = Secret::new("line\nbreak");
    let Err(fault) = Web::with(fake).get("https://a.example/", "*/*", Some(&token)).await else { panic!() };
    assert_eq!(fault, Fault::configuration("the connection's token is no text for a header"));
    assert_eq!(format!("{token:?}"), "****");
}

#[test]
fn clients_are_shared() {
    let web = Web::with(FakeAws::with(|_| None));
    let connector = web.clone().connector;
    assert!(Arc::ptr_eq(connector.get().unwrap(), web.connector.get().unwrap()));
}

//! Which requests are let in, and where they go.

use api::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::Request;
use serde_json::json;

use super::server::{Answer, EVENTS_TOKEN, JSON, REGION, STAMP, Server, server, sign};

const HOST: (&str, &str) = ("host", "127.0.0.1:7707");

async fn get(server: &Server, uri: &str, headers: &[(&str, &str)]) -> Answer {
    server.send("GET", uri, headers, b"").await
}

#[tokio::test]
async fn health_and_what_is_not_there() {
    let server = server();
    assert_eq!(get(&server, "/healthz", &[HOST]).await.body, "ok");
    for path in ["/x", "/approve", "/events/x", "/..", "//", "/favicon.ico"] {
        assert_eq!(get(&server, path, &[HOST]).await.status, 404, "{path}");
    }
    let answer = get(&server, "/", &[HOST]).await;
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &"POST".parse().unwrap()));
    for path in ["/healthz", "/events"] {
        assert_eq!(server.send("POST", path, &[HOST], b"").await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn foreign_hosts_are_refused_everywhere() {
    let server = server();
    for host in ["127.0.0.1:7707", "127.0.0.1", "localhost:1", "LocalHost:7707", "[::1]:7707", "[::1]"] {
        assert_eq!(get(&server, "/healthz", &[("host", host)]).await.status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:7707",
        "127.0.0.1.evil.example",
        "localhost.",
        "127.0.0.1:x",
        "",
        "[::1",
        "::1",
        "127.0.0.2",
    ] {
        for path in ["/", "/healthz", "/events", "/approve/x", "/x"] {
            assert_eq!(get(&server, path, &[("host", host)]).await.status, 403, "{host} {path}");
        }
    }
    assert_eq!(get(&server, "/healthz", &[]).await.status, 403);
    assert_eq!(get(&server, "/healthz", &[HOST, HOST]).await.status, 403);
    assert_eq!(get(&server, "http://evil.example/healthz", &[HOST]).await.status, 403);
}

#[tokio::test]
async fn web_pages_elsewhere_are_refused() {
    let server = server();
    let with = |path, origin| get_with(&server, path, origin);
    for origin in ["http://127.0.0.1:7707", "https://127.0.0.1:7707"] {
        assert_eq!(with("/healthz", origin).await, 200, "{origin}");
    }
    for origin in
        ["http://evil.example", "http://127.0.0.1", "http://localhost:7707", "http://127.0.0.1:7708", "null", ""]
    {
        assert_eq!(with("/healthz", origin).await, 403, "{origin}");
        assert_eq!(with("/events", origin).await, 403, "{origin}");
    }
    assert_eq!(with("/approve/x", "http://evil.example").await, 403);
    // A form of a page without referrer comes from nowhere.
    assert_eq!(with("/approve/x", "null").await, 404);
    let twice = [HOST, ("origin", "http://127.0.0.1:7707"), ("origin", "http://evil.example")];
    assert_eq!(get(&server, "/healthz", &twice).await.status, 403);
}

async fn get_with(server: &Server, path: &str, origin: &str) -> u16 {
    get(server, path, &[HOST, ("origin", origin)]).await.status
}

#[tokio::test]
async fn calls_must_be_signed_and_of_a_known_kind() {
    let server = server();
    let target = "CodePipeline_20150709.ListPipelines";
    let auth = sign(target, REGION, b"{}");
    let call = |headers: Vec<(&'static str, String)>, body: &'static [u8]| {
        let server = &server;
        async move {
            let mut all = vec![HOST];
            all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
            let answer = server.send("POST", "/", &all, body).await;
            (answer.status, answer.json()["__type"].as_str().map(str::to_owned))
        }
    };
    let headers = |content_type: &str, target: &str, auth: Option<&str>| {
        let mut all = vec![
            ("content-type", content_type.to_owned()),
            ("x-amz-target", target.to_owned()),
            ("x-amz-date", STAMP.to_owned()),
        ];
        all.extend(auth.map(|auth| ("authorization", auth.to_owned())));
        all
    };
    let code = |name: &str| Some(name.to_owned());
    assert_eq!(call(headers(JSON, target, Some(&auth)), b"{}").await, (200, None));
    assert_eq!(call(headers(JSON, target, None), b"{}").await, (400, code("MissingAuthenticationTokenException")));
    assert_eq!(call(headers(JSON, target, Some(&auth)), b"{ }").await, (400, code("InvalidSignatureException")));
    assert_eq!(
        call(headers("text/plain", target, Some(&auth)), b"{}").await,
        (415, code("UnsupportedMediaTypeException"))
    );
    assert_eq!(call(headers(JSON, "X.Y", Some(&auth)), b"{}").await, (400, code("UnknownOperationException")));
}

#[tokio::test]
async fn answers_have_a_request_id_each() {
    let server = server();
    let first = server.raw("CodePipeline_20150709.ListPipelines", REGION, b"{}").await;
    let second = server.raw("CodePipeline_20150709.GetPipeline", REGION, b"{}").await;
    assert_eq!(first.headers["content-type"], JSON);
    assert_eq!(first.headers["x-amzn-requestid"].len(), 36);
    assert_ne!(first.headers["x-amzn-requestid"], second.headers["x-amzn-requestid"]);
}

#[tokio::test]
async fn hostile_bodies_get_errors() {
    let server = server();
    let target = "CodePipeline_20150709.GetPipeline";
    let deep = format!("{{\"name\":{}", "[".repeat(1_000_000));
    for body in [deep.as_bytes(), b"\xff\xfe", b"{\"name\":\"a\",\"name\":\"b\"}", b"[]", b"{\"name\": 1e400}"] {
        let answer = server.raw(target, REGION, body).await;
        assert_eq!((answer.status, answer.json()["__type"].as_str().unwrap()), (400, "SerializationException"));
    }
    let large = vec![b' '; api::handle::MAX_REQUEST_BYTES + 1];
    assert_eq!(server.raw(target, REGION, &large).await.status, 413);
}

#[tokio::test]
async fn the_region_is_the_one_signed_for() {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": super::server::declaration("here") })).await.unwrap();
    let list = |region| {
        let server = &server;
        async move { server.raw("CodePipeline_20150709.ListPipelines", region, b"{}").await }
    };
    assert_eq!(list(REGION).await.json()["pipelines"].as_array().unwrap().len(), 1);
    assert_eq!(list("us-east-1").await.json()["pipelines"], json!([]));
    let wrong = list("NOWHERE").await;
    assert_eq!((wrong.status, wrong.json()["__type"].as_str().unwrap()), (400, "InvalidSignatureException"));
}

async fn events(server: &Server, uri: &str, headers: &[(&str, &str)], pieces: usize) -> Result<String, u16> {
    let mut request = Request::get(uri).header("host", "127.0.0.1:7707");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = server.respond(request.body(Bytes::new()).unwrap()).await;
    let status = response.status().as_u16();
    match response.into_body() {
        Body::Full(_) => Err(status),
        Body::Stream(stream) => {
            let pieces: Vec<Bytes> = stream.take(pieces).collect().await;
            Ok(String::from_utf8(pieces.concat()).unwrap())
        }
    }
}

#[tokio::test]
async fn events_need_their_token() {
    let server = server();
    let bearer = format!("Bearer {EVENTS_TOKEN}");
    assert!(events(&server, "/events", &[("authorization", &bearer)], 1).await.is_ok());
    assert!(events(&server, &format!("/events?token={EVENTS_TOKEN}"), &[], 1).await.is_ok());
    for (uri, header) in [
        ("/events", ""),
        ("/events", "Bearer "),
        ("/events", "Bearer events-tokem"),
        ("/events", "Basic events-token"),
        ("/events?token=events-toke", ""),
        ("/events?token=", ""),
    ] {
        assert_eq!(events(&server, uri, &[("authorization", header)], 1).await, Err(401), "{uri} {header}");
    }
}

#[tokio::test]
async fn events_go_on_where_the_client_was() {
    let server = server();
    let base = format!("/events?token={EVENTS_TOKEN}");
    let from = |after: &str| format!("{base}&after={after}");
    assert_eq!(
        events(&server, &from("98"), &[], 3).await.unwrap(),
        ": open\n\nid: 99\ndata: {\"n\":99}\n\nid: 100\ndata: {\"n\":100}\n\n: waiting\n\n"
    );
    assert_eq!(events(&server, &base, &[], 2).await.unwrap(), ": open\n\n: waiting\n\n");
    let again = events(&server, &from("3"), &[("last-event-id", "99")], 2).await.unwrap();
    assert_eq!(again, ": open\n\nid: 100\ndata: {\"n\":100}\n\n");
    let all = events(&server, &from("0"), &[], 3).await.unwrap();
    assert_eq!(all.matches("data: ").count(), 100);
    assert!(all.contains("id: 1\n") && all.contains("id: 64\n") && all.contains("id: 65\n"));
    for wrong in ["x", "-1", "", "1.5"] {
        assert_eq!(events(&server, &from(wrong), &[], 1).await, Err(400), "{wrong}");
    }
}

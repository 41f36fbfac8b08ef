//! Smithy RPC v2 CBOR beside JSON 1.1: the same operations, the same answers.

use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::server::{Server, declaration, server};

impl Server {
    pub async fn cbor(&self, operation: &str, body: &[u8]) -> (u16, Vec<u8>, http::HeaderMap) {
        let path = format!("/service/CodePipeline_20150709/operation/{operation}");
        let headers = [("content-type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")];
        let mut request = Request::builder().method("POST").uri(&path);
        for (name, value) in self.signed("POST", &path, &headers, body) {
            request = request.header(name, value);
        }
        let response = self.respond(request.body(Bytes::copy_from_slice(body)).unwrap()).await;
        let (parts, body) = response.into_parts();
        let api::Body::Full(bytes) = body else { panic!("a stream") };
        (parts.status.as_u16(), bytes.to_vec(), parts.headers)
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn operations_answer_in_cbor() {
    let server = server();
    server.call("CreatePipeline", json!({ "pipeline": declaration("release") })).await.unwrap();
    let (status, body, headers) = server.cbor("GetPipeline", b"\xa1\x64name\x67release").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["content-type"], "application/cbor");
    assert_eq!(headers["smithy-protocol"], "rpc-v2-cbor");
    assert!(headers.contains_key("x-amzn-requestid"));
    assert!(contains(&body, b"\x67created\xc1"), "times bear their tag");
    assert!(contains(&body, b"\x67version\x01"), "numbers are numbers");
    let (status, body, _) = server.cbor("ListPipelines", b"").await;
    assert_eq!((status, contains(&body, b"\x64name\x67release")), (200, true));
    let (status, body, _) = server.cbor("DeletePipeline", b"\xbf\x64name\x67release\xff").await;
    assert_eq!((status, body.len()), (200, 0));
}

#[tokio::test]
async fn errors_answer_in_cbor() {
    let server = server();
    for (operation, body, status, kind) in [
        ("GetPipeline", &b"\xa1\x64name\x66nobody"[..], 400, "PipelineNotFoundException"),
        ("GetPipeline", b"\xa0", 400, "ValidationException"),
        ("GetPipeline", b"\xa1\x64name\x01", 400, "SerializationException"),
        ("GetPipeline", b"{}", 400, "SerializationException"),
        ("Nothing", b"\xa0", 400, "UnknownOperationException"),
    ] {
        let (got, answer, headers) = server.cbor(operation, body).await;
        assert_eq!((got, headers["x-amzn-errortype"].to_str().unwrap()), (status, kind));
        assert!(contains(&answer, format!("com.amazonaws.codepipeline#{kind}").as_bytes()), "{kind}");
    }
    let request = Request::builder()
        .method("GET")
        .uri("/service/CodePipeline_20150709/operation/ListPipelines")
        .header("host", "127.0.0.1:7707");
    assert_eq!(server.respond(request.body(Bytes::new()).unwrap()).await.status(), 405);
}

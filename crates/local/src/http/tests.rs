//! Real sockets: what broken, slow and greedy clients get, and that others are served meanwhile.

use std::time::Duration;

use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

type Answer = Response<Either<Full<Bytes>, StreamBody<futures::stream::BoxStream<'static, Frame>>>>;
type Frame = Result<http_body::Frame<Bytes>, Infallible>;

/// Answers with method, path and length; `/slow` takes a while, `/endless` never ends.
async fn echo(request: Request<Bytes>) -> Answer {
    match request.uri().path() {
        "/endless" => {
            let piece = || Ok(http_body::Frame::data(Bytes::from(vec![b'x'; 64 * 1024])));
            let pieces = futures::stream::repeat_with(piece);
            return Response::new(Either::Right(StreamBody::new(Box::pin(pieces))));
        }
        "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => {}
    }
    let text = format!("{} {} {}\n", request.method(), request.uri().path(), request.body().len());
    Response::new(Either::Left(Full::new(Bytes::from(text))))
}

fn small() -> Limits {
    Limits {
        body_bytes: 1000,
        connections: 4,
        head_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        drain_timeout: Duration::from_millis(1500),
    }
}

async fn start(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let task = tokio::spawn(serve(listener, limits, |request, _| echo(request), shutdown));
    Server { address, stop: Some(stop), task }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes, ends the sending side, and reads all that comes.
    async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A server that has refused already may close before all is sent.
        drop(stream.write_all(request).await);
        read_all(&mut stream).await
    }

    async fn is_alive(&self) -> bool {
        let answer = self.exchange(b"GET /alive HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        answer.ends_with("GET /alive 0\n")
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    drop(
        timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.expect("the server ends the connection"),
    );
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn requests_are_answered_and_connections_kept() {
    let server = start(small()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..read]);
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("POST /a 3\n"), "{text}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(small()).await;
    let requests = b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = server.exchange(requests).await;
    assert!(answer.find("GET /1 0").unwrap() < answer.find("GET /2 0").unwrap(), "{answer}");
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let server = start(small()).await;
    let answer = server.exchange(b"GET /1 HTTP/1.1\r\nhost: x\r\n\r\n\x00\xff\x16\x03garbage\r\n\r\n").await;
    assert!(answer.contains("GET /1 0") && answer.contains("HTTP/1.1 400"), "{answer}");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello tls"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /a b c HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let answer = server.exchange(garbage).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
        assert!(server.is_alive().await);
    }
}

#[tokio::test]
async fn large_bodies_are_refused_before_they_are_read() {
    let server = start(small()).await;
    let answer = server.exchange(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("RequestEntityTooLargeException"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let mut chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        chunked.extend_from_slice(b"190\r\n");
        chunked.extend_from_slice(&[b'x'; 400]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert!(server.exchange(&chunked).await.starts_with("HTTP/1.1 413"));
    let exact = [b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n", &[b'x'; 1000][..]]
        .concat();
    assert!(server.exchange(&exact).await.ends_with("POST / 1000\n"));
}

#[tokio::test]
async fn ten_megabytes_do_not_pass_the_default_limit() {
    let server = start(Limits::default()).await;
    let mut request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n".to_vec();
    request.resize(request.len() + 10_000_000, b'x');
    let mut stream = server.connect().await;
    let (mut read, mut write) = stream.split();
    let mut answer = vec![0; 64];
    let sending = async { drop(write.write_all(&request).await) };
    let reading = async { read.read_exact(&mut answer).await.map(|_| ()) };
    let ((), result) = tokio::join!(sending, reading);
    result.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn large_heads_are_refused() {
    let server = start(small()).await;
    let mut request = b"GET / HTTP/1.1\r\nhost: x\r\n".to_vec();
    for index in 0..2000 {
        request.extend_from_slice(format!("x-{index}: {}\r\n", "v".repeat(80)).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    let answer = server.exchange(&request).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn heads_and_bodies_that_do_not_come_end_the_connection() {
    let server = start(small()).await;
    for start in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let answer = server.exchange(start).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    }
    let answer = server.exchange(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("RequestTimeoutException"), "{answer}");
}

#[tokio::test]
async fn a_byte_at_a_time_is_too_slow() {
    let server = start(small()).await;
    let mut stream = server.connect().await;
    let (mut read, mut write) = stream.split();
    let dripping = async {
        loop {
            if write.write_all(b"x: y\r\n").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut bytes = Vec::new();
    let reading = async { drop(read.read_to_end(&mut bytes).await) };
    let ended = timeout(Duration::from_secs(20), async {
        tokio::select! { () = dripping => {}, () = reading => {} }
    });
    ended.await.expect("the server ends the connection");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left() {
    let server = start(Limits { connections: 1, ..small() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // With one place only, the next client is served once the first was left.
    assert!(timeout(Duration::from_secs(20), server.is_alive()).await.expect("the place is free again"));
}

#[tokio::test]
async fn idle_connections_give_their_places_to_others() {
    let server = start(small()).await;
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(server.connect().await);
    }
    assert!(timeout(Duration::from_secs(20), server.is_alive()).await.expect("others are served"));
}

#[tokio::test]
async fn clients_that_leave_do_no_harm() {
    let server = start(small()).await;
    for _ in 0..50 {
        let mut stream = server.connect().await;
        stream.write_all(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nabc").await.unwrap();
        drop(stream);
    }
    assert!(timeout(Duration::from_secs(20), server.is_alive()).await.expect("places are free again"));
}

#[tokio::test]
async fn an_end_lets_answers_in_progress_finish() {
    let mut server = start(small()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(server.stop.take());
    assert!(read_all(&mut stream).await.ends_with("GET /slow 0\n"));
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_end_cuts_what_does_not_finish() {
    let mut server = start(Limits { drain_timeout: Duration::from_millis(50), ..small() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 1024];
    stream.read_exact(&mut buffer).await.unwrap();
    drop(server.stop.take());
    timeout(Duration::from_secs(20), server.task).await.expect("the server ends").unwrap();
}

//! A server before an emulator, or instead of one: it counts, records, forwards, answers, and loses answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The emulator gets it and answers.
    Forward,
    /// The emulator carries it out, but its answer is lost.
    LoseAnswer,
    /// The emulator answers, but so many bytes before the end the connection breaks.
    CutAnswer(usize),
    /// It is lost.
    Lose,
    /// This answer: status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
}

impl Fate {
    /// An answer in AWS's JSON.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Answer(status, vec![("content-type", "application/x-amz-json-1.0".into())], body.into())
    }

    /// An error in AWS's JSON.
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(status, format!(r#"{{"__type":"com.amazonaws.test#{code}","message":"because"}}"#))
    }
}

/// A request as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Method and target.
    pub line: String,
    /// The other lines before the body.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.lines().filter_map(|line| line.split_once(": "));
        all.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// What AWS's JSON protocols call the operation.
    pub fn operation(&self) -> &str {
        self.header("x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    fates: VecDeque<Fate>,
    otherwise: Option<Fate>,
}

/// The server; it answers until its test's runtime ends.
#[derive(Clone)]
pub struct Front {
    /// Where it answers.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Front {
    /// Before the emulator at this URL: what has no fate is forwarded.
    pub async fn before(url: &str) -> Self {
        Self::start(url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned(), Fate::Forward).await
    }

    /// Instead of an emulator: what has no other fate gets this one.
    pub async fn instead(fate: Fate) -> Self {
        Self::start(String::new(), fate).await
    }

    async fn start(upstream: String, otherwise: Fate) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let front = Self { url, state: Arc::default() };
        front.state.lock().unwrap().otherwise = Some(otherwise);
        let serving = front.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream, upstream.clone()));
            }
        });
        front
    }

    /// The next requests' fates.
    pub fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state.lock().unwrap().fates.extend(fates);
    }

    /// The requests since this was asked last.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// One request a connection.
    async fn serve(self, mut stream: TcpStream, upstream: String) {
        let Some(request) = read_request(&mut stream).await else { return };
        let fate = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(request.clone());
            state.fates.pop_front().or_else(|| state.otherwise.clone()).unwrap()
        };
        let answer = match fate {
            Fate::Lose => return,
            Fate::Forward => forward(&upstream, &request).await,
            Fate::LoseAnswer => return drop(forward(&upstream, &request).await),
            Fate::CutAnswer(bytes) => {
                let mut answer = forward(&upstream, &request).await;
                answer.truncate(answer.len() - bytes);
                answer
            }
            Fate::Answer(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let length = body.len();
                format!("HTTP/1.1 {status} -\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")
                    .into_bytes()
            }
        };
        // Whoever asked may be gone.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let (line, headers) = text.split_once("\r\n").unwrap();
    let mut request =
        Request { line: line.into(), headers: headers.replace("\r\n", "\n"), body: read.split_off(head + 4) };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

async fn forward(upstream: &str, request: &Request) -> Vec<u8> {
    let mut stream = TcpStream::connect(upstream).await.unwrap();
    let headers = request.headers.replace('\n', "\r\n");
    let head = format!("{}\r\n{headers}\r\nConnection: close\r\n\r\n", request.line);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&request.body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

/// One call of an emulator in AWS's JSON, for services that have no adapter here.
pub async fn call(url: &str, service: &str, target: &str, body: serde_json::Value) -> serde_json::Value {
    let body = body.to_string();
    let scope = format!("Credential=test/20261124/us-east-1/{service}/aws4_request");
    let headers = format!(
        "Host: {0}\nX-Amz-Target: {target}\nContent-Type: application/x-amz-json-1.0\nContent-Length: {1}\n\
         Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
        url.trim_start_matches("http://"),
        body.len()
    );
    let request = Request { line: "POST / HTTP/1.1".into(), headers, body: body.into_bytes() };
    let answer = forward(url.trim_start_matches("http://"), &request).await;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{target}: {}", String::from_utf8_lossy(&answer));
    serde_json::from_slice(&answer[head + 4..]).unwrap_or_default()
}

//! A client without an SDK: signed requests over connections that are kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The access key that the server is told of.
pub const ACCESS_KEY: &str = "AKIDBENCHMARKING";
/// Its secret.
pub const SECRET: &str = "a-secret-for-the-benchmark";
/// Longer than any answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address} takes no connection"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }

    /// Sends a request and reads its answer's body, whose status must be 200.
    pub fn exchange(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let (body, end) = loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..])?;
            ensure!(read > 0, "the server closed the connection");
            filled += read;
            if let Some((body, length)) = frame(&self.buffer[..filled])?
                && filled >= body + length
            {
                break (body, body + length);
            }
        };
        ensure!(filled == end, "the server answered more than was asked");
        if !self.buffer.starts_with(b"HTTP/1.1 200 ") {
            bail!("the server refused: {}", String::from_utf8_lossy(&self.buffer[..end]));
        }
        Ok(&self.buffer[body..end])
    }
}

/// Where an answer's body begins and how long it is, once its head is there.
fn frame(answer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    // Heads are short: a long body is not searched each time that more of it comes.
    let head = &answer[..answer.len().min(4096)];
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&head[..end])?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(Some((end + 4, length.context("the answer has no Content-Length")??)))
}

/// A request of an operation in AWS JSON 1.1, signed now. It may be sent for some minutes, as often as one likes: the
/// server checks each.
pub fn signed(address: SocketAddr, operation: &str, input: &Value) -> anyhow::Result<Vec<u8>> {
    let body = serde_json::to_vec(input)?;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = now.get(..8).context("the time has no date")?;
    let headers = [
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("host", address.to_string()),
        ("x-amz-date", now.clone()),
        ("x-amz-target", format!("CodePipeline_20150709.{operation}")),
    ];
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex(&Sha256::digest(&body)));
    let scope = format!("{date}/us-east-1/codepipeline/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part)?;
    }
    let signature = hex(&mac(&key, &to_sign)?);
    let head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut request = format!(
        "POST / HTTP/1.1\r\n{head}content-length: {}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    Ok(request)
}

fn mac(key: &[u8], text: &str) -> anyhow::Result<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(key)?;
    Ok(mac.chain_update(text.as_bytes()).finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

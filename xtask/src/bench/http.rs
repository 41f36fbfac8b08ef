//! Just enough HTTP on loopback for what functions speak to: requests with a length, connections that stay open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context as _;

/// A request, and where its answer goes.
pub struct Request {
    /// As `GET /path`.
    pub line: String,
    /// `X-Amz-Target`, where it has one.
    pub target: String,
    /// What was sent.
    pub body: Vec<u8>,
    stream: TcpStream,
}

impl Request {
    /// Answers with JSON in one write, so that nobody waits for a delayed acknowledgement.
    pub fn answer(mut self, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<()> {
        let mut text =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut answer = text.into_bytes();
        answer.extend_from_slice(body);
        Ok(self.stream.write_all(&answer)?)
    }
}

/// A server on a free port of loopback: its address, and the requests of all its connections.
pub fn serve() -> anyhow::Result<(String, Receiver<Request>)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port of loopback is free")?;
    let address = listener.local_addr()?.to_string();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let Ok(reading) = stream.try_clone() else { return };
                let mut reader = BufReader::new(reading);
                while let Some(request) = read(&mut reader, &stream) {
                    if sender.send(request).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((address, receiver))
}

/// The next request of a connection; none when it closed.
fn read(reader: &mut BufReader<TcpStream>, stream: &TcpStream) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => lines.push(line.trim_end().to_owned()),
        }
    }
    let header = |name: &str| {
        let mut values = lines.iter().filter_map(|line| line.split_once(": "));
        values.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Request { line, target: header("x-amz-target").unwrap_or_default(), body, stream: stream.try_clone().ok()? })
}

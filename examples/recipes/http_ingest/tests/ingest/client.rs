//! As much of an HTTP client as the tests need: one request for each connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\n"), b"").await.expect("an answer")
}

pub(crate) async fn post(address: SocketAddr, topic: &str, key: &str, event: impl AsRef<[u8]>) -> Answer {
    try_post(address, topic, key, event).await.expect("an answer")
}

/// Returns `None` if the service does not answer.
pub(crate) async fn try_post(
    address: SocketAddr,
    topic: &str,
    key: &str,
    event: impl AsRef<[u8]>,
) -> Option<Answer> {
    let head = format!("POST /events/{topic} HTTP/1.1\r\nEvent-Key: {key}\r\n");
    ask(address, &head, event.as_ref()).await
}

async fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let length = body.len();
    let head = format!("{head}Host: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    // A service that refuses a body need not read it.
    drop(stream.write_all(body).await);
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

//! As little of HTTP as a test needs: one request a connection, as a stranger's client would make it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }
}

/// `GET`s a path.
pub fn get(address: &str, path: &str) -> anyhow::Result<Answer> {
    whole(ask(address, "GET", path, b"", Duration::from_secs(60))?)
}

/// `GET`s a path; an error when nothing comes for so long.
pub fn get_within(address: &str, path: &str, patience: Duration) -> anyhow::Result<Answer> {
    whole(ask(address, "GET", path, b"", patience)?)
}

/// `POST`s a JSON document.
pub fn post(address: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
    whole(ask(address, "POST", path, body.to_string().as_bytes(), Duration::from_secs(60))?)
}

/// Follows a stream of events to the one called `end`, and answers its data; `None` when the stream ends before.
pub(super) fn last_event(address: &str, path: &str, patience: Duration) -> anyhow::Result<Option<Value>> {
    let (status, _, lines) = ask(address, "GET", path, b"", patience)?;
    ensure!(status == 200, "{path} answers {status}");
    let mut is_end = false;
    for line in lines.lines() {
        let line = line?;
        // Lines between are those of the chunks.
        if let Some(name) = line.strip_prefix("event:") {
            is_end = name.trim() == "end";
        }
        if let Some(data) = line.strip_prefix("data:").filter(|_| is_end) {
            return Ok(Some(serde_json::from_str(data.trim())?));
        }
    }
    Ok(None)
}

type Asked = (u16, bool, BufReader<TcpStream>);

fn ask(address: &str, method: &str, path: &str, body: &[u8], patience: Duration) -> anyhow::Result<Asked> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("failed to reach {address}"))?;
    stream.set_read_timeout(Some(patience))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let status =
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(|| format!("no status: {line}"))?;
    let mut is_chunked = false;
    loop {
        line.clear();
        lines.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        is_chunked |= header == "transfer-encoding: chunked";
        if header.is_empty() {
            return Ok((status, is_chunked, lines));
        }
    }
}

fn whole((status, is_chunked, mut lines): Asked) -> anyhow::Result<Answer> {
    let mut body = Vec::new();
    if !is_chunked {
        lines.read_to_end(&mut body)?;
        return Ok(Answer { status, body });
    }
    loop {
        let mut size = String::new();
        lines.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).context("the size of a chunk")?;
        if size == 0 {
            return Ok(Answer { status, body });
        }
        lines.by_ref().take(size).read_to_end(&mut body)?;
        lines.read_exact(&mut [0; 2])?;
    }
}

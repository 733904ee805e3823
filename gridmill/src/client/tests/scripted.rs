//! A server that gives answers one after the other, whatever it is asked, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with one connection, of which it serves one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers this, byte by byte.
    Say(String),
    /// Hangs up once it has read the request.
    HangUp,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `GET /v1/jobs`.
    pub line: String,
    /// Lines of the head, with names in lower case.
    pub headers: Vec<String>,
    /// The body, without the sizes of its chunks.
    pub body: Vec<u8>,
}

/// The server.
pub struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    left: Arc<Mutex<VecDeque<Act>>>,
    serving: JoinHandle<()>,
}

impl Scripted {
    /// Listens on a free port of this machine. Once its acts are used up it accepts no more.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let left: Arc<Mutex<VecDeque<Act>>> = Arc::new(Mutex::new(acts.into_iter().collect()));
        let serving = tokio::spawn(serve(listener, left.clone(), asked.clone()));
        Self { port, asked, left, serving }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked, after all acts were played.
    pub fn asked(&self) -> Vec<Asked> {
        assert_eq!(self.left.lock().unwrap().len(), 0, "not everything was asked for");
        self.asked.lock().unwrap().clone()
    }

    /// The request lines.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// An answer with a JSON body.
pub fn json(status: u16, body: &str) -> Act {
    answer(status, &[("content-type", "application/json")], body)
}

/// An answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    Act::Say(format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

async fn serve(listener: TcpListener, left: Arc<Mutex<VecDeque<Act>>>, asked: Arc<Mutex<Vec<Asked>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Some(request) = read(&mut stream).await else { continue };
        asked.lock().unwrap().push(request);
        let act = left.lock().unwrap().pop_front();
        match act {
            Some(Act::Say(text)) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            Some(Act::HangUp) => {}
            None => return,
        }
    }
}

/// One request; `None` when there is none before the connection ends.
async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.lines().map(str::to_owned);
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let lower = |line: String| {
        line.split_once(':').map_or(line.clone(), |(name, value)| format!("{}:{value}", name.to_ascii_lowercase()))
    };
    let headers = lines.map(lower).collect();
    let mut asked = Asked { line, headers, body: bytes[head_end + 4..].to_vec() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let is_chunked = asked.header("transfer-encoding") == Some("chunked");
    while if is_chunked { !asked.body.ends_with(b"0\r\n\r\n") } else { asked.body.len() < length } {
        if stream.read_buf(&mut asked.body).await.ok()? == 0 {
            return None;
        }
    }
    if is_chunked {
        asked.body = without_sizes(&asked.body);
    }
    Some(asked)
}

fn without_sizes(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = chunked.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&chunked[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunked[line + 2..line + 2 + size]);
        chunked = &chunked[line + 2 + size + 2..];
    }
}

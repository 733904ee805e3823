//! Answers whose length nobody knows: JSON documents line by line, and events.

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::transport::Sending;
use super::{Answer, Ask, Client, ClientError, Repeat, Route};

/// Longest line: a log entry has a few MiB, escaped.
const MAX_LINE_BYTES: usize = 64 << 20;

const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Lines of a body, as they arrive.
struct Text<'a> {
    client: &'a Client,
    host: String,
    body: Incoming,
    buffer: BytesMut,
}

/// JSON documents, one a line.
pub struct Lines<'a, T> {
    text: Text<'a>,
    kind: PhantomData<T>,
}

/// Server-sent events, each with a JSON document.
pub struct Events<'a, T> {
    text: Text<'a>,
    /// The last one that arrived, by which a manager knows what to tell next.
    pub last_id: Option<String>,
    kind: PhantomData<T>,
}

impl Client {
    /// The documents at a route. Opening is tried again; what breaks off later is an error, and no part passes for the
    /// whole.
    pub async fn lines<T: DeserializeOwned>(&self, route: &Route) -> Result<Lines<'_, T>, ClientError> {
        let ask = Ask { method: Method::GET, route, headers: vec![(ACCEPT, NDJSON)], body: &Sending::nothing };
        let answer = self.patiently(Repeat::Harmless, async || self.follow(&ask).await).await?;
        Ok(Lines { text: self.text(answer), kind: PhantomData })
    }

    /// The events at a route after that one; `None` when none will follow. One try.
    pub async fn events<T: DeserializeOwned>(
        &self,
        route: &Route,
        last_id: Option<String>,
    ) -> Result<Option<Events<'_, T>>, ClientError> {
        let mut headers = vec![(ACCEPT, EVENT_STREAM)];
        let id = last_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        headers.extend(id.map(|id| (LAST_EVENT_ID, id)));
        let ask = Ask { method: Method::GET, route, headers, body: &Sending::nothing };
        let answer = self.follow(&ask).await?;
        let is_over = answer.head.status() == StatusCode::NO_CONTENT;
        Ok((!is_over).then(|| Events { text: self.text(answer), last_id, kind: PhantomData }))
    }

    fn text(&self, answer: Answer) -> Text<'_> {
        Text { client: self, host: answer.host, body: answer.head.into_body(), buffer: BytesMut::new() }
    }
}

impl Text<'_> {
    /// The next line without its end; `None` at the end of the body.
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end).freeze();
                self.buffer.advance(1);
                return Ok(Some(line));
            }
            searched = self.buffer.len();
            if searched > MAX_LINE_BYTES {
                return Err(self.strange(format!("a line has more than {MAX_LINE_BYTES} bytes")));
            }
            match self.client.transport.piece(&self.host, &mut self.body).await? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }

    fn document<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(text).map_err(|error| self.strange(error.to_string()))
    }

    fn strange(&self, what: String) -> ClientError {
        ClientError::Strange { host: self.host.clone(), what }
    }
}

impl<T: DeserializeOwned> Lines<'_, T> {
    /// The next document; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        while let Some(line) = self.text.next().await? {
            // An empty one says that the connection stands.
            if !line.is_empty() {
                return self.text.document(&line).map(Some);
            }
        }
        Ok(None)
    }
}

impl<T: DeserializeOwned> Events<'_, T> {
    /// The next event; `None` when the manager ends the stream, which it may do at any time.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        let (mut data, mut id) = (Vec::new(), None);
        while let Some(line) = self.text.next().await? {
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if line.is_empty() {
                if data.is_empty() {
                    continue;
                }
                let document = self.text.document(&data)?;
                // It counts from now on only: what was cut off is told again.
                self.last_id = id.or(self.last_id.take());
                return Ok(Some(document));
            }
            match field(line) {
                (b"data", value) => {
                    data.extend((!data.is_empty()).then_some(b'\n'));
                    data.extend_from_slice(value);
                }
                (b"id", value) => id = String::from_utf8(value.to_vec()).ok(),
                // Comments keep the connection; the documents themselves tell what kind of event it is.
                (_, _) => {}
            }
        }
        Ok(None)
    }
}

/// `name: value`.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

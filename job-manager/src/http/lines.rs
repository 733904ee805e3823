//! Answers whose length nobody knows: lines of JSON, sent as they are found.

use std::fmt::Debug;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::problem::Refusal;

/// Without any line something is sent after this time.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One JSON document a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// An answer of lines. A failure before the first one is a problem; a later one breaks the answer off, so that nobody takes
/// a part for the whole.
pub(super) async fn lines<T, E>(mut found: mpsc::Receiver<Result<T, E>>) -> Result<Response, Refusal>
where
    T: Serialize + Send + 'static,
    E: Into<Refusal> + Debug + Send + 'static,
{
    let first = found.recv().await.transpose().map_err(Into::into)?;
    let lines = stream::unfold((first, found), |(ready, mut found)| async {
        let next = match ready {
            Some(value) => Ok(value),
            None => found.recv().await?,
        };
        Some((next.map(|value| line(&value)).map_err(broken_off), (None, found)))
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

/// An answer of lines that goes on for as long as something may come: at once, and with an empty line where nothing has come
/// for a while, so that whoever is in between keeps the connection.
pub(super) fn endless<T, E>(found: mpsc::Receiver<Result<T, E>>) -> Response
where
    T: Serialize + Send + 'static,
    E: Into<Refusal> + Debug + Send + 'static,
{
    let lines = stream::unfold(found, |mut found| async {
        let next = match timeout(HEARTBEAT, found.recv()).await {
            Ok(next) => next?.map(|value| line(&value)).map_err(broken_off),
            Err(_) => Ok(b"\n".to_vec()),
        };
        Some((next, found))
    });
    ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("our own types have string keys and finite numbers");
    line.push(b'\n');
    line
}

fn broken_off(error: impl Into<Refusal> + Debug) -> std::io::Error {
    tracing::error!(?error, "an answer was broken off");
    std::io::Error::other("the answer was broken off")
}

//! Answers whose length nobody knows: lines of JSON, sent as they are found.

use std::fmt::Debug;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::problem::Refusal;

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

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("our own types have string keys and finite numbers");
    line.push(b'\n');
    line
}

fn broken_off(error: impl Into<Refusal> + Debug) -> std::io::Error {
    tracing::error!(?error, "an answer was broken off");
    std::io::Error::other("the answer was broken off")
}

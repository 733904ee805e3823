//! Reads the bodies of answers, in bounded memory.

use std::time::Duration;

use grid_api::Problem;
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::transport::Transport;
use super::{Answer, ClientError};

/// Longest document that is read: a page of a list has a thousand entries at most.
const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// Longest problem that is read: it may come from a proxy, and be a page for people.
const MAX_PROBLEM_BYTES: usize = 1 << 20;

/// What is shown of an answer that is no problem document.
const SHOWN_CHARS: usize = 200;

/// The document of an answer.
pub async fn json<T: DeserializeOwned>(transport: &Transport, answer: Answer) -> Result<T, ClientError> {
    let host = answer.host.clone();
    let strange = |what: String| ClientError::Strange { host: host.clone(), what };
    let (bytes, is_whole) = read(transport, answer, MAX_DOCUMENT_BYTES).await?;
    if !is_whole {
        return Err(strange(format!("it has more than {MAX_DOCUMENT_BYTES} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()))
}

/// What an answer that is no success says.
pub async fn refusal(transport: &Transport, answer: Answer) -> ClientError {
    let (host, status) = (answer.host.clone(), answer.head.status());
    let retry_after = retry_after(answer.head.headers());
    // The status is known, whether the rest arrives or not.
    let (bytes, _) = read(transport, answer, MAX_PROBLEM_BYTES).await.unwrap_or_default();
    let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| problem_of(&host, status, &bytes));
    ClientError::Refused { problem: Box::new(problem), retry_after }
}

/// Bytes up to a bound, and whether that is all.
async fn read(transport: &Transport, answer: Answer, most: usize) -> Result<(Vec<u8>, bool), ClientError> {
    let mut body = answer.head.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = transport.piece(&answer.host, &mut body).await? {
        if bytes.len() + piece.len() > most {
            return Ok((bytes, false));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, true))
}

/// In whole seconds; a date is not worth the trouble.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A problem in our words: a proxy or a store has others, or none.
fn problem_of(host: &str, status: StatusCode, body: &[u8]) -> Problem {
    let title = status.canonical_reason().unwrap_or("no success").to_owned();
    let text: String = String::from_utf8_lossy(body).split_whitespace().collect::<Vec<&str>>().join(" ");
    let shown: String = text.chars().take(SHOWN_CHARS).collect();
    let said = if shown.is_empty() { String::new() } else { format!(": {shown}") };
    Problem {
        kind: "about:blank".to_owned(),
        detail: format!("{host} answers {} ({title}){said}", status.as_u16()),
        title,
        status: status.as_u16(),
        errors: Vec::new(),
        request_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_problem_document_is_cut_short() {
        let page = format!("<html>\n  {}", "x".repeat(1_000));
        let problem = problem_of("http://grid", StatusCode::BAD_GATEWAY, page.as_bytes());
        assert!(problem.detail.starts_with("http://grid answers 502 (Bad Gateway): <html> xxx"), "{}", problem.detail);
        assert_eq!(problem.detail.len(), "http://grid answers 502 (Bad Gateway): ".len() + SHOWN_CHARS);
        assert_eq!(problem_of("http://grid", StatusCode::FORBIDDEN, b"").detail, "http://grid answers 403 (Forbidden)");
    }
}

//! JSON bodies, parsed at the door.

use std::error::Error;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tower_http::timeout::TimeoutError;

use super::problem::{Refusal, fault, step};

/// A JSON body.
pub(super) struct Body<T>(pub T);

/// A JSON body that may be left out; nothing at all means the default.
pub(super) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_json(&request) {
            let detail = "the body must be JSON: send it with `Content-Type: application/json`";
            return Err(Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        parse(&read(request, state).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if is_json(&request) {
            return Body::from_request(request, state).await.map(|Body(value)| Self(value));
        }
        match read(request, state).await?.is_empty() {
            true => Ok(Self(T::default())),
            false => {
                let detail = "a body must be JSON: send it with `Content-Type: application/json`";
                Err(Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }
}

/// Reads a whole body, up to the limit of its route.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, state).await.map_err(|rejection| unread(rejection.status(), &rejection))
}

/// Why a body did not arrive.
pub(super) fn unread(status: StatusCode, error: &(dyn Error + 'static)) -> Refusal {
    if has_cause::<TimeoutError>(error) {
        return Refusal::plain(StatusCode::REQUEST_TIMEOUT, "no more of the body arrived for too long");
    }
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::plain(status, "the body is longer than this path takes"),
        _ => Refusal::malformed("#", "the body ended before it was complete"),
    }
}

/// Whether an error, or what caused it, is of a type.
pub(super) fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    error.is::<T>() || error.source().is_some_and(has_cause::<T>)
}

/// Reads a JSON document; the refusal says where it is wrong.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = error.path().iter().fold("#".to_owned(), |pointer, segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } => pointer + &step(key),
            Segment::Unknown => pointer,
        });
        refused(pointer, &error.into_inner())
    })?;
    json.end().map_err(|error| refused("#".into(), &error))?;
    // Structs are read from arrays, too.
    match bytes.trim_ascii_start().first() {
        Some(b'{') => Ok(value),
        _ => Err(Refusal::invalid(vec![fault("#", "the body must be a JSON object")])),
    }
}

fn refused(pointer: String, error: &serde_json::Error) -> Refusal {
    match error.classify() {
        serde_json::error::Category::Data => Refusal::invalid(vec![fault(pointer, error.to_string())]),
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            Refusal::malformed(pointer, format!("the body is no JSON: {error}"))
        }
    }
}

/// `application/json`, with parameters or without.
fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

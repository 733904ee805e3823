//! JSON bodies, parsed at the door.

use std::error::Error;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tower_http::timeout::TimeoutError;

use super::MAX_JSON_BYTES;
use super::problem::{Refusal, fault, step};

/// A JSON body.
pub(super) struct Body<T>(pub T);

/// A JSON body that may be left out; nothing at all and `null` mean the default.
pub(super) struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        if !is_json(&request) {
            let detail = "the body must be JSON: send it with `Content-Type: application/json`";
            return Err(Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        parse(&read(request).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        if is_json(&request) {
            let bytes = read(request).await?;
            let is_null = bytes.trim_ascii() == b"null";
            return if is_null { Ok(Self(T::default())) } else { parse(&bytes).map(Self) };
        }
        match read(request).await?.is_empty() {
            true => Ok(Self(T::default())),
            false => {
                let detail = "a body must be JSON: send it with `Content-Type: application/json`";
                Err(Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
            }
        }
    }
}

/// Reads a whole body, up to [`MAX_JSON_BYTES`].
async fn read(request: Request) -> Result<Bytes, Refusal> {
    to_bytes(request.into_body(), MAX_JSON_BYTES).await.map_err(|error| {
        let is_long = has_cause::<http_body_util::LengthLimitError>(&error);
        unread(if is_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }, &error)
    })
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

/// What a request says that its body is.
pub(super) fn content_type(request: &Request) -> Option<&str> {
    request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
}

/// `application/json`, with parameters or without.
fn is_json(request: &Request) -> bool {
    let essence = content_type(request).and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

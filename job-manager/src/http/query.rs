//! Queries, parsed at the door; and pages of lists.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Api;
use super::problem::Refusal;

/// Entries of a page, unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Most entries of a page.
const MAX_LIMIT: u32 = 1_000;

/// The query of a request.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Api>> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Refusal> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            let words = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            // `limit: invalid digit found in string`
            match words.split_once(": ") {
                Some((name, message)) if !name.contains(' ') => Refusal::malformed(format!("query:{name}"), message),
                _ => Refusal::malformed("query", words),
            }
        })
    }
}

/// How many entries a page may have.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, Refusal> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit as usize),
        _ => Err(Refusal::malformed("query:limit", format!("a page has from 1 to {MAX_LIMIT} entries"))),
    }
}

/// The refusal of a cursor that no answer gave.
pub(super) fn no_cursor() -> Refusal {
    Refusal::malformed("query:cursor", "this is no cursor of this list: take `next_cursor` of its last page as it is")
}

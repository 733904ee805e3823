//! Queries, parsed at the door; and pages of lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use grid_api::ProblemError;
use serde::de::DeserializeOwned;

use super::Api;
use super::access::beginning;
use super::parameters::{Need, Parameters, query_of};
use super::problem::{Refusal, fault};

/// Entries of a page, unless the client says otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// Most entries of a page.
const MAX_LIMIT: u32 = 1_000;

/// The query of a request whose caller was admitted, and with that its names were [checked](check).
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

/// Refuses a query whose parameters are not those of the route, each of them once.
pub(super) fn check(parts: &Parts) -> Result<(), Refusal> {
    let Some(path) = parts.extensions.get::<MatchedPath>() else { return Ok(()) };
    let known = query_of(&parts.method, path.as_str());
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Ok(axum::extract::Query(pairs)) = pairs else {
        return Err(Refusal::malformed("query", "this is no query: write `NAME=VALUE&..`"));
    };
    match faults(known, pairs.iter().map(|(name, _)| name.as_str())) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(Refusal::faulty(StatusCode::BAD_REQUEST, faults)),
    }
}

fn faults<'a>(known: &Parameters, asked: impl Iterator<Item = &'a str>) -> Vec<ProblemError> {
    let mut times = BTreeMap::<&str, usize>::new();
    asked.for_each(|name| *times.entry(name).or_default() += 1);
    let at = |name: &str, words: String| fault(format!("query:{}", beginning(name)), words);
    let unknown = times.keys().filter(|name| !known.contains_key(**name)).map(|name| at(name, unknown(known)));
    let twice = times.iter().filter(|(name, times)| known.contains_key(**name) && **times > 1);
    let twice = twice.map(|(name, _)| at(name, "the parameter is given more than once".to_owned()));
    let missing = known.iter().filter(|(name, need)| **need == Need::Required && !times.contains_key(name.as_str()));
    let missing = missing.map(|(name, _)| at(name, "the parameter must be given".to_owned()));
    unknown.chain(twice).chain(missing).collect()
}

fn unknown(known: &Parameters) -> String {
    match known.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ") {
        names if names.is_empty() => "this path takes no parameters".to_owned(),
        names => format!("this path has no such parameter: it takes {names}"),
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

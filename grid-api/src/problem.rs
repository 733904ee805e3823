//! What went wrong, by RFC 9457 (`application/problem+json`).

use serde::{Deserialize, Serialize};

/// An answer with a status of 400 or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The kind of problem: `about:blank` where the status says it all, else `urn:gridmill:problem:NAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it is this time, and what to do.
    pub detail: String,
    /// Of a request that cannot be right: every fault, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub errors: Vec<ProblemError>,
    /// Names the request in the manager's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub request_id: Option<String>,
}

/// One fault of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemError {
    /// Where: a JSON pointer into the body, such as `#/params/year`, or `query:limit`, `path:id`, `header:NAME`,
    /// `part:NAME`.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

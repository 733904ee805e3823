//! Whether a manager can work.

use serde::{Deserialize, Serialize};

/// The answer of `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// Whether every back end answers.
    pub ready: bool,
    /// Each of them.
    pub back_ends: Vec<BackEnd>,
}

/// What the manager stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackEnd {
    /// `objects`, `tasks`, `dead_tasks`, `reports` or `state`; while a manager starts also `credentials`.
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
    /// What is wrong: `unavailable`, `throttled`, `denied`, ..; `opening` until it was asked for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub fault: Option<String>,
    /// The same for people: what it is, which setting names it, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub detail: Option<String>,
}

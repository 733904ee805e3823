//! Lists.

use grid_core::ids::JobId;
use grid_core::job::JobState;
use serde::{Deserialize, Serialize};

use crate::StageStatus;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// What was found. May be fewer than asked for, even none, although more follow.
    pub entries: Vec<T>,
    /// Give this as `cursor` to read on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub next_cursor: Option<String>,
}

/// A job in the list of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobSummary {
    /// The job; ids sort by the time of submission.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// On whose behalf; empty where there are no tenants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::JobStateSchema))]
    pub state: JobState,
    /// RFC 3339.
    pub submitted: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub finished: Option<String>,
    /// Why it stands there, where that needs a word; only where stages were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub message: Option<String>,
    /// Its stages, in the order of execution; only where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub stages: Option<Vec<StageStatus>>,
}

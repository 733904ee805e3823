//! What is wished of a job.

use std::collections::BTreeMap;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/jobs/{id}/redrive`; `{}` runs every dead item again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// Which of the dead items, such as `stage=clean and reason=timeout`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What is to be different this time, such as `timeout: 20m`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
}

/// Where a job stands after something was wished of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStanding {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::JobStateSchema))]
    pub state: JobState,
}

/// What a redrive began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Redriven {
    /// Items that run again.
    pub items: u64,
    /// Where the job stands.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::JobStateSchema))]
    pub state: JobState,
}

//! Workers and pools.

use grid_core::ids::{JobId, StageName, WorkerId};
use serde::{Deserialize, Serialize};

/// A worker, by its last sign of life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerStatus {
    /// One life of one worker process.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub worker: WorkerId,
    /// The pool that it serves.
    pub pool: String,
    /// Parallel places; 0 once it drains.
    pub slots: u32,
    /// RFC 3339: when it was last heard of.
    pub seen: String,
    /// What runs there.
    pub running: Vec<RunningTask>,
}

/// A task that is being executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunningTask {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stage: StageName,
    /// Its first item.
    pub first: u32,
    /// The attempt.
    pub attempt: u32,
    /// Whether it is a copy: another execution of the attempt, since the first is far slower than others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub is_copy: bool,
    /// Items of it that have ended.
    pub items_done: u32,
    /// What the command said of the item in hand, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub progress: Option<f32>,
    /// The command's own words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub status: Option<String>,
}

/// A set of like workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolStatus {
    /// Its name.
    pub pool: String,
    /// Workers in sight.
    pub workers: u32,
    /// Their parallel places.
    pub slots: u32,
    /// Places that are taken.
    pub busy: u32,
    /// Its groups of machines, the preferred one first; none where machines come and go by other means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupStatus>,
    /// What keeps it from growing, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
}

/// Machines that are bought alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GroupStatus {
    /// Its name.
    pub group: String,
    /// Machines with a worker that was heard.
    pub machines: u32,
    /// Machines that were asked for and have not spoken: they boot.
    pub coming: u32,
    /// Machines that go.
    pub leaving: u32,
    /// What is waited for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

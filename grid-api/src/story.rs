//! What is known of one item.

use grid_core::ids::{JobId, StageName};
use grid_core::reason::Failure;
use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::schema::FailureSchema;

/// The story of one item, as `GET /v1/jobs/{id}/why` and `gridmill why --json` tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Story {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stage: StageName,
    /// The item's name.
    pub item: String,
    /// Its place in the stage.
    pub index: u32,
    /// What became of it, in words.
    pub outcome: String,
    /// Why it waits although it could be handed out, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Its attempts, ascending.
    pub attempts: Vec<Attempt>,
    /// Whether its results are those of an earlier job.
    pub reuse: Reuse,
}

/// One attempt at the item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attempt {
    /// The try, from 1.
    pub attempt: u32,
    /// Who executed it.
    pub worker: String,
    /// RFC 3339.
    pub started: String,
    /// The items that were in its task.
    pub task_items: u32,
    /// Whether it was ended by a copy: another execution of it, since the first was far slower than others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub is_copy: bool,
    /// How it ended for the item.
    #[serde(flatten)]
    pub end: AttemptEnd,
}

/// How an attempt ended for the item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum AttemptEnd {
    /// Its results count.
    Committed {
        /// Bytes on standard output.
        stdout_bytes: u64,
        /// Files that it left.
        files: u64,
    },
    /// It failed.
    Failed {
        /// Items that failed with it, where the blame is not known.
        together: u32,
        /// Why.
        #[serde(flatten)]
        #[cfg_attr(feature = "openapi", schema(value_type = FailureSchema))]
        failure: Failure,
    },
    /// It was handed back before it was run, or was stopped.
    HandedBack,
}

/// Whether the results are those of an earlier job, and why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Reuse {
    /// They are.
    Taken {
        /// Whose.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        from: JobId,
    },
    /// The stage says `cache: false`.
    Off,
    /// No earlier job of this pipeline is known here.
    NoEarlierJob,
    /// The stage was another one then.
    StageDiffers {
        /// The earlier job.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        from: JobId,
        /// The first part that differs.
        field: String,
        /// What it is now.
        now: String,
        /// What it was.
        then: String,
    },
    /// The stage was the same, but had no result for such an item: its key or its content is new, or it had failed.
    ItemIsNew {
        /// The earlier job.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        from: JobId,
    },
}

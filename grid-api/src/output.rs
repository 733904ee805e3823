//! What a job wrote.

use grid_core::ids::StageName;
use serde::{Deserialize, Serialize};

/// A file that a job wrote, as `GET /v1/jobs/{id}/outputs` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputFile {
    /// Its path below the output folder, as `gridmill run --out` would write it.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The CRC-32 (IEEE 802.3) of its bytes.
    pub crc32: u32,
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stage: StageName,
    /// The item's place in its stage; of the first one, where items share a file.
    pub item: u32,
    /// Where to get it: a path of this manager, with a query that finds the file at once.
    pub href: String,
}

/// Standard error of one item in one attempt, a line of `GET /v1/jobs/{id}/logs/..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stage: StageName,
    /// The item's place in the stage.
    pub index: u32,
    /// The item's name.
    pub item: String,
    /// The attempt.
    pub attempt: u32,
    /// How it began.
    pub head: String,
    /// How it ended, where it was too long to be kept whole.
    pub tail: String,
    /// Bytes between the two that were not kept.
    pub dropped_bytes: u64,
}

//! The plan of a stage: which items it has. Written in chunks of [`SHARD_ITEMS`](crate::limits::SHARD_ITEMS) as they
//! are found, so that a stage of any size is planned in bounded memory.
//!
//! Only `split`, `list: FILE` and `group` have chunks. The items of `range`, `matrix`, inline lists, `each` and `all`
//! follow from the pipeline and the number of items upstream.

use serde::{Deserialize, Serialize};

use crate::ids::StageItems;
use crate::items::Key;
use crate::pipeline::ListItem;
use crate::split::{Segment, Slice};

/// One chunk: items `number * SHARD_ITEMS ..` of the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanChunk {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// Its place in the plan.
    pub number: u32,
    /// The items.
    pub items: ChunkItems,
}

/// The items of a chunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkItems {
    /// Partitions of an input.
    Slices(Vec<SliceRun>),
    /// Values of a list file.
    Values(Vec<ListItem>),
    /// Groups.
    Groups(Vec<Group>),
}

/// Consecutive slices, written compactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceRun {
    /// Slices of one file that follow each other without a gap, one segment each.
    Contiguous {
        /// The file.
        file: u32,
        /// Where the first slice begins.
        start: u64,
        /// The first slice's part number.
        part: u32,
        /// The file's header line.
        header: Option<Segment>,
        /// The length of each slice.
        lens: Vec<u64>,
        /// Records in each slice; where they were counted.
        records: Option<RecordCounts>,
        /// As in [`Slice`].
        whole_records: bool,
    },
    /// A slice of several segments.
    Spanning(Slice),
}

/// The number of records in each slice of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordCounts {
    /// So many in each slice but perhaps the last, and so many in the last.
    Same(u64, u64),
    /// Slice by slice.
    Each(Vec<u64>),
}

/// One item of a `group` stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The values of the dimensions.
    pub key: Key,
    /// The items upstream that belong to it.
    pub members: Vec<StageItems>,
}

/// What was planned in all; written once, when it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// Items of the stage.
    pub items: u32,
    /// Bytes of input in them, repeated headers not counted.
    pub bytes: u64,
    /// Records in them, where the splitter counted.
    pub records: Option<u64>,
}

//! The manifest: how an attempt ended, written once. The truth about what is done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, ItemIndex, JobId, StageName, WorkerId};
use crate::reason::Failure;

/// How an attempt ended. Items that are in neither `failed` nor `unrun` succeeded and are hereby committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The first item.
    pub first: ItemIndex,
    /// How many items.
    pub count: u32,
    /// The try, from 1.
    pub attempt: u32,
    /// Who wrote it.
    pub worker: WorkerId,
    /// Which execution of the attempt this was: 0 the one that it was sent for, from 1 a copy.
    #[serde(default, skip_serializing_if = "is_no_copy")]
    pub copy: u32,
    /// When the execution began, Unix milliseconds by the worker's clock; never compared with another machine's.
    pub started_ms: u64,
    /// How long the items took together, microseconds.
    pub busy_us: u64,
    /// Bytes of input of the items that ended here (successful and failed), repeated headers not counted.
    pub bytes_in: u64,
    /// What the successful items wrote.
    pub outputs: Outputs,
    /// Items that failed, ascending; an entry of several items means that one of them is to blame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<ItemFailure>,
    /// Items that were not run, `(first, count)` ascending: given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrun: Vec<(ItemIndex, u32)>,
    /// Standard error of the items, when there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Values of parameters in place of the job's, where a redrive has set them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Set when the results are those of an earlier job with the same identities: that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<JobId>,
}

/// Items that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// The first item.
    pub first: ItemIndex,
    /// How many: more than one where the blame is not known.
    pub count: u32,
    /// Bytes of their input, repeated headers not counted.
    pub bytes_in: u64,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

/// What the successful items of an attempt wrote, packed one after the other in item order: an item's standard
/// output, then its files in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Where the bytes are.
    pub pack: Pack,
    /// Standard output of the items, `[length, CRC-32]` each, from the first item on; empty when no item wrote any. A
    /// failed item has length 0. With `bundled` a single entry, for all items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdout: Vec<(u64, u32)>,
    /// Files that items left in their output folder, ascending by item, then by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<OutputFile>,
    /// Whether one process wrote them for all items together (`per: bundle`): they cannot be told apart, and the files
    /// are those of the first item.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bundled: bool,
}

/// A file that an item left in its output folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// The item.
    pub item: ItemIndex,
    /// Path relative to the output folder, `/` between its parts; never absolute, never `..`.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

/// Where packed outputs are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pack {
    /// There are none.
    #[default]
    Empty,
    /// In the manifest, as text.
    Text(String),
    /// In the manifest, in base64.
    Base64(String),
    /// In an object of their own.
    Object {
        /// Its key.
        key: String,
        /// Where in it they begin: not 0 where they are a part of what an earlier job wrote.
        #[serde(default, skip_serializing_if = "is_zero")]
        start: u64,
        /// How many bytes they are.
        len: u64,
    },
}

impl Manifest {
    /// The attempt's name within its stage.
    pub fn key(&self) -> AttemptKey {
        AttemptKey { first: self.first, attempt: self.attempt }
    }

    /// How an item failed, alone or with others; none where it did not.
    pub fn failure_of(&self, item: ItemIndex) -> Option<&ItemFailure> {
        let holds = |failed: &&ItemFailure| item.checked_sub(failed.first).is_some_and(|place| place < failed.count);
        self.failed.iter().find(holds)
    }
}

fn is_no_copy(copy: &u32) -> bool {
    *copy == 0
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

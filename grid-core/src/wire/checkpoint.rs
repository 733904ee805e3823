//! A checkpoint: one object, so that it is there as a whole or not at all. Lines of JSON - a head, the entries, an end - with
//! the bytes of each file behind the line that announces it.

use serde::{Deserialize, Serialize};

use crate::ids::{ItemIndex, JobId, StageName};

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointHead {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The item.
    pub item: ItemIndex,
    /// The attempt that made it.
    pub attempt: u32,
}

/// What follows the head. Folders come before what lies in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointEntry {
    /// A folder.
    Folder {
        /// Below the checkpoint folder, parts joined by `/`.
        path: String,
    },
    /// A file; its bytes follow.
    File {
        /// As of a folder.
        path: String,
        /// How many bytes.
        len: u64,
        /// Whether it may be executed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// As of a folder.
        path: String,
        /// What it says, as it stands.
        target: String,
    },
    /// The last line.
    End(CheckpointEnd),
}

/// What proves that all of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEnd {
    /// Entries before it.
    pub entries: u32,
    /// CRC-32 of the bytes of all files, one after the other.
    pub crc32: u32,
}

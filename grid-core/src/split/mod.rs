//! Where the records of an input end, and so where it may be cut. Pure: bytes come in, slices go out.

pub mod cut;
pub mod gather;
pub mod head;
pub mod prove;
pub mod rule;
pub mod scan;
#[cfg(test)]
mod tests;

pub use cut::{Cutter, Piece, Way};
pub use gather::Gatherer;
pub use head::{Head, HeadFinder};
pub use prove::{Area, Proved, Prover, prove};
pub use rule::{CutRule, SplitBy};
pub use scan::{LongRecord, Probe, Scanner};

use serde::{Deserialize, Serialize};

use crate::items::Key;
use crate::items::dims::slice_key;
use crate::submission::PinnedFile;

/// A piece of one input file, in the coordinates of its *uncompressed* bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// The file's place in the input's list of files.
    pub file: u32,
    /// The first byte.
    pub start: u64,
    /// How many bytes.
    pub len: u64,
}

/// The input of one item: usually one segment, several where small files share an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The pieces, in order; read one after the other.
    pub segments: Vec<Segment>,
    /// The header line of the first segment's file, which goes before the pieces.
    pub header: Option<Segment>,
    /// The item's number within its file (or within the input, when it spans files), from 0.
    pub part: u32,
    /// Records in it, where the splitter counted them.
    pub records: Option<u64>,
    /// Whether the pieces are whole records: then a newline goes behind a piece whose file ends without one when
    /// another piece follows, so that two records do not become one.
    #[serde(default)]
    pub whole_records: bool,
}

impl Slice {
    /// Bytes of the input that are in this slice, the repeated header not counted.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// The item's dimensions: the `NAME=VALUE` folders that its files lie in, `file`, the name of the (first) file it
    /// was cut from, and `part`; see [`slice_key`].
    ///
    /// `files` are those of the input, in order; a slice of another input has no `file`.
    pub fn key(&self, files: &[PinnedFile]) -> Key {
        let files = self.segments.iter().filter_map(|segment| files.get(segment.file as usize));
        slice_key(files.map(|file| file.name.as_str()), self.part)
    }
}

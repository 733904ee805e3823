//! Where the records of an input end, and so where it may be cut. Pure: bytes come in, slices go out.

use serde::{Deserialize, Serialize};

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
}

impl Slice {
    /// Bytes of the input that are in this slice, the repeated header not counted.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

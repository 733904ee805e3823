//! The blocks of a file: digests by which two slices can be told apart without reading them.
//!
//! A block is a subtree of BLAKE3, and its digest is the chaining value there. So one pass over the bytes gives the digests
//! of all blocks and that of the file, which is the ordinary BLAKE3 of its bytes. A block's digest also says where in the
//! file it lies.
//!
//! Blocks have 64 KiB. The first 64 KiB are divided into blocks of 1 KiB, because the header that is repeated before every
//! slice lies there. From 8 GiB on they grow with the file, so that the digests of 1 TiB take 18 MiB.

use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::submission::{Compression, PinnedFile};

/// A digest's length.
pub const DIGEST_BYTES: u64 = 32;

/// A block of the first [`COARSE_BYTES`]: a chunk of BLAKE3, the smallest subtree.
const FINE_BYTES: u64 = 1 << 10;

/// Any other block.
const COARSE_BYTES: u64 = 64 << 10;

/// Doublings of a file's size without larger blocks.
const EVEN_DOUBLINGS: u32 = 32;

/// Coarse blocks in every later doubling.
const BLOCKS_IN_DOUBLING: u64 = (1 << EVEN_DOUBLINGS) / COARSE_BYTES;

/// Smaller files are told apart as a whole: to keep a list for each of them takes longer than to do them again.
const MIN_FILE_BYTES: u64 = 1 << 20;

/// The digest of a file for whose blocks digests are kept, in hexadecimal digits; `None` for any other file.
///
/// Slices of compressed files lie in content whose blocks nobody has seen, and a store's own checksum is no BLAKE3.
pub fn digest_of(file: &PinnedFile) -> Option<&str> {
    let has_blocks = file.compression == Compression::None && file.size >= MIN_FILE_BYTES;
    file.digest.strip_prefix("blake3:").filter(|_| has_blocks)
}

/// The blocks that hold bytes of `start .. start + len`, by their places in the file's list of digests.
pub fn touched(start: u64, len: u64) -> Range<u64> {
    match len.checked_sub(1) {
        Some(last) => place(start)..place(start.saturating_add(last)) + 1,
        None => 0..0,
    }
}

/// The place of the block in which `position` lies.
fn place(position: u64) -> u64 {
    if position < COARSE_BYTES {
        return position / FINE_BYTES;
    }
    let before = COARSE_BYTES / FINE_BYTES - 1 + u64::from(larger(position)) * BLOCKS_IN_DOUBLING;
    before + position / block_bytes(position)
}

/// Bytes of the block that begins at, or holds, `position`.
fn block_bytes(position: u64) -> u64 {
    if position < COARSE_BYTES { FINE_BYTES } else { COARSE_BYTES << larger(position) }
}

/// How often blocks have been doubled before `position`.
fn larger(position: u64) -> u32 {
    position.ilog2().saturating_sub(EVEN_DOUBLINGS)
}

/// Computes the digests of a file and of its blocks in one pass.
#[derive(Clone, Debug, Default)]
pub struct BlockHasher {
    /// The block that is being read.
    block: Hasher,
    position: u64,
    /// Of the blocks before.
    digests: Vec<u8>,
}

impl BlockHasher {
    /// One that has read nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let size = block_bytes(self.position);
            if self.position > 0 && self.position.is_multiple_of(size) {
                self.digests.extend(self.block.finalize_non_root());
                self.block = Hasher::new();
                self.block.set_input_offset(self.position);
            }
            let left = size - self.position % size;
            let (now, rest) = bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())));
            self.block.update(now);
            self.position += now.len() as u64;
            bytes = rest;
        }
    }

    /// The digest of all bytes, in hexadecimal digits, and those of the blocks, one after the other; none where there is
    /// but one.
    pub fn finish(mut self) -> (String, Vec<u8>) {
        if self.position <= FINE_BYTES {
            // A chunk by itself is the root of the tree.
            return (self.block.finalize().to_hex().to_string(), self.digests);
        }
        self.digests.extend(self.block.finalize_non_root());
        let left = left_subtree_len(self.position);
        let (before, after) = (self.subtree(0, left), self.subtree(left, self.position - left));
        (merge_subtrees_root(&before, &after, Mode::Hash).to_hex().to_string(), self.digests)
    }

    /// The digest of a subtree of whole blocks.
    fn subtree(&self, start: u64, len: u64) -> ChainingValue {
        if len <= block_bytes(start) {
            let at = (place(start) * DIGEST_BYTES) as usize;
            let digest = self.digests.get(at..at + DIGEST_BYTES as usize);
            return digest
                .and_then(|digest| digest.try_into().ok())
                .expect("every block before the end has its digest");
        }
        let left = left_subtree_len(len);
        merge_subtrees_non_root(&self.subtree(start, left), &self.subtree(start + left, len - left), Mode::Hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Hasher::new().update(b"seed").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn hashed(bytes: &[u8], piece: usize) -> (String, Vec<u8>) {
        let mut hasher = BlockHasher::new();
        bytes.chunks(piece).for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// The places of blocks that differ.
    fn differing(one: &[u8], other: &[u8]) -> Vec<usize> {
        let blocks = |bytes: &[u8]| hashed(bytes, bytes.len()).1.chunks(32).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let (one, other) = (blocks(one), blocks(other));
        (0..one.len().max(other.len())).filter(|place| one.get(*place) != other.get(*place)).collect()
    }

    #[test]
    fn the_digest_is_that_of_the_bytes_however_they_come() {
        let all = bytes(700_000);
        let edges = [1 << 10, 2 << 10, 64 << 10, 128 << 10, 192 << 10, 512 << 10];
        for len in edges.into_iter().flat_map(|edge| [edge - 1, edge, edge + 1]).chain([0, 1, 700_000]) {
            for piece in [1 << 20, 64 << 10, 4_099] {
                let (digest, blocks) = hashed(&all[..len], piece);
                assert_eq!(digest, blake3::hash(&all[..len]).to_hex().as_str(), "{len} bytes in pieces of {piece}");
                let count = Some(touched(0, len as u64).end).filter(|count| *count > 1).unwrap_or(0);
                assert_eq!(blocks.len() as u64, count * DIGEST_BYTES, "{len} bytes in pieces of {piece}");
            }
        }
    }

    #[test]
    fn blocks_lie_side_by_side_in_files_of_any_size() {
        let borders = [16, 17, 20, 31, 32, 33, 34, 40, 62].map(|doublings| 1_u64 << doublings);
        for border in borders {
            let before = border - block_bytes(border - 1);
            assert_eq!(place(border - 1), place(before), "{border}");
            assert_eq!(place(border), place(before) + 1, "{border}");
            assert_eq!(place(border + block_bytes(border)), place(border) + 1, "{border}");
        }
        assert_eq!((place(0), place(1_023), place(1_024), place(65_536)), (0, 0, 1, 64));
        assert_eq!((place(1 << 40) * DIGEST_BYTES) >> 20, 18, "MiB for 1 TiB");
    }

    #[test]
    fn a_range_touches_the_blocks_of_its_first_and_last_byte() {
        assert_eq!(touched(1_023, 2), 0..2);
        assert_eq!(touched(65_536, 65_536), 64..65);
        assert_eq!(touched(65_535, 65_538), 63..66);
        assert_eq!(touched(5, 0), 0..0);
    }

    #[test]
    fn a_changed_byte_changes_its_own_block_and_an_appended_one_the_last() {
        let old = bytes(300_000);
        for (at, place) in [(0, 0), (1_024, 1), (65_535, 63), (200_000, 66), (299_999, 67)] {
            let mut new = old.clone();
            new[at] ^= 1;
            assert_eq!(differing(&old, &new), [place], "byte {at}");
        }
        let mut new = old.clone();
        new.push(b'x');
        assert_eq!(differing(&old, &new), [67]);
        new.insert(0, b'x');
        assert_eq!(differing(&old, &new), (0..68).collect::<Vec<_>>());
    }

    #[test]
    fn equal_bytes_at_another_place_are_another_block() {
        let (_, blocks) = hashed(&vec![0; 300_000], 300_000);
        assert_ne!(blocks[64 * 32..65 * 32], blocks[65 * 32..66 * 32]);
    }

    #[test]
    fn only_large_plain_files_that_we_have_hashed_have_blocks() {
        let file = |size, digest: &str, compression| PinnedFile {
            uri: "file:///x".into(),
            name: "x".into(),
            size,
            version: "1".into(),
            digest: digest.into(),
            compression,
        };
        let plain = Compression::None;
        assert_eq!(digest_of(&file(MIN_FILE_BYTES, "blake3:ab", plain)), Some("ab"));
        assert_eq!(digest_of(&file(MIN_FILE_BYTES - 1, "blake3:ab", plain)), None);
        assert_eq!(digest_of(&file(MIN_FILE_BYTES, "etag:ab", plain)), None);
        assert_eq!(digest_of(&file(MIN_FILE_BYTES, "blake3:ab", Compression::Zstd)), None);
    }
}

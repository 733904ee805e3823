//! Decompression, against the readers of the libraries: the same bytes, or damage to both.

use std::io::Read;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use grid_core::submission::Compression;
use infra::inputs::decompress;

use super::{Choices, now};

/// Enough to see a difference, and too little to be a bomb.
const MOST: usize = 1 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let seed = choices.below(256) as u64;
    let stored = choices.rest;
    let compression = Compression::sniff(stored);
    let pieces = |pieces: Vec<&[u8]>| -> Vec<Bytes> { pieces.into_iter().map(Bytes::copy_from_slice).collect() };
    let whole = ours(pieces(vec![stored]), compression);
    assert_eq!(whole, ours(pieces(choices.pieces(seed)), compression), "it depends on how the bytes arrive");
    let theirs = match compression {
        Compression::None => Some(stored.to_vec()),
        Compression::Gzip => read(flate2::read::MultiGzDecoder::new(stored)),
        Compression::Zstd => zstd::stream::read::Decoder::new(stored).ok().and_then(read),
        Compression::Bzip2 => read(bzip2::read::MultiBzDecoder::new(stored)),
    };
    // What we take must be what they read. They are more lenient with what follows the last member.
    if let (Some(ours), Some(theirs)) = (&whole, &theirs) {
        assert!(ours == theirs, "{compression:?}: {} bytes and {}", ours.len(), theirs.len());
    }
    assert!(whole.is_none() || theirs.is_some(), "{compression:?}: damage is not seen");
}

/// The content, as far as it is looked at; `None` where it is damaged.
fn ours(pieces: Vec<Bytes>, compression: Compression) -> Option<Vec<u8>> {
    let mut content = decompress(stream::iter(pieces.into_iter().map(Ok)).boxed(), compression);
    let mut read = Vec::new();
    while let Some(piece) = now(content.try_next()).ok()? {
        read.extend(piece);
        if read.len() > MOST {
            break;
        }
    }
    read.truncate(MOST);
    Some(read)
}

fn read(reader: impl Read) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(MOST as u64).read_to_end(&mut content).ok()?;
    Some(content)
}

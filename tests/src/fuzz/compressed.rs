//! Decompression, against the libraries: what their readers read, or damage; and whatever their writers write.

use std::io::{self, Read as _};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use grid_core::submission::Compression;
use infra::inputs::decompress;

use super::{Choices, now};

/// More than that is a bomb, of which nothing is said: where a reading stops is no matter of its content.
const MOST: usize = 16 << 20;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let seed = choices.below(256) as u64;
    written(&choices, seed);
    let stored = choices.rest;
    let compression = Compression::sniff(stored);
    let pieces = |pieces: Vec<&[u8]>| -> Vec<Bytes> { pieces.into_iter().map(Bytes::copy_from_slice).collect() };
    let whole = ours(pieces(vec![stored]), compression);
    let in_pieces = ours(pieces(choices.pieces(seed)), compression);
    let theirs = match compression {
        Compression::None => Read::Content(stored.to_vec()),
        Compression::Gzip => theirs(flate2::read::MultiGzDecoder::new(stored)),
        Compression::Zstd => zstd::stream::read::Decoder::new(stored).map_or(Read::Damage, theirs),
        Compression::Bzip2 => theirs(bzip2::read::MultiBzDecoder::new(stored)),
    };
    if [&whole, &in_pieces, &theirs].contains(&&Read::TooMuch) {
        return;
    }
    assert!(whole == in_pieces, "it depends on how the bytes arrive");
    // What we take must be what they read. They are more lenient with what follows the last member.
    assert!(whole == Read::Damage || whole == theirs, "{compression:?}: the libraries read something else");
}

/// What a library writes of these bytes, in two members, is read as those.
fn written(choices: &Choices, seed: u64) {
    let compression = match seed % 4 {
        1 => Compression::Gzip,
        2 => Compression::Zstd,
        3 => Compression::Bzip2,
        _ => return,
    };
    let content = choices.rest;
    let (first, second) = content.split_at(content.len() / 2);
    let stored = [first, second].map(|part| compressed(part, compression).expect("it is written to memory")).concat();
    let pieces = Choices::new(&stored).pieces(seed).into_iter().map(Bytes::copy_from_slice).collect();
    let is_same = ours(pieces, compression) == Read::Content(content.to_vec());
    assert!(is_same, "{compression:?}: what was written is not read");
}

fn compressed(part: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match compression {
        Compression::None => bytes.extend(part),
        Compression::Gzip => {
            _ = flate2::read::GzEncoder::new(part, flate2::Compression::fast()).read_to_end(&mut bytes)?
        }
        Compression::Zstd => zstd::stream::copy_encode(part, &mut bytes, 1)?,
        Compression::Bzip2 => {
            _ = bzip2::read::BzEncoder::new(part, bzip2::Compression::fast()).read_to_end(&mut bytes)?
        }
    }
    Ok(bytes)
}

/// What became of a reading.
#[derive(PartialEq, Eq)]
enum Read {
    Content(Vec<u8>),
    Damage,
    TooMuch,
}

fn ours(pieces: Vec<Bytes>, compression: Compression) -> Read {
    let mut content = decompress(stream::iter(pieces.into_iter().map(Ok)).boxed(), compression);
    let mut read = Vec::new();
    loop {
        match now(content.try_next()) {
            Ok(Some(piece)) => read.extend(piece),
            Ok(None) => return Read::Content(read),
            Err(_) => return Read::Damage,
        }
        if read.len() > MOST {
            return Read::TooMuch;
        }
    }
}

fn theirs(reader: impl io::Read) -> Read {
    let mut content = Vec::new();
    match io::Read::take(reader, MOST as u64 + 1).read_to_end(&mut content) {
        Ok(count) if count > MOST => Read::TooMuch,
        Ok(_) => Read::Content(content),
        Err(_) => Read::Damage,
    }
}

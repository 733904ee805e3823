//! Pinning: what a file is now, so that reading it later can tell whether it still is that.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::try_join_all;
use grid_core::blocks::BlockHasher;
use grid_core::submission::{Compression, PinnedFile};

use crate::grid::Sources;
use crate::inputs::find::{Found, find};
use crate::inputs::{InputError, blocks, names};
use crate::objects::ObjectStore;

/// Enough first bytes to tell every [`Compression`].
const SNIFF_BYTES: u64 = 6;

/// Files read at the same time: what one waits for, another computes.
const PINNED_AT_ONCE: usize = 16;

/// What pinning may ask and tell.
#[derive(Clone, Copy)]
pub struct PinOptions<'a> {
    /// The digest of a file that was pinned before, by URI, size and version: it is not read again.
    pub known: &'a (dyn Fn(&str, u64, &str) -> Option<String> + Send + Sync),
    /// Told of every piece that was read: so many bytes more.
    pub on_bytes: &'a (dyn Fn(u64) + Send + Sync),
    /// Where the digests of a file's blocks are kept; without it they are not.
    pub blocks: Option<&'a dyn ObjectStore>,
}

impl Default for PinOptions<'_> {
    fn default() -> Self {
        Self { known: &|_, _, _| None, on_bytes: &|_| {}, blocks: None }
    }
}

/// Finds and pins the files of an input: each of `specs` is a path, a glob, a folder (all of it, hidden files left
/// out) or a URI, relative to `base_dir`. A file that several of them name is taken once. Names are unique.
///
/// Reads every file once, except those that `options.known` knows.
pub async fn resolve(
    sources: &Sources,
    specs: &[String],
    base_dir: &Path,
    options: PinOptions<'_>,
) -> Result<Vec<PinnedFile>, InputError> {
    let found = locate(sources, specs, base_dir).await?;
    let mut pinned = Vec::with_capacity(found.len());
    for some in found.chunks(PINNED_AT_ONCE) {
        let pins = some.iter().map(|file| pin_object(sources, &file.uri, &file.name, options));
        pinned.extend(try_join_all(pins).await?);
    }
    Ok(pinned)
}

/// Finds the files of an input as [`resolve`] does, and reads none of them.
pub async fn locate(sources: &Sources, specs: &[String], base_dir: &Path) -> Result<Vec<Found>, InputError> {
    let mut found: Vec<Found> = Vec::new();
    let mut seen = BTreeSet::new();
    for spec in specs {
        for file in find(sources, spec, base_dir).await? {
            if seen.insert(file.uri.clone()) {
                found.push(file);
            }
        }
    }
    names::make_unique(&mut found);
    Ok(found)
}

/// Pins one file or object by its URI.
pub async fn pin_object(
    sources: &Sources,
    uri: &str,
    name: &str,
    options: PinOptions<'_>,
) -> Result<PinnedFile, InputError> {
    let from_store = |error| InputError::from_store(error, uri);
    let (store, key) = sources.locate(uri).map_err(from_store)?;
    let meta = store.head(key).await.map_err(from_store)?;
    let Read { digest, blocks, first_bytes } = match (options.known)(uri, meta.size, &meta.version) {
        Some(digest) => {
            let first_bytes = store.get(key, Some(0..SNIFF_BYTES.min(meta.size))).await.map_err(from_store)?;
            Read { digest, blocks: Vec::new(), first_bytes }
        }
        None => read(sources, uri, meta.size, options.on_bytes).await?,
    };
    if store.head(key).await.map_err(from_store)? != meta {
        return Err(InputError::Changed(format!(
            "{uri} is being written to: wait until it is complete, and submit again"
        )));
    }
    let file = PinnedFile {
        uri: uri.to_owned(),
        name: name.to_owned(),
        size: meta.size,
        version: meta.version,
        digest,
        compression: Compression::sniff(&first_bytes),
    };
    if let Some(objects) = options.blocks.filter(|_| !blocks.is_empty()) {
        blocks::keep(objects, &file, blocks).await.map_err(InputError::Store)?;
    }
    Ok(file)
}

/// What reading a file once tells of it.
pub(super) struct Read {
    pub digest: String,
    /// The digests of its blocks; none when it was not read, or has but one.
    blocks: Vec<u8>,
    first_bytes: Bytes,
}

/// Reads the `size` bytes of a file as it is now.
pub(super) async fn read(
    sources: &Sources,
    uri: &str,
    size: u64,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<Read, InputError> {
    let from_store = |error| InputError::from_store(error, uri);
    let (store, key) = sources.locate(uri).map_err(from_store)?;
    let mut hasher = BlockHasher::new();
    let mut first_bytes: Vec<u8> = Vec::new();
    if size > 0 {
        let mut stream = store.stream(key, Some(0..size)).await.map_err(from_store)?;
        while let Some(piece) = stream.try_next().await.map_err(from_store)? {
            let missing = (SNIFF_BYTES as usize).saturating_sub(first_bytes.len());
            first_bytes.extend(&piece[..missing.min(piece.len())]);
            hasher.update(&piece);
            on_bytes(piece.len() as u64);
        }
    }
    let (digest, blocks) = hasher.finish();
    Ok(Read { digest: format!("blake3:{digest}"), blocks, first_bytes: first_bytes.into() })
}

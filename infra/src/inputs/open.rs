//! Reading a pinned file, as long as it is what was pinned.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::{Buf, Bytes};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use grid_core::submission::{Compression, PinnedFile};

use crate::grid::Sources;
use crate::inputs::pin::read;
use crate::inputs::{InputError, decompress};
use crate::objects::{ByteStream, ObjectMeta};
use crate::{Error, ErrorKind, Result};

/// Versions whose content was compared with what was pinned, by URI and version: a file that was only touched is read
/// again once, not once a slice.
static COMPARED: Mutex<BTreeMap<(String, String), String>> = Mutex::new(BTreeMap::new());

/// Entries of [`COMPARED`]; it begins anew when it is full.
const MAX_COMPARED: usize = 4_096;

/// The bytes `start .. start + len` of a file's uncompressed content.
///
/// Fails, and the stream ends, with an [`InputError`] (see [`InputError::of`]) when the file is missing, damaged, or no
/// longer the pinned one: that is checked before the first byte and before the last ones are given out. A file with
/// another version but the same bytes is the pinned one. A compressed file is decoded from its beginning.
pub async fn open(sources: &Sources, file: &PinnedFile, start: u64, len: u64) -> Result<ByteStream> {
    open_range(sources, file, start, Some(len)).await
}

/// Like [`open`] with everything from `start` on: also where nobody knows yet how long the content is.
pub async fn open_from(sources: &Sources, file: &PinnedFile, start: u64) -> Result<ByteStream> {
    let len = (file.compression == Compression::None).then(|| file.size.saturating_sub(start));
    open_range(sources, file, start, len).await
}

async fn open_range(sources: &Sources, file: &PinnedFile, start: u64, len: Option<u64>) -> Result<ByteStream> {
    check_unchanged(sources, file).await?;
    let is_plain = file.compression == Compression::None;
    let stored = match len {
        Some(0) => 0..0,
        Some(len) if is_plain => start..start.saturating_add(len),
        Some(_) | None => 0..file.size,
    };
    let stream = if stored.is_empty() {
        futures::stream::empty().boxed()
    } else {
        let (store, key) = sources.locate(&file.uri)?;
        store.stream(key, Some(stored)).await.map_err(|error| from_store(error, &file.uri))?
    };
    let (for_store, for_data) = (file.uri.clone(), file.uri.clone());
    let stream = stream.map_err(move |error| from_store(error, &for_store)).boxed();
    let content = decompress(stream, file.compression).map_err(move |error| with_place(error, &for_data)).boxed();
    let skip = if is_plain { 0 } else { start };
    Ok(checked(Reading { sources: sources.clone(), file: file.clone(), content, skip, left: len }))
}

struct Reading {
    sources: Sources,
    file: PinnedFile,
    content: ByteStream,
    /// Bytes to pass over before the first one that is wanted.
    skip: u64,
    /// Bytes wanted; all that there are when it is not known.
    left: Option<u64>,
}

/// Exactly the wanted bytes, and a last look at the file.
fn checked(reading: Reading) -> ByteStream {
    try_unfold(reading, |mut reading| async {
        let piece = reading.next().await?;
        Ok::<_, Error>(piece.map(|piece| (piece, reading)))
    })
    .boxed()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left != Some(0) {
            let Some(mut piece) = self.content.try_next().await? else {
                check_unchanged(&self.sources, &self.file).await?;
                return if self.left.is_none() { Ok(None) } else { Err(ended_early(&self.file).into()) };
            };
            piece.advance(take(&mut self.skip, piece.len()));
            if let Some(left) = &mut self.left {
                piece.truncate(take(left, piece.len()));
            }
            if self.left == Some(0) {
                check_unchanged(&self.sources, &self.file).await?;
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

/// Takes as much as there is from `count`, at most `len`; returns how much.
fn take(count: &mut u64, len: usize) -> usize {
    let taken = usize::try_from(*count).map_or(len, |count| count.min(len));
    *count -= taken as u64;
    taken
}

/// Whether the file is still the pinned one. Reads it when its version differs, once.
async fn check_unchanged(sources: &Sources, file: &PinnedFile) -> Result<()> {
    let (store, key) = sources.locate(&file.uri)?;
    let meta = store.head(key).await.map_err(|error| from_store(error, &file.uri))?;
    if meta.size != file.size {
        return Err(changed(file, &format!("it had {} bytes and has {}", file.size, meta.size)).into());
    }
    if meta.version == file.version || content_of(sources, file, &meta).await? == file.digest {
        return Ok(());
    }
    Err(changed(file, "its content differs").into())
}

async fn content_of(sources: &Sources, file: &PinnedFile, meta: &ObjectMeta) -> Result<String> {
    let place = (file.uri.clone(), meta.version.clone());
    let known = COMPARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&place).cloned();
    if let Some(digest) = known {
        return Ok(digest);
    }
    let digest = read(sources, &file.uri, meta.size, &|_| {}).await?.digest;
    let mut compared = COMPARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if compared.len() >= MAX_COMPARED {
        compared.clear();
    }
    compared.insert(place, digest.clone());
    Ok(digest)
}

fn changed(file: &PinnedFile, how: &str) -> InputError {
    InputError::Changed(format!(
        "{} was changed after the job was submitted ({how}): submit again to process it as it is now",
        file.uri
    ))
}

fn ended_early(file: &PinnedFile) -> InputError {
    InputError::Changed(format!("{} ended before the bytes that were planned: submit again", file.uri))
}

fn from_store(error: Error, uri: &str) -> Error {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Denied | ErrorKind::Conflict => InputError::from_store(error, uri).into(),
        _ => error,
    }
}

/// Adds the file's name to what is wrong with its data.
fn with_place(error: Error, uri: &str) -> Error {
    match InputError::of(&error) {
        Some(InputError::Damaged(how)) => {
            InputError::Damaged(format!("{uri} is damaged: {how}; replace the file and submit again")).into()
        }
        _ => error,
    }
}

//! Reading what tasks committed: manifests, and the outputs that they hold or name. For workers whose items take from
//! other items, and for the delivery of results.
//!
//! With `bundled` the one output of a task counts as that of its first item; the other items have none, so that
//! whoever reads all items in order reads it once.

mod committed;
mod steady;
mod verify;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::wire::OutputRef;

use crate::lru::Lru;
use crate::objects::{ByteStream, ObjectStore};
use crate::{Error, ErrorKind, Result};

pub use committed::{Committed, Piece};
use committed::{Home, Run, runs};

/// Manifests kept in memory, by the bytes of their JSON: those of some thousand tasks with small outputs.
const MANIFEST_CACHE_BYTES: u64 = 32 << 20;

/// Reads committed outputs. Keeps the manifests it read last: they never change.
#[derive(Debug)]
pub struct OutputReader {
    objects: Arc<dyn ObjectStore>,
    manifests: Mutex<Lru<String, Arc<Committed>>>,
}

impl OutputReader {
    /// A reader of the grid's own objects.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, manifests: Mutex::new(Lru::new(MANIFEST_CACHE_BYTES)) }
    }

    /// The manifest of an attempt. `NotFound` when there is none; `Invalid` when it is damaged or of a newer version.
    pub async fn manifest(&self, job: &JobId, attempt: &OutputRef) -> Result<Arc<Committed>> {
        let key = layout::manifest(job, &attempt.stage, attempt.key);
        if let Some(known) = self.cache().get(&key) {
            return Ok(known);
        }
        let body = self.objects.get(&key, None).await?;
        let committed = Arc::new(Committed::parse(&key, &body)?);
        self.cache().insert(key, committed.clone(), body.len() as u64);
        Ok(committed)
    }

    /// Reads pieces into memory, each checked against its length and CRC-32; neighbours are read in one go. `Invalid`
    /// when one is damaged.
    pub async fn read(&self, pieces: &[Piece]) -> Result<Vec<Bytes>> {
        let mut read = Vec::with_capacity(pieces.len());
        for run in runs(pieces) {
            let bytes = fetch(&*self.objects, &run).await?;
            let mut at = 0;
            for &(len, crc32) in &run.pieces {
                // `fetch` has checked that the run is all there, and it fits in memory.
                let piece = bytes.slice(at..at + len as usize);
                verify::piece(&run.home, &piece, crc32)?;
                at += piece.len();
                read.push(piece);
            }
        }
        Ok(read)
    }

    /// Reads pieces one after the other in bounded memory, through outages of about a minute. Nothing is opened before
    /// the stream is polled; a damaged piece ends it with `Invalid`, after its bytes.
    pub fn stream(&self, pieces: &[Piece]) -> ByteStream {
        let objects = self.objects.clone();
        let opened = stream::iter(runs(pieces)).then(move |run| open(objects.clone(), run));
        opened.try_flatten().boxed()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Lru<String, Arc<Committed>>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(objects: &dyn ObjectStore, run: &Run) -> Result<Bytes> {
    let bytes = match &run.home {
        Home::Inline { bytes, .. } => {
            bytes.get(run.start as usize..run.end as usize).map_or_else(Bytes::new, |part| bytes.slice_ref(part))
        }
        Home::Object(_) if run.start == run.end => Bytes::new(),
        Home::Object(key) => objects.get(key, Some(run.start..run.end)).await?,
    };
    match bytes.len() as u64 == run.end - run.start {
        true => Ok(bytes),
        false => Err(damaged(&run.home, "it is too short")),
    }
}

async fn open(objects: Arc<dyn ObjectStore>, run: Run) -> Result<ByteStream> {
    let inner = match &run.home {
        Home::Inline { .. } => {
            let bytes = fetch(&*objects, &run).await?;
            stream::once(async move { Ok(bytes) }).boxed()
        }
        Home::Object(key) => steady::stream(objects, key.clone(), run.start..run.end),
    };
    Ok(verify::stream(inner, run))
}

fn damaged(home: &impl fmt::Display, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("the output in {home} is damaged: {what}"))
}

#[cfg(test)]
mod tests;

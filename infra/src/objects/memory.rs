//! Objects in memory, for tests and simulation: no threads, no order that depends on time.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{ByteStream, ObjectMeta, ObjectStore, Uploads, key};
use crate::{Error, ErrorKind, Result};

/// Bytes that one piece of a stream holds at most.
const PIECE_BYTES: usize = 256 << 10;

/// Objects in a sorted map.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    objects: BTreeMap<String, Stored>,
    writes: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    body: Bytes,
    version: u64,
}

impl MemoryObjects {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self, key: &str) -> Result<Stored> {
        key::check(key)?;
        let stored = self.shelf().objects.get(key).cloned();
        stored.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no object {key}")))
    }
}

impl Shelf {
    fn write(&mut self, key: &str, body: Bytes) -> Stored {
        self.writes += 1;
        let stored = Stored { body, version: self.writes };
        self.objects.insert(key.to_owned(), stored.clone());
        stored
    }
}

impl Stored {
    fn meta(&self, key: &str) -> ObjectMeta {
        ObjectMeta { key: key.to_owned(), size: self.body.len() as u64, version: self.version.to_string() }
    }

    fn slice(&self, range: Option<Range<u64>>) -> Bytes {
        let size = self.body.len() as u64;
        let range = range.unwrap_or(0..size);
        let end = range.end.min(size);
        let start = range.start.min(end);
        self.body.slice(start as usize..end as usize)
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        key::check(key)?;
        let mut shelf = self.shelf();
        if shelf.objects.contains_key(key) {
            return Err(Error::new(ErrorKind::Conflict, format!("object {key} exists")));
        }
        shelf.write(key, body);
        Ok(())
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        key::check(key)?;
        self.shelf().write(key, body);
        Ok(())
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        key::check(key)?;
        let body = std::fs::read(file).map_err(|cause| super::io_error("read", file, cause))?;
        self.shelf().write(key, body.into());
        Ok(())
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        key::check(key)?;
        let pieces: Vec<Bytes> = body.try_collect().await?;
        Ok(self.shelf().write(key, pieces.concat().into()).meta(key))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        Ok(self.stored(key)?.slice(range))
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        let body = self.stored(key)?.slice(range);
        let pieces = (0..body.len()).step_by(PIECE_BYTES);
        Ok(stream::iter(pieces.map(move |at| Ok(body.slice(at..body.len().min(at + PIECE_BYTES))))).boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        Ok(self.stored(key)?.meta(key))
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let shelf = self.shelf();
        let found = shelf.objects.range::<str, _>((from, Bound::Unbounded));
        let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(found.map(|(key, stored)| stored.meta(key)).collect())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        key::check(key)?;
        self.shelf().objects.remove(key);
        Ok(())
    }

    async fn presign_get(&self, key: &str, _: Duration) -> Result<Option<String>> {
        key::check(key)?;
        Ok(None)
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }
}

//! Back ends of a grid that answer badly when they are told to.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use infra::objects::{ByteStream, ObjectMeta, ObjectStore, Uploads};
use infra::state::{Row, RowKey, StateStore, Write};
use infra::{Error, ErrorKind, Grid, Result};

/// How the back ends of a grid feel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As ever.
    #[default]
    Good,
    /// Whatever is asked is refused so.
    Refusing(ErrorKind),
    /// There is no room for anything new.
    Full,
    /// Objects have addresses, as on S3.
    Signing,
}

/// Changes the mood of a grid, and counts what is read of it.
#[derive(Clone, Debug, Default)]
pub struct Moods(Arc<Mutex<Mood>>, Arc<Reads>);

#[derive(Debug, Default)]
struct Reads {
    rows: AtomicU64,
    rows_found: AtomicU64,
    objects: AtomicU64,
}

#[derive(Debug)]
struct MoodyState(Arc<dyn StateStore>, Moods);

#[derive(Debug)]
struct MoodyObjects(Arc<dyn ObjectStore>, Moods);

impl Moods {
    /// A grid in memory that follows these moods.
    pub fn grid(&self) -> Grid {
        let grid = infra::memory::grid();
        Grid {
            state: Arc::new(MoodyState(grid.state.clone(), self.clone())),
            objects: Arc::new(MoodyObjects(grid.objects.clone(), self.clone())),
            ..grid
        }
    }

    pub fn are(&self, mood: Mood) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// How often rows were read since the last time that this was asked.
    pub fn row_reads(&self) -> u64 {
        self.1.rows.swap(0, Ordering::Relaxed)
    }

    /// How many rows were found since the last time that this was asked.
    pub fn rows_found(&self) -> u64 {
        self.1.rows_found.swap(0, Ordering::Relaxed)
    }

    /// How often objects were read since the last time that this was asked.
    pub fn object_reads(&self) -> u64 {
        self.1.objects.swap(0, Ordering::Relaxed)
    }

    fn now(&self) -> Mood {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<()> {
        match self.now() {
            Mood::Refusing(kind) => Err(Error::new(kind, "not today")),
            Mood::Good | Mood::Full | Mood::Signing => Ok(()),
        }
    }

    fn write(&self) -> Result<()> {
        match self.now() {
            Mood::Full => Err(Error::new(ErrorKind::Full, "there is no room")),
            Mood::Good | Mood::Refusing(_) | Mood::Signing => self.read(),
        }
    }
}

#[async_trait]
impl StateStore for MoodyState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        self.1.read()?;
        self.1.1.rows.fetch_add(1, Ordering::Relaxed);
        let row = self.0.get(key).await?;
        self.1.1.rows_found.fetch_add(row.iter().len() as u64, Ordering::Relaxed);
        Ok(row)
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.1.read()?;
        self.1.1.rows.fetch_add(1, Ordering::Relaxed);
        let rows = self.0.query(partition, prefix, after, limit).await?;
        self.1.1.rows_found.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(rows)
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        self.1.write()?;
        self.0.write(writes).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        self.1.write()?;
        self.0.transact(writes).await
    }
}

#[async_trait]
impl ObjectStore for MoodyObjects {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        self.1.write()?;
        self.0.create(key, body).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.1.write()?;
        self.0.put(key, body).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        self.1.write()?;
        self.0.put_file(key, file).await
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        self.1.write()?;
        self.0.put_stream(key, body).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        self.1.read()?;
        self.1.1.objects.fetch_add(1, Ordering::Relaxed);
        self.0.get(key, range).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        self.1.read()?;
        self.1.1.objects.fetch_add(1, Ordering::Relaxed);
        self.0.stream(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.1.read()?;
        self.0.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        self.1.read()?;
        self.0.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.1.write()?;
        self.0.delete(key).await
    }

    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        match self.1.now() {
            Mood::Signing => Ok(Some(format!("https://store.example/{key}?expires={}", expires.as_secs()))),
            Mood::Good | Mood::Refusing(_) | Mood::Full => self.0.presign_get(key, expires).await,
        }
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        self.0.uploads()
    }
}

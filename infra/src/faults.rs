//! Stores that fail on purpose, by a seed: before a call is applied, after it, or so late that its caller has long
//! given up. What survives here survives a network.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::objects::{ByteStream, ObjectMeta, ObjectStore, Uploads};
use crate::state::{Row, RowKey, StateStore, Write};
use crate::{Error, ErrorKind, Result};
use grid_core::random::Random;

/// What goes wrong, and how often (0 never, 1 always); the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreFaults {
    /// The same seed and the same calls in the same order meet the same faults.
    pub seed: u64,
    /// How often a call is slow.
    pub delay: f64,
    /// The most that a slow call takes.
    pub max_delay: Duration,
    /// How often a call fails with nothing done.
    pub fail_before: f64,
    /// How often a write is applied and fails all the same.
    pub fail_after: f64,
    /// How often a write fails and is applied later.
    pub late: f64,
    /// The most that a late write is late.
    pub max_late: Duration,
}

/// A store behind faults; see [`FaultyObjects`] and [`FaultyState`].
#[derive(Clone)]
pub struct Faulty<Store: ?Sized> {
    inner: Arc<Store>,
    source: Arc<Mutex<Source>>,
    late: TaskTracker,
}

/// An object store behind faults.
pub type FaultyObjects = Faulty<dyn ObjectStore>;

/// A state store behind faults.
pub type FaultyState = Faulty<dyn StateStore>;

#[derive(Debug)]
struct Source {
    faults: StoreFaults,
    random: Random,
}

/// What becomes of a call.
enum Fate {
    Applied,
    NotApplied,
    AnswerLost,
    Late(Duration),
}

impl<Store: ?Sized> Faulty<Store> {
    /// Puts faults in front of a store.
    pub fn new(inner: Arc<Store>, faults: StoreFaults) -> Self {
        let source = Source { faults, random: Random::from_seed(faults.seed) };
        Self { inner, source: Arc::new(Mutex::new(source)), late: TaskTracker::new() }
    }

    /// No more faults from now on; late writes still come.
    pub fn calm(&self) {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).faults = StoreFaults::default();
    }

    /// Waits until every late write was applied.
    pub async fn settle(&self) {
        self.late.close();
        self.late.wait().await;
        self.late.reopen();
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.meet().await {
            Fate::Applied => call.await,
            Fate::NotApplied | Fate::AnswerLost | Fate::Late(_) => Err(no_answer()),
        }
    }

    async fn write<T>(&self, call: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        match self.meet().await {
            Fate::Applied => return call.await,
            Fate::NotApplied => {}
            Fate::AnswerLost => drop(call.await),
            Fate::Late(by) => drop(self.late.spawn(async move {
                sleep(by).await;
                drop(call.await);
            })),
        }
        Err(no_answer())
    }

    async fn meet(&self) -> Fate {
        let (delay, fate) = self.source.lock().unwrap_or_else(PoisonError::into_inner).draw();
        if let Some(delay) = delay {
            sleep(delay).await;
        }
        fate
    }
}

impl Source {
    fn draw(&mut self) -> (Option<Duration>, Fate) {
        let Self { faults, random } = self;
        let delay = random.chance(faults.delay).then(|| random.duration(faults.max_delay));
        let fate = if random.chance(faults.fail_before) {
            Fate::NotApplied
        } else if random.chance(faults.fail_after) {
            Fate::AnswerLost
        } else if random.chance(faults.late) {
            Fate::Late(random.duration(faults.max_late))
        } else {
            Fate::Applied
        };
        (delay, fate)
    }
}

impl<Store: ?Sized + fmt::Debug> fmt::Debug for Faulty<Store> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).field("source", &self.source).finish_non_exhaustive()
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "the store gave no answer (a fault on purpose)")
}

#[async_trait]
impl ObjectStore for FaultyObjects {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        let (inner, key) = (self.inner.clone(), key.to_owned());
        self.write(async move { inner.create(&key, body).await }).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let (inner, key) = (self.inner.clone(), key.to_owned());
        self.write(async move { inner.put(&key, body).await }).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let (inner, key, file) = (self.inner.clone(), key.to_owned(), file.to_owned());
        self.write(async move { inner.put_file(&key, &file).await }).await
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        let (inner, key) = (self.inner.clone(), key.to_owned());
        self.write(async move { inner.put_stream(&key, body).await }).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        self.read(self.inner.get(key, range)).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        self.read(self.inner.stream(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.read(self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        self.read(self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (inner, key) = (self.inner.clone(), key.to_owned());
        self.write(async move { inner.delete(&key).await }).await
    }

    /// Signing asks nobody, so nothing goes wrong with it here.
    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        self.inner.presign_get(key, expires).await
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        self.inner.uploads()
    }
}

#[async_trait]
impl StateStore for FaultyState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        self.read(self.inner.get(key)).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.read(self.inner.query(partition, prefix, after, limit)).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let inner = self.inner.clone();
        Faulty::write(self, async move { inner.write(writes).await }).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        let inner = self.inner.clone();
        Faulty::write(self, async move { inner.transact(writes).await }).await
    }
}

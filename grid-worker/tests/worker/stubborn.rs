//! A queue that fails to delete, so many times.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use infra::{Error, ErrorKind, Result};

#[derive(Debug)]
pub struct Stubborn {
    inner: Arc<dyn TaskQueue>,
    /// Deletions that will still fail.
    fails: AtomicU32,
    /// Calls that asked for a deletion.
    pub asked: AtomicU32,
}

impl Stubborn {
    pub fn new(inner: &Arc<dyn TaskQueue>, fails: u32) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), fails: fails.into(), asked: AtomicU32::new(0) })
    }
}

#[async_trait]
impl TaskQueue for Stubborn {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.inner.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        self.inner.receive(max, lease, wait).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let fails = |left: u32| left.checked_sub(1);
        if self.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
            return Err(Error::new(ErrorKind::Throttled, "too many deletions"));
        }
        self.inner.delete(receipts).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        self.inner.extend(receipts, lease).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.inner.depth().await
    }
}

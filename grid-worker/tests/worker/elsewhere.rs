//! A queue of a service elsewhere: it goes on with a receive whose caller has gone, and what it then leases is nobody's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra::Result;
use infra::queue::{Depth, Receipt, Received, TaskQueue};

#[derive(Debug)]
pub struct Elsewhere {
    inner: Arc<dyn TaskQueue>,
    /// Receives that have begun.
    pub receives: AtomicU32,
}

impl Elsewhere {
    pub fn new(inner: &Arc<dyn TaskQueue>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), receives: AtomicU32::new(0) })
    }
}

#[async_trait]
impl TaskQueue for Elsewhere {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.inner.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        self.receives.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.clone();
        tokio::spawn(async move { inner.receive(max, lease, wait).await }).await.unwrap()
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.inner.delete(receipts).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        self.inner.extend(receipts, lease).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.inner.depth().await
    }
}

//! A queue that one worker's extensions never reach, as when its network is cut for them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use infra::{Error, ErrorKind, Result};

#[derive(Debug)]
pub struct Deaf(pub Arc<dyn TaskQueue>);

#[async_trait]
impl TaskQueue for Deaf {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.0.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        self.0.receive(max, lease, wait).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.0.delete(receipts).await
    }

    async fn extend(&self, _: &[Receipt], _: Duration) -> Result<Vec<Result<()>>> {
        Err(Error::new(ErrorKind::Unavailable, "no answer"))
    }

    async fn depth(&self) -> Result<Depth> {
        self.0.depth().await
    }
}

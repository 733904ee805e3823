//! Queues of others: where a pipeline has events put (`notify: {queue}`). We send to them, and nothing more.

mod file;
mod memory;
#[cfg(feature = "aws")]
mod sqs;

use std::fmt::Debug;

use async_trait::async_trait;

pub use self::file::FileNotifier;
pub use self::memory::MemoryNotifier;
#[cfg(feature = "aws")]
pub use self::sqs::SqsNotifier;

use crate::Result;

/// Sends events to the queues that pipelines name.
#[async_trait]
pub trait Notifier: Debug + Send + Sync {
    /// Whether a pipeline may name this queue; `Invalid` says why not. Asks nobody.
    fn admits(&self, queue: &str) -> Result<()>;

    /// Sends events, as [`TaskQueue::send`](crate::queue::TaskQueue::send) does: at most ten, each printable ASCII of at
    /// most 256 KiB, and answers for each in its place. `Invalid` for a queue that is not admitted.
    async fn send(&self, queue: &str, events: &[String]) -> Result<Vec<Result<()>>>;

    /// Where an object of the grid lies, for those outside of it.
    fn uri(&self, key: &str) -> String;
}

//! Queues: messages that are delivered at least once. SQS, or memory that is stricter than SQS.

mod memory;
pub(crate) mod rules;
#[cfg(feature = "aws")]
mod sqs;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::spending::Spending;

pub use self::memory::{DeadLetters, MemoryQueue, Mishaps, QueueFaults, QueueSettings};

#[cfg(feature = "aws")]
pub use self::sqs::SqsQueue;

use crate::Result;

/// A message in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What was sent.
    pub body: String,
    /// Names this receive, for deleting and extending; a later receive of the same message makes it stale.
    pub receipt: Receipt,
    /// How often the message has been received, this time included.
    pub receives: u32,
}

/// Names one receive of one message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub String);

/// About how many messages there are; an estimate that may be a minute old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be received.
    pub waiting: u64,
    /// Received, not yet deleted or given back.
    pub in_flight: u64,
}

/// Messages that are delivered at least once, in no order, possibly late.
///
/// Calls that take a list take at most [`QUEUE_BATCH`](grid_core::limits::QUEUE_BATCH) entries and answer for each
/// entry, in its place: an `Err` entry was not applied (or may have been, when `Unavailable`), the others were.
#[async_trait]
pub trait TaskQueue: Debug + Send + Sync {
    /// Sends messages, each at most [`MAX_MESSAGE_BYTES`](grid_core::limits::MAX_MESSAGE_BYTES) of printable ASCII.
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>>;

    /// Receives up to `max` (at most 10) messages, each leased to the caller for `lease`; waits up to `wait` for the
    /// first one. May return nothing although messages are there.
    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>>;

    /// Removes messages. Best effort: with a stale receipt, or on a bad day, the message comes again all the same.
    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>>;

    /// Makes the leases end `lease` from now; zero gives a message back at once. `NotFound` for a lease that is over.
    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>>;

    /// About how many messages there are.
    async fn depth(&self) -> Result<Depth>;

    /// What [sending](Self::send) these is going to ask of a service elsewhere, if nothing has to be repeated: for who must
    /// say so before.
    fn send_asks(&self, _bodies: &[String]) -> Spending {
        Spending::NOTHING
    }

    /// Whether a receive that nobody waits for any longer leases nothing. A service elsewhere goes on with it, and what
    /// it then leases is nobody's until the lease ends: whoever leaves waits for its answer first.
    fn forgets_dropped_receives(&self) -> bool {
        false
    }
}

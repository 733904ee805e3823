//! The clock of one machine: it follows the paused one, wrong by as much as this machine is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use infra::clock::Clock;
use infra::memory::START_MS;
use tokio::time::Instant;
use uuid::Uuid;

/// The clock of one machine.
#[derive(Clone, Debug)]
pub struct SimClock {
    start: Instant,
    skew_ms: i64,
    ids: Arc<AtomicU64>,
}

impl SimClock {
    /// A clock that is right.
    pub fn new() -> Self {
        Self { start: Instant::now(), skew_ms: 0, ids: Arc::default() }
    }

    /// The clock of a machine that is ahead by so many milliseconds, or behind.
    pub fn skewed(&self, skew_ms: i64) -> Self {
        Self { skew_ms, ..self.clone() }
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        let now = START_MS + self.start.elapsed().as_millis() as u64;
        now.saturating_add_signed(self.skew_ms)
    }

    /// Ids are counted, so that the same seed gives the same ones.
    fn new_id(&self) -> Uuid {
        let mut rest = [0; 10];
        rest[2..].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(self.now_ms(), &rest).into_uuid()
    }
}

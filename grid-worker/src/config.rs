//! What a worker is told when it starts.

use std::path::PathBuf;
use std::time::Duration;

use grid_core::ids::WorkerId;

/// What a worker is told when it starts.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The name of this life of this worker; never used again by another.
    pub worker: WorkerId,
    /// The pool that it serves.
    pub pool: String,
    /// Tasks that it executes side by side; at least 1.
    pub slots: u32,
    /// How long a message is leased; extended three times as often. 2 s embedded, 60 s on SQS.
    pub lease: Duration,
    /// How long a receive waits for a first message. Never more than half a lease is waited, since a lease is counted
    /// from before its receive.
    pub poll: Duration,
    /// How long it rests after a receive that brought nothing while it has nothing to do; nothing in one process. On SQS,
    /// where a receive waits for 20 s, 1.5 s keep an idle worker below three paid calls a minute.
    pub rest: Duration,
    /// How often it says that it lives while something runs; when nothing does, one in
    /// [`IDLE_HEARTBEATS`](grid_core::limits::IDLE_HEARTBEATS) is enough.
    pub heartbeat: Duration,
    /// How long a store that cannot be reached is waited for before the task is given back; 10 minutes outlast most
    /// outages, and giving back sooner would only have others wait in our place.
    pub patience: Duration,
    /// Where tasks get their scratch folders; must exist.
    pub scratch: PathBuf,
    /// Where chance begins (names of data objects, jitter); drawn anew for every life.
    pub seed: u64,
}

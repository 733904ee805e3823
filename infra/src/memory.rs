//! A whole grid in memory: for tests and simulation.

use std::sync::Arc;

use crate::clock::TokioClock;
use crate::grid::{Grid, Sources};
use crate::notify::MemoryNotifier;
use crate::objects::{MemoryObjects, ObjectStore};
use crate::queue::{DeadLetters, MemoryQueue, QueueSettings};
use crate::requests::Requests;
use crate::state::{MemoryState, StateStore};
use grid_core::limits::MAX_RECEIVES;

/// What the clock of a grid in memory shows at first: 2026-01-01T00:00:00Z.
pub const START_MS: u64 = 1_767_225_600_000;

/// A grid in memory that does nothing wrong; its clock follows tokio's. Its objects answer for `grid://`.
pub fn grid() -> Grid {
    let objects: Arc<dyn ObjectStore> = Arc::new(MemoryObjects::new());
    let sources = Sources::default().with("grid", objects.clone());
    let state: Arc<dyn StateStore> = Arc::new(MemoryState::new());
    let clock = Arc::new(TokioClock::starting_at(START_MS));
    let Queues { tasks, dead_tasks, reports } = Queues::new();
    let (notifier, requests) = (Arc::new(MemoryNotifier::default()), Requests::default());
    Grid { objects, sources, tasks, dead_tasks, reports, state, notifier, clock, requests }
}

/// The queues of a grid that lives in one process.
pub(crate) struct Queues {
    pub(crate) tasks: Arc<MemoryQueue>,
    pub(crate) dead_tasks: Arc<MemoryQueue>,
    pub(crate) reports: Arc<MemoryQueue>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        let dead_tasks = Arc::new(MemoryQueue::default());
        let dead_letters = DeadLetters { max_receives: MAX_RECEIVES, queue: dead_tasks.clone() };
        let settings = QueueSettings { dead_letters: Some(dead_letters), ..QueueSettings::default() };
        Self { tasks: Arc::new(MemoryQueue::new(settings)), dead_tasks, reports: Arc::new(MemoryQueue::default()) }
    }
}

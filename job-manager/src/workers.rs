//! The workers in sight, by their heartbeats.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::WorkerId;
use grid_core::wire::{Heartbeat, RunningTask};
use tokio::time::Instant;

/// The workers in sight. A worker is in sight until it was silent for `patience`, or said that it goes.
#[derive(Debug)]
pub(crate) struct Workers {
    patience: Duration,
    seen: BTreeMap<WorkerId, (Instant, Heartbeat)>,
}

impl Workers {
    pub fn new(patience: Duration) -> Self {
        Self { patience, seen: BTreeMap::new() }
    }

    /// Takes in a heartbeat, unless a later one of this worker came first.
    pub fn saw(&mut self, heartbeat: Heartbeat, now: Instant) {
        let is_late = self.seen.get(&heartbeat.worker).is_some_and(|(_, last)| last.sequence > heartbeat.sequence);
        if !is_late {
            self.seen.insert(heartbeat.worker.clone(), (now, heartbeat));
        }
        self.seen.retain(|_, (at, _)| now.duration_since(*at) < self.patience);
    }

    /// Slots of all workers in sight.
    pub fn slots(&self, now: Instant) -> u32 {
        self.live(now).map(|heartbeat| heartbeat.slots).sum()
    }

    /// What runs on the workers in sight.
    pub fn running(&self, now: Instant) -> impl Iterator<Item = &RunningTask> {
        self.live(now).flat_map(|heartbeat| &heartbeat.running)
    }

    fn live(&self, now: Instant) -> impl Iterator<Item = &Heartbeat> {
        let patience = self.patience;
        self.seen.values().filter(move |(at, _)| now.duration_since(*at) < patience).map(|(_, heartbeat)| heartbeat)
    }
}

//! Cancelled jobs: their tombstones are looked for at receipt and while tasks run, and remembered briefly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::layout;
use infra::ErrorKind;
use infra::lru::Lru;
use tokio::time::{Instant, MissedTickBehavior};

use crate::context::Context;
use crate::limits::TOMBSTONES_KEPT;

/// What is known of jobs.
#[derive(Debug)]
pub(crate) struct Tombstones {
    fresh_for: Duration,
    seen: Mutex<Lru<JobId, Seen>>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Cancelled,
    /// There was no tombstone at this time.
    NoneAt(Instant),
}

impl Tombstones {
    pub(crate) fn new(fresh_for: Duration) -> Self {
        Self { fresh_for, seen: Mutex::new(Lru::new(TOMBSTONES_KEPT)) }
    }

    /// Whether the job is known to be cancelled, without looking.
    pub(crate) fn knows(&self, job: &JobId) -> bool {
        matches!(self.get(job), Some(Seen::Cancelled))
    }

    /// That a job runs is believed for a while; a tombstone is looked for every time. A redrive takes it away, and the
    /// message of an item that is run again would be lost by an old memory.
    fn is_known_to_run(&self, job: &JobId, now: Instant) -> bool {
        matches!(self.get(job), Some(Seen::NoneAt(then)) if now < then + self.fresh_for)
    }

    fn get(&self, job: &JobId) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(job)
    }

    fn note(&self, job: &JobId, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone(), seen, 1);
    }
}

/// Whether a job is cancelled. While the store cannot be asked it is taken to be running: what its tasks commit is
/// then kept but not counted.
pub(crate) async fn is_cancelled(context: &Context, job: &JobId) -> bool {
    let now = Instant::now();
    if context.tombstones.is_known_to_run(job, now) {
        return false;
    }
    match context.grid.objects.head(&layout::tombstone(job)).await {
        Ok(_) => {
            context.tombstones.note(job, Seen::Cancelled);
            true
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            context.tombstones.note(job, Seen::NoneAt(now));
            false
        }
        Err(error) => {
            tracing::debug!(%job, %error, "cannot see whether the job is cancelled");
            false
        }
    }
}

/// Kills the tasks in hand whose job is cancelled; ends when it is dropped.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut ticks = tokio::time::interval(context.config.lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for job in context.in_hand.jobs() {
            if is_cancelled(&context, &job).await {
                context.in_hand.kill_job(&job);
            }
        }
    }
}

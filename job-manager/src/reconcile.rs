//! Reconcile: what should be happening, compared with what is. Nothing depends on a message that arrives.

use std::collections::BTreeSet;
use std::time::Duration;

use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::limits::QUEUE_BATCH;
use grid_core::wire::TaskMessage;
use tokio::time::Instant;

use crate::ManagerError;
use crate::leader::Leader;

/// An attempt, by its names.
type Attempt = (JobId, StageName, AttemptKey);

/// What is going on around the jobs.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// No message of a task can be left that nobody works on.
    pub is_caught_up: bool,
    /// A task sent before this time, Unix milliseconds, and not heard of since, is silent.
    pub silent_before_ms: u64,
    /// What runs on the workers in sight.
    pub running: BTreeSet<Attempt>,
}

impl Leader {
    /// Looks at the queue and the workers. `None` when there is nothing to repair, or the queue does not say how deep it is.
    pub async fn look_around(&mut self, now: Instant) -> Result<Option<Surroundings>, ManagerError> {
        let quiet_since = self.quiet_since.take();
        self.note_deaths(now);
        let running: BTreeSet<Attempt> =
            self.workers.running(now).map(|task| (task.job.clone(), task.stage.clone(), task.key)).collect();
        self.bury_dead_tasks(&running).await?;
        if self.desks.is_empty() {
            return Ok(None);
        }
        let depth = match self.grid.tasks.depth().await {
            Ok(depth) => depth,
            Err(error) => {
                tracing::warn!(%error, "the task queue does not say how deep it is; repairing nothing");
                return Ok(None);
            }
        };
        let patience = self.workers.task_patience(now);
        // Of an attempt with a copy two messages are in flight.
        let executions = self.workers.running(now).count() as u64;
        let is_quiet = depth.waiting == 0 && depth.in_flight <= executions;
        self.quiet_since = is_quiet.then(|| quiet_since.unwrap_or(now));
        // What ran when it was last told of may have ended, and something else be in flight in its place: whoever has that says so
        // with the next heartbeat that arrives.
        let told_within = self.workers.longest_interval(now).mul_f64(1.5);
        let is_told = |since| now.duration_since(since) >= told_within && self.workers.have_told_since(since, now);
        Ok(Some(Surroundings {
            // Repair must not double the load: nothing is sent again while messages may still be on their way.
            is_caught_up: self.quiet_since.is_some_and(is_told),
            silent_before_ms: self.grid.clock.now_ms().saturating_sub(patience.as_millis() as u64),
            running,
        }))
    }

    /// A worker that falls silent has died under what it ran.
    fn note_deaths(&mut self, now: Instant) {
        for heartbeat in self.workers.take_silent(now) {
            tracing::warn!(worker = %heartbeat.worker, tasks = heartbeat.running.len(), "a worker has fallen silent");
            for task in &heartbeat.running {
                if let Some(desk) = self.desks.get_mut(&task.job) {
                    desk.worker_died(&task.stage, task.key, &heartbeat.worker);
                }
            }
        }
    }

    /// Tasks that the queue has given up, since their messages came again and again. One that runs meanwhile is left to its worker: a
    /// message may have been there twice, and come again to whoever had it in hand. Once nobody runs it any longer it is silent.
    async fn bury_dead_tasks(&mut self, running: &BTreeSet<Attempt>) -> Result<(), ManagerError> {
        loop {
            let batch = self.grid.dead_tasks.receive(QUEUE_BATCH, self.config.report_lease, Duration::ZERO).await?;
            if batch.is_empty() {
                return Ok(());
            }
            for received in batch {
                // A copy that nobody takes is let go: its attempt has a message of its own.
                if let Ok(task @ TaskMessage { copy: 0, .. }) = serde_json::from_str(&received.body)
                    && !running.contains(&(task.job.clone(), task.stage.clone(), task.key()))
                    && let Some(desk) = self.desks.get_mut(&task.job)
                {
                    desk.queue_gave_up(&self.grid, &task.stage, task.key(), &mut self.random).await?;
                }
                for answer in self.grid.dead_tasks.delete(&[received.receipt]).await? {
                    answer?;
                }
            }
        }
    }
}

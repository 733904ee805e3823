//! Reconcile: what should be happening, compared with what is. Nothing depends on a message that arrives.

use std::collections::{BTreeSet, VecDeque};
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
    /// No message of any task can be left that nobody works on.
    pub is_caught_up: bool,
    /// Of a task sent before this time, Unix milliseconds, no message can be left either: too many that were sent later have ended.
    pub overtaken_before_ms: u64,
    /// A task sent before this time, Unix milliseconds, and not heard of since, is silent.
    pub silent_before_ms: u64,
    /// What runs on the workers in sight.
    pub running: BTreeSet<Attempt>,
}

/// How often everything that can be out at once has to have ended since a task was sent for its message to be held lost. A queue keeps
/// no order, and nearly does.
const TURNOVERS: u64 = 6;

/// How far the queue has come. It need not ever be empty while there are other jobs.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    /// Tasks that have ended.
    ended: u64,
    /// How many had ended at which times, Unix milliseconds.
    marks: VecDeque<(u64, u64)>,
}

impl Turnover {
    /// A task has ended.
    pub fn note_end(&mut self) {
        self.ended += 1;
    }

    /// The time before which everything was sent that should have ended by now, Unix milliseconds, when so many tasks can be out at
    /// once; 0 while there is none.
    fn overtaken_before_ms(&mut self, now_ms: u64, most_out: u64) -> u64 {
        if self.marks.back().is_none_or(|(_, ended)| *ended < self.ended) {
            self.marks.push_back((now_ms, self.ended));
        }
        let enough = most_out.max(1).saturating_mul(TURNOVERS);
        let is_over = |mark: Option<&(u64, u64)>| mark.is_some_and(|(_, ended)| self.ended - ended >= enough);
        while is_over(self.marks.get(1)) {
            self.marks.pop_front();
        }
        self.marks.front().filter(|mark| is_over(Some(mark))).map_or(0, |(at_ms, _)| *at_ms)
    }
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
        let most_out = self.window(now).max(self.handed_out()) as u64;
        let overtaken_before_ms = self.turnover.overtaken_before_ms(self.grid.clock.now_ms(), most_out);
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
            overtaken_before_ms,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everything_else_has_overtaken_so_often_is_lost() {
        let mut turnover = Turnover::default();
        let mut look = |at_ms: u64, ended: u64| {
            (0..ended).for_each(|_| turnover.note_end());
            turnover.overtaken_before_ms(at_ms, 2)
        };
        assert_eq!([look(10, 0), look(20, 5), look(30, 6)], [0, 0, 0]);
        assert_eq!(look(40, 1), 10, "twelve have ended since");
        assert_eq!([look(50, 0), look(60, 4)], [10, 10]);
        assert_eq!(look(70, 1), 20);
        assert_eq!(look(80, 100), 70);
    }
}

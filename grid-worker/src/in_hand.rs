//! The tasks that a worker has in hand: what the lease keeper, the tombstone watch and the heartbeat look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_core::layout;
use grid_core::wire::{RunningTask, TaskMessage};
use infra::queue::{Receipt, Received};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::HEARTBEAT_STATUS_CHARS;
use crate::runner::TaskProgress;
use crate::tombstones::{Round, round_of};

/// The tasks in hand, in the order of their receipt.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    received: u64,
    by_number: BTreeMap<u64, Task>,
}

#[derive(Debug)]
struct Task {
    message: TaskMessage,
    receipt: Receipt,
    /// How often its message had been received when it came last.
    receives: u32,
    lease: Lease,
    step: Step,
    kill: CancellationToken,
    /// Another execution of its attempt has committed.
    is_superseded: bool,
}

#[derive(Debug)]
enum Step {
    /// Not executing: its input is being read, or its outputs are being committed.
    Waits,
    Executes {
        progress: Arc<TaskProgress>,
        since: Instant,
    },
}

/// What became of a message that came.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Its task is in hand now.
    InHand(Held),
    /// Its attempt is in hand already: the message came again, and there is nothing more to do.
    Again,
    /// It is that of a copy, and another execution of its attempt is in hand: it is for another worker.
    ForOthers(Receipt),
}

/// A task that has executed for a while.
#[derive(Debug)]
pub(crate) struct LongRunning {
    pub(crate) number: u64,
    /// The key of its attempt's manifest.
    pub(crate) manifest: String,
}

/// A worker's right to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// It lasts until then, by this machine's monotonic clock, counted from before the call that gave it.
    Until(Instant),
    /// The queue says that it is over.
    Lost,
}

/// One task in hand; it is no longer when this is dropped, and then its lease is no longer extended.
#[derive(Debug)]
pub(crate) struct Held {
    tasks: Arc<InHand>,
    number: u64,
    /// Cancelled when its round of the job is stopped.
    pub(crate) kill: CancellationToken,
}

impl InHand {
    /// Takes a task in hand. `kill` is cancelled when its round of the job is stopped. When the very attempt is in hand already its message
    /// came again, and the new lease takes the place of the old one. So it does when a copy is in hand and the attempt's own message
    /// comes: it is the one that must not be lost.
    pub(crate) fn take(
        self: &Arc<Self>,
        message: &TaskMessage,
        received: Received,
        lease_ends: Instant,
        kill: CancellationToken,
    ) -> Taken {
        let Received { receipt, receives, .. } = received;
        let mut tasks = self.lock();
        if let Some(task) = tasks.by_number.values_mut().find(|task| task.is_same(message)) {
            if message.copy > 0 && message.copy != task.message.copy {
                return Taken::ForOthers(receipt);
            }
            (task.receipt, task.receives, task.lease) = (receipt, receives, Lease::Until(lease_ends));
            return Taken::Again;
        }
        tasks.received += 1;
        let number = tasks.received;
        let task = Task {
            message: message.clone(),
            receipt,
            receives,
            lease: Lease::Until(lease_ends),
            step: Step::Waits,
            kill: kill.clone(),
            is_superseded: false,
        };
        tasks.by_number.insert(number, task);
        Taken::InHand(Held { tasks: self.clone(), number, kill })
    }

    /// The leases to extend, by task number.
    pub(crate) fn leases(&self) -> Vec<(u64, Receipt)> {
        let tasks = self.lock();
        let alive = tasks.by_number.iter().filter(|(_, task)| task.lease != Lease::Lost);
        alive.map(|(&number, task)| (number, task.receipt.clone())).collect()
    }

    /// Notes what became of a lease; the task may be gone, or have another lease by now.
    pub(crate) fn note_lease(&self, number: u64, receipt: &Receipt, lease: Lease) {
        let mut tasks = self.lock();
        if let Some(task) = tasks.by_number.get_mut(&number).filter(|task| task.receipt == *receipt) {
            task.lease = lease;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().by_number.is_empty()
    }

    /// The rounds of jobs in which the tasks in hand were sent, each once.
    pub(crate) fn rounds(&self) -> BTreeSet<Round> {
        self.lock().by_number.values().map(|task| round_of(&task.message)).collect()
    }

    /// Kills the tasks of a round.
    pub(crate) fn kill_round(&self, round: &Round) {
        for task in self.lock().by_number.values().filter(|task| round_of(&task.message) == *round) {
            task.kill.cancel();
        }
    }

    /// Those that have executed for so long.
    pub(crate) fn running_for(&self, time: Duration) -> Vec<LongRunning> {
        let tasks = self.lock();
        let is_long = |task: &Task| matches!(task.step, Step::Executes { since, .. } if since.elapsed() >= time);
        let long = tasks.by_number.iter().filter(|(_, task)| is_long(task));
        let named = long.map(|(number, Task { message, .. })| LongRunning {
            number: *number,
            manifest: layout::manifest(&message.job, &message.stage, message.key()),
        });
        named.collect()
    }

    /// Another execution of a task's attempt has committed: this one ends, unless it has come to its end by itself.
    pub(crate) fn supersede(&self, number: u64) {
        let mut tasks = self.lock();
        let task = tasks.by_number.get_mut(&number);
        if let Some(task) = task.filter(|task| matches!(task.step, Step::Executes { .. })) {
            task.is_superseded = true;
            task.kill.cancel();
        }
    }

    /// What executes now, at most `limit` tasks of it.
    pub(crate) fn running(&self, limit: usize) -> Vec<RunningTask> {
        self.lock().by_number.values().filter_map(Task::running).take(limit).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// An attempt that is sent again in another round is another task: this one may be stopped, and that one not.
    fn is_same(&self, message: &TaskMessage) -> bool {
        let (mine, other) = (&self.message, message);
        mine.key() == other.key() && mine.stage == other.stage && round_of(mine) == round_of(other)
    }

    fn running(&self) -> Option<RunningTask> {
        let Step::Executes { progress, since } = &self.step else { return None };
        let said = progress.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (progress_said, status) = said.unzip();
        Some(RunningTask {
            job: self.message.job.clone(),
            stage: self.message.stage.clone(),
            key: self.message.key(),
            copy: self.message.copy,
            // Milliseconds are enough.
            age_secs: Some(since.elapsed().as_millis() as f64 / 1e3),
            items_done: progress.items_done.load(std::sync::atomic::Ordering::Relaxed),
            progress: progress_said,
            status: status.map(|text| text.chars().take(HEARTBEAT_STATUS_CHARS).collect()),
        })
    }
}

impl Held {
    /// Names the last receive of its message; `None` when the queue says that the lease is over.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let tasks = self.tasks.lock();
        tasks.by_number.get(&self.number).filter(|task| task.lease != Lease::Lost).map(|task| task.receipt.clone())
    }

    /// Whether the right to the attempt is known or must be taken to be gone.
    pub(crate) fn is_lost(&self, now: Instant) -> bool {
        match self.tasks.lock().by_number.get(&self.number).map(|task| task.lease) {
            Some(Lease::Until(end)) => now >= end,
            Some(Lease::Lost) | None => true,
        }
    }

    /// How often its message had been received when it came last: it may come again while the task is in hand.
    pub(crate) fn receives(&self) -> u32 {
        self.tasks.lock().by_number.get(&self.number).map_or(1, |task| task.receives)
    }

    /// Notes that the task is executing.
    pub(crate) fn executes(&self, progress: Arc<TaskProgress>) {
        self.step(Step::Executes { progress, since: Instant::now() });
    }

    /// Notes that the task is not executing any more.
    pub(crate) fn executed(&self) {
        self.step(Step::Waits);
    }

    /// Whether it was ended because another execution of its attempt has committed.
    pub(crate) fn is_superseded(&self) -> bool {
        self.tasks.lock().by_number.get(&self.number).is_some_and(|task| task.is_superseded)
    }

    fn step(&self, step: Step) {
        if let Some(task) = self.tasks.lock().by_number.get_mut(&self.number) {
            task.step = step;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tasks.lock().by_number.remove(&self.number);
    }
}

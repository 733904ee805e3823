//! The workers in sight, by their heartbeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_core::ids::{MachineId, WorkerId};
use grid_core::rows::WorkerRow;
use grid_core::wire::{Heartbeat, Manifest, RunningTask};
use tokio::time::Instant;

/// The workers in sight. A worker is in sight until it leaves, or was silent for longer than two of its own heartbeats take
/// and `patience`.
#[derive(Debug)]
pub(crate) struct Workers {
    patience: Duration,
    seen: BTreeMap<WorkerId, Seen>,
    /// Workers whose rows differ from what is known of them, or may.
    pub(crate) changed: BTreeSet<WorkerId>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    /// Its machine is gone: nothing more is waited for.
    is_lost: bool,
    row: WorkerRow,
}

/// A task that runs somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs<'seen> {
    /// What its worker said last.
    pub worker: &'seen Heartbeat,
    pub task: &'seen RunningTask,
    /// How long ago that was said.
    pub silent_for: Duration,
}

impl Workers {
    pub fn new(patience: Duration) -> Self {
        Self { patience, seen: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Takes over what an earlier leader has written down: the worker has this time on to say something itself.
    pub fn remember(&mut self, row: WorkerRow, now: Instant) {
        self.seen.entry(row.heartbeat.worker.clone()).or_insert(Seen { at: now, is_lost: false, row });
    }

    /// Takes in a heartbeat, unless a later one of this worker came first.
    pub fn saw(&mut self, heartbeat: Heartbeat, now: Instant, now_ms: u64) {
        let worker = heartbeat.worker.clone();
        let is_late = |seen: &Seen| seen.row.heartbeat.sequence > heartbeat.sequence;
        if self.seen.get(&worker).is_some_and(is_late) {
            return;
        }
        self.changed.insert(worker.clone());
        self.seen.insert(worker, Seen { at: now, is_lost: false, row: WorkerRow { seen_ms: now_ms, heartbeat } });
    }

    /// A machine has gone, and its workers with it: they have fallen silent at once.
    pub fn lost(&mut self, machine: &MachineId) {
        let on_it = |seen: &&mut Seen| seen.row.heartbeat.machine.as_ref() == Some(machine);
        self.seen.values_mut().filter(on_it).for_each(|seen| seen.is_lost = true);
    }

    /// Forgets the workers that have fallen silent, and tells what ran on each: they died under it, as far as anybody can
    /// know.
    pub fn take_silent(&mut self, now: Instant) -> Vec<Heartbeat> {
        let patience = self.patience;
        let silent = self.seen.extract_if(.., |_, seen| !seen.is_in_sight(patience, now));
        let silent: Vec<Heartbeat> =
            silent.map(|(_, seen)| seen.row.heartbeat).filter(|last| !has_left(last)).collect();
        self.changed.extend(silent.iter().map(|last| last.worker.clone()));
        silent
    }

    /// What is known of a worker, if it is in sight.
    pub fn row(&self, worker: &WorkerId) -> Option<&WorkerRow> {
        self.seen.get(worker).map(|seen| &seen.row).filter(|row| !has_left(&row.heartbeat))
    }

    /// Slots of all workers in sight.
    pub fn slots(&self, now: Instant) -> u32 {
        self.live(now).map(|heartbeat| heartbeat.slots).sum()
    }

    /// What runs on the workers in sight.
    pub fn running(&self, now: Instant) -> impl Iterator<Item = &RunningTask> {
        self.live(now).flat_map(|heartbeat| &heartbeat.running)
    }

    /// What runs on the workers in sight, and where.
    pub fn executions(&self, now: Instant) -> impl Iterator<Item = Runs<'_>> {
        let patience = self.patience;
        let seen = self.seen.values().filter(move |seen| seen.is_in_sight(patience, now));
        seen.flat_map(move |seen| {
            let (worker, silent_for) = (&seen.row.heartbeat, now.duration_since(seen.at));
            worker.running.iter().map(move |task| Runs { worker, task, silent_for })
        })
    }

    /// Slot time of the executions of an attempt that did not commit it, as far as their workers told: microseconds.
    pub fn lost_us(&self, manifest: &Manifest, now: Instant) -> u64 {
        let is_lost = |runs: &Runs<'_>| {
            let RunningTask { job, stage, key, .. } = runs.task;
            let is_same = (job, stage, *key) == (&manifest.job, &manifest.stage, manifest.key());
            is_same && runs.worker.worker != manifest.worker
        };
        let lost = self.executions(now).filter(is_lost);
        let age = |runs: Runs<'_>| Duration::try_from_secs_f64(runs.task.age_secs?).ok()?.checked_add(runs.silent_for);
        lost.filter_map(age).map(|age| age.as_micros() as u64).sum()
    }

    /// How long it may take until a task that was taken is heard of, from when it was sent.
    pub fn task_patience(&self, now: Instant) -> Duration {
        self.patience + self.longest_interval(now) * 2
    }

    /// The longest time between two heartbeats of a worker on which something runs.
    pub fn longest_interval(&self, now: Instant) -> Duration {
        self.live(now).map(Heartbeat::interval).max().unwrap_or_default()
    }

    /// Whether each worker in sight on which something ran when it said something last has said that since.
    pub fn have_told_since(&self, since: Instant, now: Instant) -> bool {
        let patience = self.patience;
        let in_sight = self.seen.values().filter(|seen| seen.is_in_sight(patience, now));
        in_sight.filter(|seen| !seen.row.heartbeat.running.is_empty()).all(|seen| seen.at >= since)
    }

    /// What the workers in sight said last.
    pub fn live(&self, now: Instant) -> impl Iterator<Item = &Heartbeat> {
        let patience = self.patience;
        self.seen.values().filter(move |seen| seen.is_in_sight(patience, now)).map(|seen| &seen.row.heartbeat)
    }
}

/// One that has left is still known for a while, so that a heartbeat which comes late does not bring it back.
fn has_left(last: &Heartbeat) -> bool {
    last.slots == 0 && last.running.is_empty()
}

impl Seen {
    fn is_in_sight(&self, patience: Duration, now: Instant) -> bool {
        !self.is_lost && now.duration_since(self.at) < patience + self.row.heartbeat.next_within() * 2
    }
}

#[cfg(test)]
mod tests {
    use grid_core::ids::{AttemptKey, JobId, StageName};

    use super::*;

    fn heartbeat(worker: &str, machine: &str, slots: u32) -> Heartbeat {
        Heartbeat {
            v: 1,
            worker: WorkerId::new(worker),
            sequence: 1,
            pool: "default".into(),
            slots,
            interval_secs: 20.0,
            running: Vec::new(),
            machine: Some(MachineId::new(machine)),
            closed_by: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_on_a_machine_that_is_gone_is_silent_at_once_unless_it_had_left() {
        let (mut workers, now) = (Workers::new(Duration::from_secs(60)), Instant::now());
        for (worker, machine, slots) in [("a", "i-1", 2), ("b", "i-1", 0), ("c", "i-2", 2)] {
            workers.saw(heartbeat(worker, machine, slots), now, 7);
        }
        workers.lost(&MachineId::new("i-9"));
        assert_eq!(workers.take_silent(now), []);
        workers.lost(&MachineId::new("i-1"));
        assert_eq!(workers.slots(now), 2, "no capacity any more, even before anybody looks for the silent");
        assert_eq!(workers.take_silent(now), [heartbeat("a", "i-1", 2)]);
        assert_eq!(workers.live(now).map(|beat| beat.worker.as_str()).collect::<Vec<_>>(), ["c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_was_busy_and_is_in_sight_has_to_tell() {
        let (mut workers, begin) = (Workers::new(Duration::from_secs(60)), Instant::now());
        let task = RunningTask {
            job: JobId::new("j1"),
            stage: StageName::new("s"),
            key: AttemptKey { first: 0, attempt: 1 },
            copy: 0,
            age_secs: None,
            items_done: 0,
            progress: None,
            status: None,
        };
        workers.saw(Heartbeat { running: vec![task], ..heartbeat("busy", "i-1", 2) }, begin, 7);
        workers.saw(heartbeat("idle", "i-1", 2), begin, 7);
        assert!(workers.have_told_since(begin, begin));
        let later = begin + Duration::from_secs(10);
        assert!(!workers.have_told_since(later, later), "what ran there may have ended, and something else run");
        let silent = begin + Duration::from_secs(200);
        assert!(workers.have_told_since(later, silent), "of those that fell silent nobody waits to hear");
        workers.saw(heartbeat("busy", "i-1", 2), later, 8);
        assert!(workers.have_told_since(later, later));
    }
}

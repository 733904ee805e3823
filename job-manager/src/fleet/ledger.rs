//! What the leader tells the fleet: what there is to do, by its own books, and which workers were heard. Depths of queues are
//! estimates and are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_core::ids::{AttemptKey, ClassName, JobId, MachineId, StageName};
use grid_core::job::{TaskPhase, Tuning};
use grid_core::scale::{Demand, Ended};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Event;
use crate::desk::Desk;
use crate::leader::Leader;

/// What there is to do, and who was heard.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// Unix milliseconds.
    pub as_of_ms: u64,
    /// In the order in which it is served.
    pub demand: Vec<Demand>,
    /// The workers of machines that are in sight.
    pub workers: BTreeMap<MachineId, Heard>,
}

/// What a worker said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub slots: u32,
    pub busy: u32,
    pub closed_by: Option<u64>,
}

/// Between two words to the fleet at most, also where there is nothing to do: what is old removes no machine. They ask nobody.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// An attempt that runs.
type Running = (JobId, StageName, AttemptKey);

/// Where the leader tells it.
#[derive(Debug)]
pub(crate) struct Lookout {
    pub ledger: watch::Sender<Option<Ledger>>,
    /// Jobs that the fleet is not to be held for.
    pub suspended: watch::Receiver<BTreeSet<JobId>>,
    /// When to tell it next.
    pub due: Instant,
    /// Between two words.
    every: Duration,
    /// When each running attempt was first heard of, Unix milliseconds.
    begun: BTreeMap<Running, u64>,
    /// What is told of machines.
    events: mpsc::Receiver<Event>,
}

impl Lookout {
    /// `tick` is the time between two decisions of the fleet.
    pub fn new(
        ledger: watch::Sender<Option<Ledger>>,
        suspended: watch::Receiver<BTreeSet<JobId>>,
        events: mpsc::Receiver<Event>,
        tick: Duration,
    ) -> Self {
        Self { ledger, suspended, due: Instant::now(), every: tick.min(TELL_EVERY), begun: BTreeMap::new(), events }
    }
}

impl Leader {
    /// Tells the fleet how things stand, and hears which jobs to hold back.
    pub(crate) fn tell_fleet(&mut self, now: Instant) {
        let Some(mut lookout) = self.lookout.take_if(|lookout| lookout.due <= now) else { return };
        lookout.due = now + lookout.every;
        while let Ok(event) = lookout.events.try_recv() {
            match event {
                Event::Gone(machine) => self.workers.lost(&machine),
                // It says itself that it drains.
                Event::Leaves(_) => {}
            }
        }
        let as_of_ms = self.grid.clock.now_ms();
        let running: BTreeSet<Running> =
            self.workers.running(now).map(|task| (task.job.clone(), task.stage.clone(), task.key)).collect();
        lookout.begun.retain(|task, _| running.contains(task));
        for task in running {
            lookout.begun.entry(task).or_insert(as_of_ms);
        }
        let tuning = Tuning { slots: self.workers.slots(now).max(1), ..self.config.tuning };
        let mut jobs: Vec<&Desk> = self.desks.values().collect();
        jobs.sort_by_key(|desk| {
            let submission = desk.job().submission();
            (submission.due_ms().unwrap_or(u64::MAX), submission.submitted_ms())
        });
        let demand = jobs.into_iter().flat_map(|desk| demand_of(desk, &lookout.begun, &tuning, as_of_ms)).collect();
        let heard = self.workers.live(now).filter_map(|heartbeat| {
            let busy = heartbeat.running.len() as u32;
            let heard = Heard { slots: heartbeat.slots.max(busy), busy, closed_by: heartbeat.closed_by };
            Some((heartbeat.machine.clone()?, heard))
        });
        lookout.ledger.send_replace(Some(Ledger { as_of_ms, demand, workers: heard.collect() }));
        self.turns.suspended.clone_from(&lookout.suspended.borrow_and_update());
        self.lookout = Some(lookout);
    }
}

/// The demand of a job, stage by stage.
fn demand_of(desk: &Desk, begun: &BTreeMap<Running, u64>, tuning: &Tuning, now_ms: u64) -> Vec<Demand> {
    let job = desk.job();
    let submission = job.submission();
    if !job.state().is_under_way() {
        return Vec::new();
    }
    let ready = job.ready_tasks(now_ms, tuning);
    let mut stages = Vec::new();
    for (stage, ready) in submission.pipeline.stages.iter().zip(ready) {
        let since = |key: AttemptKey| begun.get(&(submission.job.clone(), stage.name.clone(), key));
        let (mut waiting, mut running) = (ready, Vec::new());
        for (_, task) in job.out().filter(|(name, _)| **name == stage.name) {
            match (task.phase, since(task.key())) {
                (_, Some(since_ms)) => running.push(Duration::from_millis(now_ms.saturating_sub(*since_ms))),
                (TaskPhase::Due | TaskPhase::Sent { .. } | TaskPhase::Unknown, None) => waiting += 1,
                (TaskPhase::Waiting { .. }, None) => {}
            }
        }
        let ended = desk.bill.ended_of(&stage.name);
        if waiting > 0 || !running.is_empty() || ended != Ended::default() {
            stages.push(Demand {
                job: submission.job.clone(),
                class: class_of(&submission.pipeline.name, &stage.name),
                waiting,
                running,
                arrived_ms: submission.submitted_ms(),
                deadline_ms: submission.due_ms(),
                ended,
            });
        }
    }
    stages
}

/// Where the times of a stage's tasks are kept across jobs.
fn class_of(pipeline: &str, stage: &StageName) -> ClassName {
    ClassName::new(format!("{pipeline}/{stage}"))
}

//! The law as a whole: what it must never do, and the faults of others that it must not repeat.

mod properties;
mod scenarios;

use std::time::Duration;

use super::*;
use crate::ids::{ClassName, GroupName, JobId, MachineId};

/// The group of the default parameters.
pub fn group() -> GroupName {
    GroupName::new("default")
}

/// A grid at a time, in seconds.
pub fn at(secs: u64, demand: Vec<Demand>, machines: Vec<Machine>) -> Observed {
    let now_ms = secs * 1_000;
    let fleet = Fleet { machines, ..Fleet::default() };
    Observed {
        now_ms,
        demand: Some(Seen { as_of_ms: now_ms, value: demand }),
        fleet: Some(Seen { as_of_ms: now_ms, value: fleet }),
    }
}

/// Tasks of a class that is known to take half a minute, which arrived at 0.
pub fn waiting(tasks: u64) -> Demand {
    Demand {
        job: JobId::new("job"),
        class: ClassName::new("half a minute"),
        waiting: tasks,
        running: Vec::new(),
        arrived_ms: 0,
        deadline_ms: None,
        ended: Ended::default(),
    }
}

/// The same, and some that run.
pub fn running(tasks: u64, running: usize, age_secs: u64) -> Demand {
    Demand { running: vec![Duration::from_secs(age_secs); running], ..waiting(tasks) }
}

/// A memory that knows that class.
pub fn memory() -> Memory {
    let mut times = Times::default();
    let known = ClassTimes { tasks: 100.0, mean: 30.0, mean_square: 910.0, longest: 45.0, used_ms: 0 };
    times.remember(ClassName::new("half a minute"), known);
    Memory::new(times)
}

/// A memory that knows tasks of a class, all alike, beside those of half a minute.
pub fn knowing(class: &str, mean: f64) -> Memory {
    let mut memory = memory();
    let known = ClassTimes { tasks: 9.0, mean, mean_square: mean * mean, longest: mean, used_ms: 0 };
    memory.times.remember(ClassName::new(class), known);
    memory
}

fn machine(n: usize, requested_secs: u64, worker: Option<Worker>) -> Machine {
    Machine {
        id: MachineId::new(format!("m{n}")),
        group: group(),
        slots: 4,
        requested_ms: requested_secs * 1_000,
        worker,
        is_closing: false,
        is_leaving: false,
    }
}

/// Machines that were asked for at a time and have not spoken.
pub fn booting(count: usize, requested_secs: u64) -> Vec<Machine> {
    (0..count).map(|n| machine(n, requested_secs, None)).collect()
}

/// Machines with all slots in use, heard at this time.
pub fn busy(count: usize, heard_secs: u64) -> Vec<Machine> {
    (0..count).map(|n| machine(n, 0, Some(worker(heard_secs, 4, None)))).collect()
}

/// Machines with no slot in use since a time.
pub fn idle(count: usize, heard_secs: u64, since_secs: u64) -> Vec<Machine> {
    (0..count).map(|n| machine(n, 0, Some(worker(heard_secs, 0, Some(since_secs))))).collect()
}

pub fn worker(heard_secs: u64, busy: u32, idle_since_secs: Option<u64>) -> Worker {
    Worker {
        first_heard_ms: 80_000,
        heard_ms: heard_secs * 1_000,
        busy,
        idle_since_ms: idle_since_secs.map(|secs| secs * 1_000),
        is_closed: false,
    }
}

/// Machines that a decision asks for.
pub fn launched(actions: &[Action]) -> u32 {
    let machines = |action: &Action| match action {
        Action::Launch { machines, .. } => *machines,
        _ => 0,
    };
    actions.iter().map(machines).sum()
}

/// Machines that a decision ends.
pub fn terminated(actions: &[Action]) -> Vec<MachineId> {
    let ended = |action: &Action| match action {
        Action::Terminate { machine, .. } => Some(machine.clone()),
        _ => None,
    };
    actions.iter().filter_map(ended).collect()
}

/// Machines that a decision closes.
pub fn closed(actions: &[Action]) -> Vec<MachineId> {
    let closed = |action: &Action| match action {
        Action::Close { machine } => Some(machine.clone()),
        _ => None,
    };
    actions.iter().filter_map(closed).collect()
}

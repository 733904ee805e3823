//! The fleet, sorted by what it is good for.

use super::memory::Memory;
use super::observed::{Fleet, Machine, Worker};
use super::params::{Group, Params};

/// The machines by what they are good for.
pub(super) struct View<'a> {
    /// Heard lately, and taking tasks: all the capacity there is.
    pub open: Vec<(&'a Machine, &'a Worker)>,
    /// Ordered to close.
    pub closing: Vec<(&'a Machine, &'a Worker)>,
    /// Spoke once and do not any more.
    pub silent: Vec<(&'a Machine, &'a Worker)>,
    /// Waited for in vain.
    pub overdue: Vec<&'a Machine>,
    /// On their way: seconds until each is there, and its slots. What was asked for and is not seen yet is among them.
    pub coming: Vec<(f64, f64)>,
    /// Everything that exists or was asked for and does not go by itself: what `max_machines` limits.
    pub machines: u32,
}

impl<'a> View<'a> {
    pub fn of(fleet: &'a Fleet, now_ms: u64, params: &Params, memory: &Memory) -> Self {
        let mut view = Self {
            open: Vec::new(),
            closing: Vec::new(),
            silent: Vec::new(),
            overdue: Vec::new(),
            coming: Vec::new(),
            machines: 0,
        };
        for machine in fleet.machines.iter().filter(|machine| !machine.is_leaving) {
            view.machines += 1;
            view.sort_in(machine, now_ms, params, memory);
        }
        let slots = f64::from(params.slots.max(1));
        for (group, machines) in &fleet.unfilled {
            let boot = memory.boot(group, params);
            view.add_coming(*machines, boot, slots);
        }
        for group in &params.groups {
            if let Some((machines, there)) = not_shown(fleet, group, now_ms, params, memory) {
                view.add_coming(machines, there, slots);
            }
        }
        view
    }

    fn sort_in(&mut self, machine: &'a Machine, now_ms: u64, params: &Params, memory: &Memory) {
        match &machine.worker {
            None if memory.is_given_up(&machine.id) => self.overdue.push(machine),
            None => {
                let boot = memory.boot(&machine.group, params);
                // One that takes longer than most is expected any moment, not at once.
                let there = (boot - secs_since(machine.requested_ms, now_ms)).max(boot / 8.0);
                self.coming.push((there, f64::from(machine.slots)));
            }
            Some(worker) if secs_since(worker.heard_ms, now_ms) > params.silent.as_secs_f64() => {
                self.silent.push((machine, worker));
            }
            Some(worker) if machine.is_closing => self.closing.push((machine, worker)),
            // The order to close was taken back, and it has yet to hear of it.
            Some(worker) if worker.is_closed => {
                self.coming.push((params.slack.as_secs_f64(), f64::from(machine.slots)));
            }
            Some(worker) => self.open.push((machine, worker)),
        }
    }

    fn add_coming(&mut self, machines: u32, there: f64, slots: f64) {
        self.machines += machines;
        self.coming.extend((0..machines).map(|_| (there, slots)));
    }

    /// Slots of machines that take tasks.
    pub fn slots(&self) -> f64 {
        self.open.iter().map(|(machine, _)| f64::from(machine.slots)).sum()
    }

    /// Slots of those that are in use.
    pub fn busy(&self) -> f64 {
        self.open.iter().map(|(machine, worker)| f64::from(worker.busy.min(machine.slots))).sum()
    }
}

/// Machines of a group that were ordered lately and that the fleet does not show, and when they will be there.
fn not_shown(fleet: &Fleet, group: &Group, now_ms: u64, params: &Params, memory: &Memory) -> Option<(u32, f64)> {
    let orders = || memory.orders.iter().filter(|order| order.group == group.name);
    let last = orders().next_back()?;
    let unfilled: u32 = fleet.unfilled.iter().filter(|(name, _)| *name == group.name).map(|(_, count)| count).sum();
    let ordered: u32 = orders().map(|order| order.machines).sum();
    let there = memory.boot(&group.name, params) - secs_since(last.at_ms, now_ms);
    Some((ordered.saturating_sub(unfilled), there.max(0.0)))
}

/// Seconds between two times; 0 if the first is the later one.
pub(super) fn secs_since(at_ms: u64, now_ms: u64) -> f64 {
    now_ms.saturating_sub(at_ms) as f64 / 1e3
}

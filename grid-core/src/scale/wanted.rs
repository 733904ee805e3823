//! How many machines are wanted: the demand as claims, the fleet as supply, and what is missing.

use std::time::Duration;

use super::fleet::{View, secs_since};
use super::free::Release;
use super::memory::Memory;
use super::need::{Claim, Missing, Supply, missing, square_root_fleet};
use super::observed::Demand;
use super::params::{Group, Params};
use super::times::Estimate;

/// Launches below this share of the fleet are not worth an action: estimates move by more than that.
const DEAD_BAND: f64 = 0.05;

/// .. but every one is, once what waits must start within so many boot times: one of several takes twice as long as most.
const LAST_CALL_BOOTS: f64 = 4.0;

/// What is left of machines that were ordered, by sums of fractions.
const ROUNDING: f64 = 1e-6;

/// A stage that was never measured begins with so many machines' worth of tasks.
const PILOT_MACHINES: u64 = 2;

/// .. and with all of them once a task has run for so many boot times: then no fleet is bought for nothing.
const PILOT_BOOTS: f64 = 2.0;

/// What the demand asks of the fleet.
pub(super) struct Wanted {
    claims: Vec<Claim>,
    supply: Supply,
    /// Slots in use.
    busy: f64,
    /// What is missing for the deadlines.
    missing: Missing,
    /// Machines that work without deadlines is worth, as the square-root law says.
    worth: f64,
}

impl Wanted {
    pub fn of(demands: &[Demand], view: &View<'_>, now_ms: u64, params: &Params, memory: &Memory) -> Self {
        let boot = params.groups.first().map_or(params.boot.as_secs_f64(), |group| memory.boot(&group.name, params));
        let estimates: Vec<Estimate> = demands.iter().map(|demand| memory.times.estimate(demand, params)).collect();
        let both = || demands.iter().zip(&estimates);
        let claims: Vec<Claim> =
            both().map(|(demand, estimate)| claim(demand, estimate, boot, now_ms, params, memory)).collect();
        let rest: f64 = both().map(|(demand, estimate)| rest(demand, estimate)).sum();
        let busy = view.busy();
        let release = release(demands, &estimates, busy);
        let supply = Supply { idle: (view.slots() - busy).max(0.0), release, coming: view.coming.clone(), boot };
        let work = rest + claims.iter().map(|claim| claim.tasks * claim.task_secs).sum::<f64>();
        let slots = f64::from(params.slots.max(1));
        let usd = params.groups.first().map_or(0.0, |group| group.usd_per_hour);
        let worth = square_root_fleet(work, slots, boot, params.usd_per_hour_saved, usd);
        let missing = missing(&claims, &supply);
        Self { claims, supply, busy, missing, worth }
    }

    /// Machines that are missing, a whole number; 0 within the dead band.
    pub fn machines(&self, view: &View<'_>, params: &Params) -> f64 {
        let fleet = (view.open.len() + view.coming.len()) as f64;
        let missing = self.missing.slots / f64::from(params.slots.max(1));
        let floor = self.floor(params) - fleet;
        let band = if self.is_within(LAST_CALL_BOOTS) { ROUNDING } else { (DEAD_BAND * fleet).max(ROUNDING) };
        let needed = if missing > band { missing.ceil() } else { 0.0 };
        needed.max(floor.ceil()).max(0.0)
    }

    /// Machines that must be there whatever the deadlines say.
    fn floor(&self, params: &Params) -> f64 {
        let waiting: f64 = self.claims.iter().map(|claim| claim.tasks).sum();
        let one = if waiting > 0.0 { 1.0 } else { 0.0 };
        let slots_of_use = (waiting + self.busy) / f64::from(params.slots.max(1));
        let worth = if waiting > 0.0 { self.worth.min(slots_of_use.ceil()) } else { 0.0 };
        f64::from(params.min_machines).max(one).max(worth)
    }

    /// Whether nothing would be missing without some of the open machines, which have so many slots.
    pub fn spares(&self, machines: usize, slots: f64, view: &View<'_>, params: &Params) -> bool {
        let left = view.open.len().saturating_sub(machines) + view.coming.len();
        let supply = Supply { idle: self.supply.idle - slots, ..self.supply.clone() };
        left as f64 >= self.floor(params).floor() && missing(&self.claims, &supply).slots <= 0.0
    }

    /// Machines that are missing for the jobs which those of a group make late by going, more likely than is allowed.
    pub fn too_risky(&self, group: &Group, params: &Params) -> f64 {
        let slots = f64::from(params.slots.max(1));
        let risky = |claim: &&Claim| claim.risk(group.taken_per_hour, slots) > params.late_risk;
        let claims: Vec<Claim> = self.claims.iter().filter(risky).copied().collect();
        (missing(&claims, &self.supply).slots / slots - ROUNDING).ceil().max(0.0)
    }

    /// Whether what is missing is best bought from this group: tasks that are longer than its machines live, on the
    /// whole, run again too often. By `exp(rate task)` more work than where machines stay.
    pub fn usd_of_work(&self, group: &Group) -> f64 {
        let task_secs =
            self.missing.binding.and_then(|place| self.claims.get(place)).map_or(0.0, |claim| claim.task_secs);
        group.usd_per_hour * (group.taken_per_hour * task_secs / 3_600.0).exp()
    }

    /// Whether what is missing most must start sooner than a second launch could repair a first one that fails.
    pub fn is_urgent(&self) -> bool {
        self.is_within(2.0)
    }

    /// Whether what is missing most must start within so many boot times.
    fn is_within(&self, boots: f64) -> bool {
        let binding = self.missing.binding.and_then(|place| self.claims.get(place));
        binding.and_then(|claim| claim.start_within).is_some_and(|within| within < boots * self.supply.boot)
    }
}

fn claim(demand: &Demand, estimate: &Estimate, boot: f64, now_ms: u64, params: &Params, memory: &Memory) -> Claim {
    let (tasks, task_secs) = counted(demand, estimate, boot, params, memory);
    let slack = params.slack.as_secs_f64();
    let start_within = match (demand.deadline_ms, params.drain_target) {
        (Some(deadline_ms), _) => Some(secs_until(deadline_ms, now_ms) - estimate.longest - slack),
        (None, Some(target)) => Some(target.as_secs_f64() - secs_since(demand.arrived_ms, now_ms) - slack),
        (None, None) => None,
    };
    Claim { tasks: tasks as f64, task_secs, spread: estimate.spread, start_within }
}

/// The tasks that count, and what each needs.
fn counted(demand: &Demand, estimate: &Estimate, boot: f64, params: &Params, memory: &Memory) -> (u64, f64) {
    let task_secs = estimate.mean * params.safety;
    if memory.is_suspended(&demand.job) {
        return (demand.waiting.min(1), task_secs);
    }
    let oldest = demand.running.iter().max().map_or(0.0, Duration::as_secs_f64);
    if estimate.is_measured || oldest > PILOT_BOOTS * boot {
        return (demand.waiting, task_secs);
    }
    let pilot = (PILOT_MACHINES * u64::from(params.slots)).saturating_sub(demand.running.len() as u64);
    (demand.waiting.min(pilot.max(1)), task_secs)
}

/// When the slots in use are free. Tasks also run on machines that are closing: their slots are nobody's.
fn release(demands: &[Demand], estimates: &[Estimate], busy: f64) -> Release {
    let mut release = Release::default();
    let running: usize = demands.iter().map(|demand| demand.running.len()).sum();
    let share = if running > 0 { (busy / running as f64).min(1.0) } else { 0.0 };
    for (demand, estimate) in demands.iter().zip(estimates).filter(|(_, estimate)| estimate.is_measured) {
        let mut ages: Vec<f64> = demand.running.iter().map(Duration::as_secs_f64).collect();
        ages.sort_unstable_by(f64::total_cmp);
        release.add(&ages, share, estimate.mean, estimate.spread);
    }
    release
}

/// Slot-seconds that the running tasks still need.
fn rest(demand: &Demand, estimate: &Estimate) -> f64 {
    let ages = demand.running.iter().map(Duration::as_secs_f64);
    ages.map(|age| (estimate.mean - age).max(age / 2.0)).sum()
}

fn secs_until(at_ms: u64, now_ms: u64) -> f64 {
    (at_ms as f64 - now_ms as f64) / 1e3
}

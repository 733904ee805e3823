//! What the scaler remembers from one decision to the next. It fits in one row of the state table; a manager that begins
//! without it decides safely, and learns again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{Action, Alarm};
use super::breaker::{Breaker, Change};
use super::groups::GroupMemory;
use super::observed::{Demand, Ended, Fleet, Observed};
use super::params::Params;
use super::times::Times;
use crate::ids::{ClassName, GroupName, JobId, MachineId};

/// What the scaler remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Task times by class: worth keeping for ever.
    pub times: Times,
    pub(super) groups: BTreeMap<GroupName, GroupMemory>,
    /// Launches of which no view of the fleet has shown all machines yet.
    pub(super) orders: Vec<Order>,
    /// Machines that are there and were taken from the order that they came by, if they came by one.
    #[serde(default)]
    shown: BTreeSet<MachineId>,
    /// Machines whose boot was counted, or whose coming was given up.
    settled: BTreeSet<MachineId>,
    jobs: BTreeMap<JobId, JobMemory>,
    /// Since when it has watched the fleet without a pause, Unix milliseconds.
    pub(super) watching_since_ms: Option<u64>,
    pub(super) last_ms: u64,
    pub(super) day: Day,
    pub(super) still: Still,
    /// The alarms that stand: each is told once.
    standing: Vec<Alarm>,
}

/// A launch that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    pub at_ms: u64,
    pub group: GroupName,
    /// Those that were not shown yet.
    pub machines: u32,
}

/// What is remembered of a job while it is in demand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct JobMemory {
    ended: Vec<(ClassName, Ended)>,
    breaker: Breaker,
}

/// Machine-hours of the current day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    number: u64,
    pub machine_hours: f64,
}

/// Whether anything moves while work waits and machines stand idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Still {
    since_ms: Option<u64>,
    ended: u64,
}

/// After a pause of this length the scaler has not watched: whoever was silent meanwhile may have spoken to nobody.
const PAUSE_MS: u64 = 60_000;

/// A fleet may show what was ordered late; after this time it is not coming (Auto Scaling shows it within seconds).
const SHOWN_AFTER_MS: u64 = 30_000;

/// Work waits, machines are idle, nothing has ended for so long: something other than capacity is missing.
const STUCK_MS: u64 = 600_000;

const DAY_MS: u64 = 86_400_000;

impl Memory {
    /// A memory that knows task times and nothing else, as after the death of a manager that kept no more.
    pub fn new(times: Times) -> Self {
        Self { times, ..Self::default() }
    }

    /// Forgets what was ordered and is not there: who ordered it has gone, and it with them.
    pub fn forget_launches(&mut self) {
        self.orders.clear();
    }

    /// Whether a job is suspended: its tasks are handed out one at a time.
    pub fn is_suspended(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|job| job.breaker.is_open())
    }

    /// Whether work waits, machines stand idle, and nothing has moved for ten minutes.
    pub fn is_stuck(&self, now_ms: u64) -> bool {
        self.still.since_ms.is_some_and(|since_ms| since_ms + STUCK_MS <= now_ms)
    }

    /// Whether launches of a group are on hold, after too many failed.
    pub fn is_held(&self, group: &GroupName, now_ms: u64) -> bool {
        self.groups.get(group).is_some_and(|group| group.is_held(now_ms))
    }

    /// Seconds that a machine of the group needs from request to first heartbeat.
    pub fn boot(&self, group: &GroupName, params: &Params) -> f64 {
        let unmeasured = params.boot.as_secs_f64();
        self.groups.get(group).map_or(unmeasured, |group| group.boot(params.boot))
    }

    /// Takes in what was observed: times, boots, failures, hours.
    pub(super) fn learn(&mut self, observed: &Observed, params: &Params) -> Vec<Action> {
        let now_ms = observed.now_ms;
        if self.watching_since_ms.is_none() || self.last_ms + PAUSE_MS < now_ms {
            self.watching_since_ms = Some(now_ms);
        }
        let mut actions = Vec::new();
        if let Some(demand) = &observed.demand {
            actions.extend(self.learn_jobs(&demand.value, now_ms));
        }
        if let Some(fleet) = &observed.fleet {
            self.day.spend(fleet.value.machines.len(), now_ms, self.last_ms);
            self.forget_orders(&fleet.value, fleet.as_of_ms);
            actions.extend(self.learn_fleet(&fleet.value, now_ms, params));
        }
        self.still.look(observed);
        self.last_ms = now_ms;
        actions
    }

    /// Orders that were refused, have come, or would show in a view by now. A machine that came counts as come also when it
    /// has gone since.
    fn forget_orders(&mut self, fleet: &Fleet, as_of_ms: u64) {
        self.shown.retain(|id| fleet.machines.iter().any(|machine| machine.id == *id));
        for machine in &fleet.machines {
            if self.shown.insert(machine.id.clone()) {
                let is_its = |order: &&mut Order| {
                    order.group == machine.group && order.at_ms <= machine.requested_ms && order.machines > 0
                };
                if let Some(order) = self.orders.iter_mut().find(is_its) {
                    order.machines -= 1;
                }
            }
        }
        // One that failed before the order was given is told again, and is not its answer.
        let is_refused = |order: &Order| {
            fleet.refused.iter().any(|refused| refused.group == order.group && refused.at_ms >= order.at_ms)
        };
        self.orders.retain(|order| order.machines > 0 && order.at_ms + SHOWN_AFTER_MS > as_of_ms && !is_refused(order));
    }

    fn learn_jobs(&mut self, demands: &[Demand], now_ms: u64) -> Vec<Action> {
        self.jobs.retain(|job, _| demands.iter().any(|demand| demand.job == *job));
        let mut actions = Vec::new();
        for demand in demands {
            let job = self.jobs.entry(demand.job.clone()).or_default();
            let news = job.news(demand);
            self.times.learn(&demand.class, &news, now_ms);
            match job.breaker.learn(news.ok, news.failed, now_ms) {
                Some(Change::Opened) => {
                    actions.push(Action::Suspend { job: demand.job.clone() });
                    actions.push(Action::Alarm(Alarm::Poison { job: demand.job.clone() }));
                }
                Some(Change::Closed) => actions.push(Action::Resume { job: demand.job.clone() }),
                None => {}
            }
        }
        actions
    }

    fn learn_fleet(&mut self, fleet: &Fleet, now_ms: u64, params: &Params) -> Vec<Action> {
        self.settled.retain(|id| fleet.machines.iter().any(|machine| machine.id == *id));
        let mut held = Vec::new();
        for machine in &fleet.machines {
            let group = self.groups.entry(machine.group.clone()).or_default();
            if let Some(worker) = &machine.worker
                && self.settled.insert(machine.id.clone())
            {
                let boot_ms = worker.first_heard_ms.saturating_sub(machine.requested_ms);
                group.came(Duration::from_millis(boot_ms));
            }
        }
        for refused in &fleet.refused {
            let group = self.groups.entry(refused.group.clone()).or_default();
            let until_ms = group.refused(refused.at_ms, now_ms);
            held.extend(until_ms.map(|until_ms| (refused.group.clone(), until_ms)));
        }
        for machine in fleet.machines.iter().filter(|machine| machine.worker.is_none()) {
            let group = self.groups.entry(machine.group.clone()).or_default();
            let age = now_ms.saturating_sub(machine.requested_ms) as f64 / 1e3;
            if age > group.overdue(params.boot) && self.settled.insert(machine.id.clone()) {
                held.extend(group.failed(now_ms).map(|until_ms| (machine.group.clone(), until_ms)));
            }
        }
        let alarm = |(group, until_ms)| Action::Alarm(Alarm::LaunchesFail { group, until_ms });
        held.into_iter().map(alarm).collect()
    }

    /// Whether a machine that never spoke was given up.
    pub(super) fn is_given_up(&self, machine: &MachineId) -> bool {
        self.settled.contains(machine)
    }

    /// The alarms that stand.
    pub fn alarms(&self) -> &[Alarm] {
        &self.standing
    }

    /// Tells an alarm once for as long as its cause stands.
    pub(super) fn alarm(&mut self, alarm: Alarm, stands: bool) -> Option<Action> {
        let is_told = self.standing.contains(&alarm);
        match (stands, is_told) {
            (true, false) => self.standing.push(alarm.clone()),
            (false, true) => self.standing.retain(|told| *told != alarm),
            (true, true) | (false, false) => {}
        }
        (stands && !is_told).then_some(Action::Alarm(alarm))
    }
}

impl JobMemory {
    /// What has ended of a stage since the last look.
    fn news(&mut self, demand: &Demand) -> Ended {
        match self.ended.iter_mut().find(|(class, _)| *class == demand.class) {
            Some((_, before)) => {
                let news = demand.ended.since(before);
                *before = demand.ended;
                news
            }
            None => {
                self.ended.push((demand.class.clone(), demand.ended));
                demand.ended
            }
        }
    }
}

impl Day {
    fn spend(&mut self, machines: usize, now_ms: u64, last_ms: u64) {
        let number = now_ms / DAY_MS;
        if number != self.number {
            *self = Self { number, machine_hours: 0.0 };
        }
        // After a pause the hours since the last look are unknown; those of one long look stand for them.
        let passed_ms = now_ms.saturating_sub(last_ms).min(PAUSE_MS);
        self.machine_hours += machines as f64 * passed_ms as f64 / 3_600e3;
    }
}

impl Still {
    fn look(&mut self, observed: &Observed) {
        let (Some(demand), Some(fleet)) = (&observed.demand, &observed.fleet) else { return };
        let ended = demand.value.iter().map(|demand| demand.ended.ok + demand.ended.failed).sum();
        let waits = demand.value.iter().any(|demand| demand.waiting > 0);
        let workers = fleet.value.machines.iter().filter(|machine| !machine.is_closing);
        let is_idle = workers.filter_map(|machine| machine.worker.as_ref()).any(|worker| worker.busy == 0);
        let is_still = waits && is_idle && ended == self.ended;
        self.since_ms = if is_still { self.since_ms.or(Some(observed.now_ms)) } else { None };
        self.ended = ended;
    }
}

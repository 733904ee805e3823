//! Whose tasks are handed out next: weighted fair shares between tenants, and between the priorities of a tenant.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair queueing", IEEE/ACM ToN 5, 1997), twice: tenants share the
//! slots by their weights, and within a tenant priorities share what it gets, each twice as much as the one below. What is
//! charged is slot time: as expected when a task is handed out, corrected when it has ended. Within a priority the job that
//! has to start first goes first. ADR 11 tells why.

mod queue;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::terms::Priority;
use queue::FairQueue;

/// Tasks of one stage of one job that could be handed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// On whose behalf; empty where there are no tenants.
    pub tenant: String,
    /// Within the tenant.
    pub priority: Priority,
    /// How many are ready.
    pub tasks: u64,
    /// What one is expected to take, in seconds of slot time.
    pub task_secs: f64,
    /// How many are out already.
    pub out: u64,
    /// When its last task has to start at the latest, Unix milliseconds.
    pub start_by_ms: Option<u64>,
    /// When the job arrived, Unix milliseconds.
    pub arrived_ms: u64,
    /// No task of its class has ever ended: its first tasks tell how long the others will take, and how many machines they need.
    pub is_unmeasured: bool,
}

/// What is agreed with a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agreement {
    /// Its share against those of others, above 0.
    pub weight: f64,
    /// Tasks that it may have out at a time; no limit without it.
    pub max_out: Option<u64>,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { weight: 1.0, max_out: None }
    }
}

/// Agreements by tenant; the default one for those that are not named.
pub type Agreements = BTreeMap<String, Agreement>;

/// Tasks of one offer to hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its place among the offers.
    pub offer: usize,
    /// At least 1.
    pub tasks: u64,
}

/// What everybody has had: of the tenants that have something to do, and their priorities. Losing it costs fairness over
/// the time before, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    tenants: FairQueue<String>,
    priorities: BTreeMap<String, FairQueue<Priority>>,
}

/// Tasks of what was never measured that go first within their priority.
pub const PILOT_TASKS: u64 = 4;

impl Shares {
    /// Hands out up to `room` tasks. It is work conserving: fewer only if there are no more, or quotas forbid it.
    pub fn hand_out(&mut self, offers: &[Offer], agreements: &Agreements, room: u64) -> Vec<Grant> {
        let mut table = Table::of(offers, agreements);
        self.forget_idle(offers);
        let mut granted = BTreeMap::<usize, u64>::new();
        for _ in 0..room {
            let Some(tenant) = self.tenants.next(table.open_tenants()) else { break };
            let queue = self.priorities.entry(tenant.clone()).or_default();
            let Some(priority) = queue.next(table.open_priorities(&tenant)) else { break };
            let Some(offer) = table.take(&tenant, priority) else { break };
            let secs = offers[offer].task_secs.max(LEAST_SECS);
            queue.charge(&priority, secs / priority.weight());
            self.tenants.charge(&tenant, secs / weight(agreements, &tenant));
            *granted.entry(offer).or_default() += 1;
        }
        granted.into_iter().map(|(offer, tasks)| Grant { offer, tasks }).collect()
    }

    /// Corrects what was charged for a task by what it took.
    pub fn settle(
        &mut self,
        tenant: &str,
        priority: Priority,
        agreements: &Agreements,
        expected_secs: f64,
        took_secs: f64,
    ) {
        let more = took_secs.max(LEAST_SECS) - expected_secs.max(LEAST_SECS);
        self.tenants.correct(&tenant.to_owned(), more / weight(agreements, tenant));
        if let Some(queue) = self.priorities.get_mut(tenant) {
            queue.correct(&priority, more / priority.weight());
        }
    }

    /// Who has nothing to do has no claim on what others used meanwhile.
    fn forget_idle(&mut self, offers: &[Offer]) {
        let is_active = |tenant: &String| offers.iter().any(|offer| offer.tenant == *tenant);
        self.tenants.retain(is_active);
        self.priorities.retain(|tenant, _| is_active(tenant));
    }
}

/// A task is charged at least this: those that take no time are not free.
const LEAST_SECS: f64 = 1e-3;

fn weight(agreements: &Agreements, tenant: &str) -> f64 {
    agreements.get(tenant).copied().unwrap_or_default().weight.max(1e-6)
}

/// What is left of the offers while they are handed out.
struct Table {
    tenants: BTreeMap<String, Tenant>,
}

struct Tenant {
    /// Tasks that it may still have.
    room: u64,
    /// Places of offers, the one that goes first last.
    levels: BTreeMap<Priority, Vec<Line>>,
}

struct Line {
    offer: usize,
    left: u64,
}

impl Table {
    fn of(offers: &[Offer], agreements: &Agreements) -> Self {
        let mut tenants = BTreeMap::<String, Tenant>::new();
        for (place, offer) in offers.iter().enumerate() {
            let quota = agreements.get(&offer.tenant).and_then(|agreement| agreement.max_out).unwrap_or(u64::MAX);
            let new = || Tenant { room: quota, levels: BTreeMap::new() };
            let tenant = tenants.entry(offer.tenant.clone()).or_insert_with(new);
            tenant.room = tenant.room.saturating_sub(offer.out);
            let lines = tenant.levels.entry(offer.priority).or_default();
            // The pilot of what was never measured is a line of its own.
            let pilot = if offer.is_unmeasured { offer.tasks.min(PILOT_TASKS.saturating_sub(offer.out)) } else { 0 };
            lines.push(Line { offer: place, left: pilot });
            lines.push(Line { offer: place, left: offer.tasks - pilot });
        }
        for lines in tenants.values_mut().flat_map(|tenant| tenant.levels.values_mut()) {
            sort(lines, offers);
        }
        Self { tenants }
    }

    fn open_tenants(&self) -> impl Iterator<Item = &String> {
        let is_open = |tenant: &Tenant| tenant.room > 0 && tenant.levels.values().any(|lines| !lines.is_empty());
        self.tenants.iter().filter(move |(_, tenant)| is_open(tenant)).map(|(name, _)| name)
    }

    fn open_priorities(&self, tenant: &str) -> impl Iterator<Item = &Priority> {
        let levels = self.tenants.get(tenant).into_iter().flat_map(|tenant| &tenant.levels);
        levels.filter(|(_, lines)| !lines.is_empty()).map(|(priority, _)| priority)
    }

    fn take(&mut self, tenant: &str, priority: Priority) -> Option<usize> {
        let tenant = self.tenants.get_mut(tenant)?;
        let lines = tenant.levels.get_mut(&priority)?;
        let line = lines.last_mut()?;
        let offer = line.offer;
        line.left -= 1;
        tenant.room -= 1;
        if line.left == 0 {
            lines.pop();
        }
        Some(offer)
    }
}

/// Pilots first, then who has to start first, then who came first; the first one last, and none without tasks.
fn sort(lines: &mut Vec<Line>, offers: &[Offer]) {
    let mut pilots = std::collections::BTreeSet::new();
    // Of the two lines of an offer the pilot was pushed first.
    let keyed = lines.drain(..).map(|line| {
        let offer = &offers[line.offer];
        let is_pilot = pilots.insert(line.offer);
        ((!is_pilot, offer.start_by_ms.unwrap_or(u64::MAX), offer.arrived_ms, line.offer), line)
    });
    let mut keyed: Vec<_> = keyed.filter(|(_, line)| line.left > 0).collect();
    keyed.sort_by_key(|(key, _)| Reverse(*key));
    lines.extend(keyed.into_iter().map(|(_, line)| line));
}

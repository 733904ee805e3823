//! Asking for machines: from which group, and how many at once.

use super::action::{Action, Alarm};
use super::fleet::View;
use super::memory::{Memory, Order};
use super::params::{Group, Params};
use super::wanted::Wanted;

/// Machines that may be asked for at once beside as many as there are: a wrong estimate costs less, and the stores are not
/// stormed.
const SLEW: u32 = 8;

/// At most one launch.
pub(super) fn launch(
    short: f64,
    wanted: &Wanted,
    view: &View<'_>,
    now_ms: u64,
    params: &Params,
    memory: &mut Memory,
) -> Vec<Action> {
    let is_spent = params.daily_machine_hours.is_some_and(|hours| memory.day.machine_hours >= hours);
    let mut actions: Vec<Action> = memory.alarm(Alarm::BudgetSpent, is_spent).into_iter().collect();
    if short < 1.0 || is_spent || memory.is_stuck(now_ms) {
        return actions;
    }
    // A float of at least 1 turns into the whole number below it, and into u32::MAX if it is larger.
    let room = params.max_machines.saturating_sub(view.machines);
    let machines = (short as u32).min(view.machines + SLEW).min(room);
    let Some(group) = group(wanted, now_ms, params, memory) else { return actions };
    let (group, machines) = match steadier(group, wanted, now_ms, params, memory) {
        Some((steadier, risky)) => (steadier, machines.min(risky)),
        None => (group, machines),
    };
    if machines > 0 {
        memory.orders.push(Order { at_ms: now_ms, group: group.name.clone(), machines });
        actions.push(Action::Launch { group: group.name.clone(), machines });
    }
    actions
}

/// A group for the jobs that the cheapest one is too risky for, and their machines.
fn steadier<'a>(
    cheapest: &Group,
    wanted: &Wanted,
    now_ms: u64,
    params: &'a Params,
    memory: &Memory,
) -> Option<(&'a Group, u32)> {
    let risky = wanted.too_risky(cheapest, params);
    let usable = params.groups.iter().filter(|group| !memory.is_held(&group.name, now_ms));
    let steadier = usable.filter(|group| wanted.too_risky(group, params) < risky);
    let group = steadier.min_by(|a, b| wanted.usd_of_work(a).total_cmp(&wanted.usd_of_work(b)))?;
    Some((group, risky as u32))
}

/// The group that does the work at the lowest price, of those whose launches do not fail. What is urgent goes where
/// none has failed lately.
fn group<'a>(wanted: &Wanted, now_ms: u64, params: &'a Params, memory: &Memory) -> Option<&'a Group> {
    let has_failed = |group: &Group| memory.groups.get(&group.name).is_some_and(|group| group.has_failed_lately());
    let usable = params.groups.iter().filter(|group| !memory.is_held(&group.name, now_ms));
    let price = |group: &&Group| (wanted.is_urgent() && has_failed(group), wanted.usd_of_work(group));
    usable.min_by(|a, b| {
        let (a, b) = (price(a), price(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    })
}

//! How many machines, which ones go, and how none dies at work.
//!
//! [`decide`] is called every 10 to 15 seconds by one leader. It counts seconds of work left, deadlines in queue order
//! and capacity that is on its way; it removes idle machines only, by name, after they have confirmed that they are
//! closed and empty; and what is stale or unknown removes nothing. Doing it is not its affair: a fleet launches and
//! terminates, the manager tells workers to close.

mod action;
mod breaker;
mod fleet;
mod free;
mod groups;
mod launch;
mod memory;
mod need;
mod observed;
mod params;
mod remove;
#[cfg(test)]
mod tests;
mod times;
mod wanted;

pub use action::{Action, Alarm, Because};
pub use memory::Memory;
pub use need::square_root_fleet;
pub use observed::{Demand, Ended, Fleet, Machine, Observed, Refused, Seen, Worker};
pub use params::{Group, Params};
pub use times::{ClassTimes, Estimate, Times};

use fleet::View;
use wanted::Wanted;

/// What to do now. The same input twice launches once: what was ordered is remembered until a view of the fleet shows it.
pub fn decide(observed: &Observed, params: &Params, memory: &mut Memory) -> Vec<Action> {
    let mut actions = memory.learn(observed, params);
    let Some(fleet) = &observed.fleet else { return actions };
    let view = View::of(&fleet.value, observed.now_ms, params, memory);
    let demand = observed.demand.as_ref().map(|demand| demand.value.as_slice());
    let wanted = Wanted::of(demand.unwrap_or_default(), &view, observed.now_ms, params, memory);
    let short = wanted.machines(&view, params);
    let reopened = remove::reopen(&view, short);
    let left = short - reopened.len() as f64;
    actions.extend(reopened);
    actions.extend(launch::launch(left, &wanted, &view, observed.now_ms, params, memory));
    if is_fresh(observed, params) {
        actions.extend(remove::remove(&wanted, &view, short, observed.now_ms, params, memory));
    }
    actions.extend(memory.alarm(Alarm::Stuck, memory.is_stuck(observed.now_ms)));
    actions
}

/// Whether all that is seen is young enough to remove machines by it.
fn is_fresh(observed: &Observed, params: &Params) -> bool {
    let oldest_ms = observed.now_ms.saturating_sub(params.stale.as_millis() as u64);
    let demand_ms = observed.demand.as_ref().map(|seen| seen.as_of_ms);
    let fleet_ms = observed.fleet.as_ref().map(|seen| seen.as_of_ms);
    demand_ms.is_some_and(|at_ms| at_ms >= oldest_ms) && fleet_ms.is_some_and(|at_ms| at_ms >= oldest_ms)
}

//! Which machines go: idle ones, in the order close, confirm, terminate. No busy machine is ever removed to hit a number.

use super::action::{Action, Alarm, Because};
use super::fleet::{View, secs_since};
use super::memory::Memory;
use super::observed::{Machine, Worker};
use super::params::Params;
use super::wanted::Wanted;
use crate::ids::MachineId;
use crate::random::Random;

/// A machine that spoke once and has been silent for so many boot times is dead: its leases have ended long ago, its
/// tasks are with others.
const DEAD_BOOTS: f64 = 3.0;

/// .. or, where machines come faster than that, so many times what makes a machine silent.
const LIVES: f64 = 2.0;

/// When most machines are silent at once, it is more likely us who do not hear, and it takes longer.
const DEAD_BOOTS_WHEN_MOST: f64 = 10.0;

/// Takes orders to close back, for as many machines as are missing: they are there, new ones have to boot.
pub(super) fn reopen(view: &View<'_>, short: f64) -> Vec<Action> {
    let mut closing: Vec<_> = view.closing.iter().collect();
    closing.sort_by_key(|(machine, worker)| (worker.is_closed, &machine.id));
    let back = closing.into_iter().take(short.max(0.0) as usize);
    back.map(|(machine, _)| Action::Reopen { machine: machine.id.clone() }).collect()
}

/// Closes idle machines, and ends those that are closed and empty, never came, or are dead. Only called with fresh views.
pub(super) fn remove(
    wanted: &Wanted,
    view: &View<'_>,
    short: f64,
    now_ms: u64,
    params: &Params,
    memory: &mut Memory,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if short <= 0.0 {
        actions.extend(close(wanted, view, now_ms, params, memory));
        actions.extend(view.closing.iter().filter_map(|(machine, worker)| terminate(machine, worker)));
    }
    let is_minimum = view.machines <= params.min_machines;
    actions.extend(view.overdue.iter().map(|machine| end(machine, Because::NeverCame, is_minimum)));
    actions.extend(bury(view, now_ms, params, memory));
    actions
}

/// Machines that were idle for as long as it would take to buy them again, the longest first, while nothing is missing
/// without them.
fn close(wanted: &Wanted, view: &View<'_>, now_ms: u64, params: &Params, memory: &Memory) -> Vec<Action> {
    let idle_secs = |machine: &Machine, worker: &Worker| match worker.idle_since_ms {
        Some(since_ms) if worker.busy == 0 => {
            let patience = patience(&machine.id) * params.idle_boots * memory.boot(&machine.group, params);
            Some(secs_since(since_ms, now_ms)).filter(|idle| *idle >= patience)
        }
        Some(_) | None => None,
    };
    let mut idle: Vec<(f64, &Machine)> = view
        .open
        .iter()
        .filter_map(|(machine, worker)| idle_secs(machine, worker).map(|idle| (idle, *machine)))
        .collect();
    idle.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let mut closed = 0;
    let mut slots = 0.0;
    for (_, machine) in &idle {
        let with_it = slots + f64::from(machine.slots);
        if !wanted.spares(closed + 1, with_it, view, params) {
            break;
        }
        (closed, slots) = (closed + 1, with_it);
    }
    idle[..closed].iter().map(|(_, machine)| Action::Close { machine: machine.id.clone() }).collect()
}

/// How many boot times a machine stays idle: drawn once for each machine from its name, with the density `e^x / (e - 1)` on
/// 0 to 1. Whether to keep a machine that may be needed again is the ski rental problem: staying for one boot time
/// costs at most twice what a clairvoyant pays, a time drawn like this 1.58 times (Karlin, Manasse, McGeoch and Owicki,
/// "Competitive randomized algorithms for nonuniform problems", Algorithmica 11, 1994). It also lets idle machines go one
/// by one.
fn patience(machine: &MachineId) -> f64 {
    let seed =
        machine.as_str().bytes().fold(0_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (1.0 + Random::from_seed(seed).unit() * (std::f64::consts::E - 1.0)).ln()
}

/// Ends a machine that says itself that it is closed and empty (those that have not been heard lately are not here).
fn terminate(machine: &Machine, worker: &Worker) -> Option<Action> {
    let is_confirmed = worker.is_closed && worker.busy == 0;
    is_confirmed.then(|| end(machine, Because::Idle, false))
}

/// Ends machines that have been silent for long, counted from when we began to listen.
fn bury(view: &View<'_>, now_ms: u64, params: &Params, memory: &mut Memory) -> Vec<Action> {
    let heard = view.open.len() + view.closing.len();
    let are_most = view.silent.len() > heard;
    let boots = if are_most { DEAD_BOOTS_WHEN_MOST } else { DEAD_BOOTS };
    let listening_since_ms = memory.watching_since_ms.unwrap_or(now_ms);
    let is_dead = |machine: &Machine, worker: &Worker| {
        let silence = secs_since(worker.heard_ms.max(listening_since_ms), now_ms);
        let patience = memory.boot(&machine.group, params).max(LIVES * params.silent.as_secs_f64());
        silence >= boots * patience
    };
    let dead = view.silent.iter().filter(|(machine, worker)| is_dead(machine, worker));
    let is_minimum = view.machines <= params.min_machines;
    let mut actions: Vec<Action> = dead.map(|(machine, _)| end(machine, Because::Silent, is_minimum)).collect();
    actions.extend(memory.alarm(Alarm::MostAreSilent, are_most && view.silent.len() > 1));
    actions
}

fn end(machine: &Machine, because: Because, replace: bool) -> Action {
    Action::Terminate { machine: machine.id.clone(), because, replace }
}

//! What holds for every input.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 100_000;

fn any_worker() -> impl Strategy<Value = Worker> {
    (0..1_000_u64, 0..5_u32, 0..600_u64, any::<bool>()).prop_map(|(silent, busy, idle, is_closed)| Worker {
        first_heard_ms: (NOW - 2_000) * 1_000,
        heard_ms: (NOW - silent / 10) * 1_000,
        busy,
        idle_since_ms: (busy == 0).then_some((NOW - idle) * 1_000),
        is_closed,
    })
}

fn any_machines() -> impl Strategy<Value = Vec<Machine>> {
    let any_machine = (proptest::option::of(any_worker()), 0..700_u64, any::<bool>(), any::<bool>());
    prop::collection::vec(any_machine, 0..30).prop_map(|all| {
        let build = |(n, (worker, age, is_closing, is_leaving)): (usize, (Option<Worker>, u64, bool, bool))| Machine {
            is_closing,
            is_leaving: is_leaving && n % 3 == 0,
            ..machine(n, NOW - if worker.is_some() { 2_100 } else { age }, worker)
        };
        all.into_iter().enumerate().map(build).collect()
    })
}

fn any_demands() -> impl Strategy<Value = Vec<Demand>> {
    let any_demand = (0..3_000_u64, prop::collection::vec(0..4_000_u64, 0..20), 0..2_000_u64, any::<bool>());
    prop::collection::vec(any_demand, 0..8).prop_map(|all| {
        let build = |(n, (waiting, ages, age, is_known)): (usize, (u64, Vec<u64>, u64, bool))| Demand {
            job: JobId::new(format!("job-{n}")),
            class: ClassName::new(if is_known { "half a minute".to_owned() } else { format!("class-{n}") }),
            running: ages.into_iter().map(Duration::from_secs).collect(),
            arrived_ms: (NOW - age) * 1_000,
            deadline_ms: (n % 2 == 1).then_some((NOW + 5_000 - 3 * age) * 1_000),
            ..super::waiting(waiting)
        };
        all.into_iter().enumerate().map(build).collect()
    })
}

fn params() -> Params {
    Params { max_machines: 40, min_machines: 2, ..Params::default() }
}

/// A memory that has watched for an hour.
fn watching() -> Memory {
    let mut memory = memory();
    (memory.watching_since_ms, memory.last_ms) = (Some((NOW - 3_600) * 1_000), NOW * 1_000);
    memory
}

proptest! {
    #[test]
    fn no_machine_ends_at_work(demands in any_demands(), machines in any_machines()) {
        let actions = decide(&at(NOW, demands, machines.clone()), &params(), &mut watching());
        for action in &actions {
            let Action::Terminate { machine: id, because, .. } = action else { continue };
            let machine = machines.iter().find(|machine| machine.id == *id).unwrap();
            prop_assert!(!machine.is_leaving);
            match (because, &machine.worker) {
                (Because::Idle, Some(worker)) => prop_assert!(machine.is_closing && worker.is_closed && worker.busy == 0),
                (Because::NeverCame, None) => prop_assert!(machine.requested_ms + 400_000 <= NOW * 1_000),
                (Because::Silent, Some(worker)) => prop_assert!(worker.heard_ms + 240_000 <= NOW * 1_000),
                (because, worker) => prop_assert!(false, "{because:?} {worker:?}"),
            }
        }
    }

    #[test]
    fn only_idle_machines_that_take_tasks_are_closed(demands in any_demands(), machines in any_machines()) {
        let actions = decide(&at(NOW, demands, machines.clone()), &params(), &mut watching());
        for id in closed(&actions) {
            let machine = machines.iter().find(|machine| machine.id == id).unwrap();
            let worker = machine.worker.as_ref().unwrap();
            prop_assert!(worker.busy == 0 && !machine.is_closing && !machine.is_leaving && !worker.is_closed);
        }
    }

    #[test]
    fn there_are_never_more_machines_than_allowed(demands in any_demands(), machines in any_machines()) {
        let existing = machines.iter().filter(|machine| !machine.is_leaving).count() as u32;
        let launched = launched(&decide(&at(NOW, demands, machines), &params(), &mut watching()));
        prop_assert!(launched == 0 || existing + launched <= params().max_machines);
    }

    #[test]
    fn the_same_input_twice_launches_once(demands in any_demands(), machines in any_machines()) {
        let seen = at(NOW, demands, machines);
        let params = Params { max_machines: 1_000_000, ..params() };
        let mut memory = watching();
        let first = launched(&decide(&seen, &params, &mut memory));
        let all_there = at(NOW, seen.demand.clone().unwrap().value, seen.fleet.clone().unwrap().value.machines);
        let second = launched(&decide(&all_there, &params, &mut memory));
        // What the first call left for a later tick may come: at most as many as there are, and eight more.
        let is_slew = first >= seen.fleet.unwrap().value.machines.iter().filter(|machine| !machine.is_leaving).count() as u32 + 8;
        prop_assert!(second == 0 || is_slew, "{first} and {second}");
    }

    #[test]
    fn more_backlog_never_asks_for_fewer_machines(
        demands in any_demands(), machines in any_machines(), which in 0..8_usize, more in 1..5_000_u64,
    ) {
        let mut larger = demands.clone();
        if let Some(demand) = larger.get_mut(which) {
            demand.waiting += more;
        }
        let gain = |demands| {
            let actions = decide(&at(NOW, demands, machines.clone()), &params(), &mut watching());
            let reopened = actions.iter().filter(|action| matches!(action, Action::Reopen { .. })).count();
            i64::from(launched(&actions)) + reopened as i64 - closed(&actions).len() as i64
        };
        let (few, many) = (gain(demands.clone()), gain(larger.clone()));
        prop_assert!(many >= few, "{few} {many}");
    }

    #[test]
    fn what_is_stale_removes_nothing(demands in any_demands(), machines in any_machines(), kind in 0..4_u8, age in 61..5_000_u64) {
        let mut seen = at(NOW, demands, machines);
        let as_of_ms = (NOW - age) * 1_000;
        match kind {
            0 => seen.demand.as_mut().unwrap().as_of_ms = as_of_ms,
            1 => seen.fleet.as_mut().unwrap().as_of_ms = as_of_ms,
            2 => seen.demand = None,
            _ => seen.fleet = None,
        }
        let actions = decide(&seen, &params(), &mut watching());
        prop_assert_eq!((closed(&actions), terminated(&actions)), (vec![], vec![]));
    }

    #[test]
    fn what_is_remembered_survives_being_written_down(demands in any_demands(), machines in any_machines()) {
        let seen = at(NOW, demands, machines);
        let mut memory = watching();
        decide(&seen, &params(), &mut memory);
        let mut read: Memory = serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap();
        prop_assert_eq!(&read, &memory);
        prop_assert_eq!(decide(&seen, &params(), &mut read), decide(&seen, &params(), &mut memory));
    }

    /// A small grid that does as it is told: machines boot in the mean time, and close with the next look.
    #[test]
    fn without_demand_the_fleet_falls_to_its_minimum(machines in 3..40_usize, since in 0..60_u64) {
        let (params, mut memory) = (params(), watching());
        let mut fleet = idle(machines, NOW, NOW - since);
        let boot = memory.boot(&group(), &params) as u64;
        let limit = NOW + boot + 3 * 12;
        for now in (NOW..=limit).step_by(12) {
            let actions = decide(&at(now, vec![], obey(&mut fleet, now, &[])), &params, &mut memory);
            prop_assert_eq!(launched(&actions), 0);
            obey(&mut fleet, now, &actions);
        }
        prop_assert_eq!(fleet.len(), 2);
    }

    /// As much arrives as the fleet does: after a while nothing is launched and nothing is closed any more.
    #[test]
    fn constant_load_comes_to_rest(slots_of_load in 1..120_u64, wait in 30..600_u64) {
        let (params, mut memory) = (Params { min_machines: 0, ..params() }, watching());
        let mut fleet: Vec<Machine> = Vec::new();
        let mut last_action = NOW;
        for now in (NOW..NOW + 7_200).step_by(12) {
            fleet.iter_mut().filter(|machine| machine.worker.is_none() && machine.requested_ms + 75_000 <= now * 1_000)
                .for_each(|machine| machine.worker = Some(Worker { first_heard_ms: now * 1_000, ..worker(now, 0, Some(now)) }));
            let mut left = slots_of_load;
            for worker in fleet.iter_mut().filter_map(|machine| machine.worker.as_mut()) {
                worker.busy = left.min(4) as u32;
                left -= u64::from(worker.busy);
                worker.idle_since_ms = if worker.busy > 0 { None } else { worker.idle_since_ms.or(Some(now * 1_000)) };
            }
            // Little waits beyond what runs; the longest has waited as long as always.
            let demand = Demand { arrived_ms: (now - wait) * 1_000, ..running(left, (slots_of_load - left) as usize, 15) };
            let actions = decide(&at(now, vec![demand], obey(&mut fleet, now, &[])), &params, &mut memory);
            if !actions.is_empty() {
                last_action = now;
            }
            obey(&mut fleet, now, &actions);
        }
        prop_assert!(last_action < NOW + 3_600, "still acting at {}", last_action - NOW);
        prop_assert!(!fleet.is_empty());
    }
}

/// Does as it is told, lets the workers speak, and returns the machines.
fn obey(fleet: &mut Vec<Machine>, now: u64, actions: &[Action]) -> Vec<Machine> {
    for action in actions {
        match action {
            Action::Launch { machines, .. } => {
                let first = fleet
                    .iter()
                    .map(|machine| machine.id.as_str()[1..].parse::<usize>().unwrap() + 1)
                    .max()
                    .unwrap_or(0);
                fleet.extend((first..first + *machines as usize).map(|n| super::machine(n, now, None)));
            }
            Action::Close { machine } => {
                fleet.iter_mut().filter(|other| other.id == *machine).for_each(|machine| machine.is_closing = true)
            }
            Action::Reopen { machine } => {
                fleet.iter_mut().filter(|other| other.id == *machine).for_each(|machine| machine.is_closing = false)
            }
            Action::Terminate { machine, .. } => fleet.retain(|other| other.id != *machine),
            Action::Suspend { .. } | Action::Resume { .. } | Action::Alarm(_) => {}
        }
    }
    for machine in fleet.iter_mut() {
        let is_closing = machine.is_closing;
        if let Some(worker) = machine.worker.as_mut() {
            worker.heard_ms = now * 1_000;
            worker.is_closed = is_closing;
        }
    }
    fleet.clone()
}

/// Where machines come and go within seconds, as processes do.
#[test]
fn a_machine_that_came_and_has_gone_is_not_waited_for() {
    let (params, mut memory) = (Params::default(), memory());
    let asked = launched(&decide(&at(0, vec![waiting(40)], vec![]), &params, &mut memory));
    assert!(asked > 0);
    let mut came = booting(asked as usize, 1);
    for machine in &mut came {
        machine.worker = Some(worker(2, 0, Some(2)));
    }
    assert_eq!(launched(&decide(&at(2, vec![waiting(40)], came), &params, &mut memory)), 0);
    assert_eq!(launched(&decide(&at(4, vec![waiting(40)], vec![]), &params, &mut memory)), asked);
}

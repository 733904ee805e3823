//! Faults that other scalers have on record, one test each: (a) to (j) of the review of AWS Batch, Karpenter, KEDA,
//! Buildkite, GitHub's runners and HTC-Grid.

use super::*;

/// KEDA #1323, #525, #529: pending capacity counted twice, new jobs at every poll up to the maximum.
#[test]
fn a_capacity_that_is_on_its_way_counts() {
    let (params, mut memory) = (Params::default(), memory());
    let mut machines = Vec::new();
    let mut late_to_show = Vec::new();
    for tick in 0..6 {
        // The fleet shows what was asked for one look later.
        machines.append(&mut late_to_show);
        let actions = decide(&at(12 * tick, vec![waiting(2_000)], machines.clone()), &params, &mut memory);
        late_to_show = booting(launched(&actions) as usize, 12 * tick);
    }
    // 790 s of window hold 24 tasks of 33 s in a slot: 21 machines, and some more for the minute that has passed.
    assert!((21..=26).contains(&machines.len()), "{}", machines.len());
}

/// KEDA #1663, HTC-Grid: work in flight is not seen, and the fleet goes under the last tasks.
#[test]
fn b_work_in_flight_counts() {
    let (params, mut memory) = (Params::default(), memory());
    let seen = at(5_000, vec![running(0, 40, 4_000)], busy(10, 5_000));
    assert_eq!(decide(&seen, &params, &mut memory), []);
    let late = decide(&at(5_010, vec![running(100, 40, 4_000)], busy(10, 5_010)), &params, &mut memory);
    let idle = decide(&at(5_010, vec![waiting(100)], idle(10, 5_010, 5_000)), &params, &mut super::memory());
    assert!(launched(&late) > launched(&idle), "slots that are in use are not there for what waits");
}

/// CloudWatch, HPA: a number is lowered, and something else chooses which machines that means.
#[test]
fn c_how_many_never_says_which() {
    let (params, mut memory) = (Params::default(), memory());
    let mut machines = busy(9, 5_000);
    machines.push(Machine { id: MachineId::new("idle"), ..idle(1, 5_000, 4_000).remove(0) });
    let actions = decide(&at(5_000, vec![running(0, 36, 10)], machines), &params, &mut memory);
    assert_eq!(actions, [Action::Close { machine: MachineId::new("idle") }]);
}

/// GitHub runner module #5085: checked, found idle, took a job, killed.
#[test]
fn d_close_then_check_then_end() {
    let (params, mut memory) = (Params::default(), memory());
    let mut machine = idle(1, 5_000, 4_000).remove(0);
    let mut step = |machine: &Machine| decide(&at(5_000, vec![], vec![machine.clone()]), &params, &mut memory);
    assert_eq!(step(&machine), [Action::Close { machine: machine.id.clone() }]);
    machine.is_closing = true;
    assert_eq!(step(&machine), [], "ordered, and not confirmed");
    let mut says = machine.worker.take().unwrap();
    (says.is_closed, says.busy, says.idle_since_ms) = (true, 1, None);
    machine.worker = Some(says.clone());
    assert_eq!(step(&machine), [], "a task came in between");
    machine.worker = Some(Worker { busy: 0, idle_since_ms: Some(4_999_000), ..says });
    let ended = Action::Terminate { machine: machine.id.clone(), because: Because::Idle, replace: false };
    assert_eq!(step(&machine), [ended]);
}

/// GitHub runner module #167, #3589: an unread page or a failed call, taken for "there is nothing".
#[test]
fn e_what_is_unknown_or_stale_removes_nothing() {
    let params = Params::default();
    let mut closing = idle(2, 5_000, 1_000);
    closing[1].is_closing = true;
    closing[1].worker.as_mut().unwrap().is_closed = true;
    let fresh = at(5_000, vec![], closing);
    assert_eq!(decide(&fresh, &params, &mut memory()).len(), 2, "one is closed, one is ended");
    let mut old_demand = fresh.clone();
    old_demand.demand.as_mut().unwrap().as_of_ms -= 61_000;
    let mut old_fleet = fresh.clone();
    old_fleet.fleet.as_mut().unwrap().as_of_ms -= 61_000;
    let no_demand = Observed { demand: None, ..fresh.clone() };
    let no_fleet = Observed { fleet: None, ..fresh };
    for stale in [old_demand, old_fleet, no_demand, no_fleet] {
        assert_eq!(decide(&stale, &params, &mut memory()), []);
    }
}

/// Buildkite's elastic CI mode: dead agents on live instances counted as capacity.
#[test]
fn f_capacity_is_what_is_heard() {
    let (params, mut memory) = (Params::default(), memory());
    let silent = idle(10, 100, 50);
    let first = decide(&at(200, vec![waiting(400)], silent.clone()), &params, &mut memory);
    assert!(launched(&first) > 0, "ten machines run, and none of them works");
    assert_eq!(terminated(&first), []);
    let mut one_silent = idle(10, 1_000, 990);
    one_silent[3].worker.as_mut().unwrap().heard_ms = 100_000;
    let mut watching = Memory::default();
    for secs in (700..1_000).step_by(30) {
        let mut machines = one_silent.clone();
        machines.iter_mut().filter(|machine| machine.id.as_str() != "m3").for_each(|machine| {
            machine.worker.as_mut().unwrap().heard_ms = secs * 1_000;
        });
        let actions = decide(&at(secs, vec![running(0, 4, 5)], machines), &params, &mut watching);
        let buried = terminated(&actions) == [MachineId::new("m3")];
        assert_eq!(buried, secs >= 700 + 240, "three boot times after we began to listen, at {secs}: {actions:?}");
    }
}

/// Karpenter #8536, #7146, k-sigs #1019, #1851: hours of churn for no gain.
#[test]
fn g_nothing_is_replaced_for_small_gains() {
    let (params, mut memory) = (Params::default(), memory());
    for tick in 0..200 {
        let secs = 1_000 + 12 * tick;
        let jitter = tick % 3;
        let demand = Demand { arrived_ms: secs * 1_000 - 60_000, ..running(20 + jitter, 40, 15) };
        assert_eq!(decide(&at(secs, vec![demand], busy(10, secs)), &params, &mut memory), [], "at {secs}");
    }
}

/// CloudWatch on failing jobs: two thousand tasks that fail hold a fleet for as long as they are tried again.
#[test]
fn h_a_job_that_fails_holds_no_fleet() {
    let (params, mut memory) = (Params::default(), memory());
    let failing = |failed| Demand { ended: Ended { failed, ..Ended::default() }, ..waiting(2_000) };
    assert_eq!(launched(&decide(&at(0, vec![failing(0)], vec![]), &params, &mut memory)), 8);
    let actions = decide(&at(100, vec![failing(60)], busy(1, 100)), &params, &mut memory);
    let job = JobId::new("job");
    assert_eq!(actions, [Action::Suspend { job: job.clone() }, Action::Alarm(Alarm::Poison { job: job.clone() })]);
    assert!(memory.is_suspended(&job));
    let none_left = decide(&at(200, vec![failing(61)], vec![]), &params, &mut memory);
    assert_eq!(launched(&none_left), 1, "one machine for probes");
    let ended = Ended { ok: 5, failed: 61, ok_secs: 150.0, ok_secs_squared: 4_500.0, longest_secs: 30.0 };
    let well = decide(&at(300, vec![Demand { ended, ..waiting(2_000) }], busy(1, 300)), &params, &mut memory);
    assert!(well.contains(&Action::Resume { job }) && launched(&well) > 5, "{well:?}");
}

/// Buildkite's start jitter: a fleet that comes at once storms the stores, and a fleet that goes at once is missed.
#[test]
fn i_machines_come_in_steps_and_idle_ones_go_one_by_one() {
    let (params, mut memory) = (Params::default(), memory());
    let first = launched(&decide(&at(0, vec![waiting(100_000)], vec![]), &params, &mut memory));
    let second = launched(&decide(&at(12, vec![waiting(100_000)], booting(8, 0)), &params, &mut memory));
    assert_eq!((first, second), (8, 16), "as many as there are, and eight more");
    let mut gone = Vec::new();
    // They have a twentieth of a boot time.
    for secs in 0..=5 {
        let machines = idle(20, 1_000 + secs, 1_000);
        gone.push(closed(&decide(&at(1_000 + secs, vec![], machines), &params, &mut Memory::default())).len());
    }
    assert!(gone.is_sorted() && gone[0] == 0 && gone.last() == Some(&20) && gone[3] > 0 && gone[3] < 20, "{gone:?}");
}

/// Buildkite #1261: a decrement below the group's minimum is refused, and the machine stays for ever.
#[test]
fn j_the_minimum_stays() {
    let params = Params { min_machines: 3, ..Params::default() };
    let actions = decide(&at(5_000, vec![], idle(5, 5_000, 1_000)), &params, &mut memory());
    assert_eq!(closed(&actions).len(), 2);
    let mut dead = idle(3, 5_000, 4_990);
    dead[0].worker.as_mut().unwrap().heard_ms = 100_000;
    let mut watching = Memory::default();
    let mut bought = 0;
    let mut ended = Vec::new();
    for secs in (4_500..=5_000).step_by(20) {
        for machine in &mut dead[1..] {
            machine.worker.as_mut().unwrap().heard_ms = secs * 1_000;
        }
        let actions = decide(&at(secs, vec![], dead.clone()), &params, &mut watching);
        for n in 0..launched(&actions) as usize {
            dead.push(Machine { id: MachineId::new(format!("new {n}")), ..idle(1, secs, secs).remove(0) });
        }
        bought += launched(&actions);
        ended = terminated(&actions);
    }
    assert_eq!((bought, ended), (1, vec![MachineId::new("m0")]), "another one comes before the dead one goes");
    assert_eq!(launched(&decide(&at(0, vec![], vec![]), &params, &mut memory())), 3, "also when nothing waits");
}

#[test]
fn demand_that_returns_reopens_what_closes_before_anything_is_launched() {
    let (params, mut memory) = (Params::default(), memory());
    let mut machines = idle(4, 5_000, 4_000);
    machines.iter_mut().for_each(|machine| machine.is_closing = true);
    let demand = Demand { arrived_ms: 5_000_000, ..waiting(400) };
    let actions = decide(&at(5_000, vec![demand], machines), &params, &mut memory);
    let reopened = actions.iter().filter(|action| matches!(action, Action::Reopen { .. })).count();
    assert_eq!(reopened, 4);
    assert_eq!(actions.iter().position(|action| matches!(action, Action::Launch { .. })).unwrap_or(4), 4);
}

#[test]
fn launches_that_fail_back_off_and_go_elsewhere() {
    let spot = Group { name: GroupName::new("spot"), usd_per_hour: 0.06, taken_per_hour: 0.05 };
    let on_demand = Group { name: GroupName::new("on-demand"), usd_per_hour: 0.17, taken_per_hour: 0.0 };
    let params = Params { groups: vec![spot.clone(), on_demand.clone()], ..Params::default() };
    let mut memory = memory();
    let group_of = |actions: &[Action]| {
        actions.iter().find_map(|action| match action {
            Action::Launch { group, .. } => Some(group.clone()),
            _ => None,
        })
    };
    let seen = |secs: u64, refused: bool| {
        let mut seen = at(secs, vec![waiting(2_000)], vec![]);
        let refusal = Refused { group: spot.name.clone(), at_ms: secs * 1_000 };
        seen.fleet.as_mut().unwrap().value.refused = if refused { vec![refusal] } else { vec![] };
        seen
    };
    assert_eq!(group_of(&decide(&seen(0, false), &params, &mut memory)), Some(spot.name.clone()));
    decide(&seen(12, true), &params, &mut memory);
    decide(&seen(24, true), &params, &mut memory);
    let third = decide(&seen(36, true), &params, &mut memory);
    let alarm = Action::Alarm(Alarm::LaunchesFail { group: spot.name.clone(), until_ms: 96_000 });
    assert!(third.contains(&alarm), "{third:?}");
    assert_eq!(group_of(&third), Some(on_demand.name));
}

/// A fleet tells what failed of late again and again.
#[test]
fn a_failure_of_before_is_no_answer_to_a_new_order() {
    let (params, mut memory) = (Params::default(), memory());
    let seen = |secs: u64| {
        let mut seen = at(secs, vec![waiting(40)], vec![]);
        seen.fleet.as_mut().unwrap().value.refused = vec![Refused { group: group(), at_ms: 1_000 }];
        seen
    };
    assert!(launched(&decide(&seen(12), &params, &mut memory)) > 0);
    assert_eq!(decide(&seen(24), &params, &mut memory), [], "it is on its way");
}

#[test]
fn long_tasks_go_where_machines_stay() {
    let spot = Group { name: GroupName::new("spot"), usd_per_hour: 0.10, taken_per_hour: 0.10 };
    let on_demand = Group { name: GroupName::new("on-demand"), usd_per_hour: 0.17, taken_per_hour: 0.0 };
    let on_spot = |hours: f64, late_risk: f64| {
        let params = Params { groups: vec![spot.clone(), on_demand.clone()], late_risk, ..Params::default() };
        let demand = Demand { class: ClassName::new("long"), ..waiting(50) };
        let actions = decide(&at(0, vec![demand], vec![]), &params, &mut knowing("long", hours * 3_600.0));
        assert!(launched(&actions) > 0);
        matches!(&actions[..], [Action::Launch { group, .. }] if *group == spot.name)
    };
    // exp(0.10 / h * 1.2 * hours) reaches 1.7 at 4.4 hours.
    assert_eq!([0.1, 4.0, 5.0, 10.0].map(|hours| on_spot(hours, 1.0)), [true, true, false, false], "by price");
    // Of 13 machines one goes in the 0.3 hours by which tasks of an hour outlast the time to do them again, by 1 - exp(-1.3 * 0.95).
    assert_eq!([0.1, 0.2, 1.0, 4.0].map(|hours| on_spot(hours, 0.05)), [true, true, false, false], "to be in time");
}

#[test]
fn only_jobs_that_a_reclaim_would_make_late_are_bought_machines_that_stay() {
    let spot = Group { name: GroupName::new("spot"), usd_per_hour: 0.06, taken_per_hour: 0.03 };
    let on_demand = Group { name: GroupName::new("on-demand"), usd_per_hour: 0.17, taken_per_hour: 0.0 };
    let groups = vec![spot.clone(), on_demand.clone()];
    let params = Params { groups: groups.clone(), ..Params::default() };
    let long = |waiting, deadline_hours: Option<u64>| {
        let deadline_ms = deadline_hours.map(|hours| hours * 3_600_000);
        Demand { class: ClassName::new("long"), job: JobId::new("long"), deadline_ms, ..super::waiting(waiting) }
    };
    let order =
        |demands: Vec<Demand>, params: &Params| decide(&at(0, demands, vec![]), params, &mut knowing("long", 7_200.0));
    let launch = |group: &Group, machines| vec![Action::Launch { group: group.name.clone(), machines }];
    assert_eq!(order(vec![long(8, None)], &params), launch(&on_demand, 2));
    assert_eq!(order(vec![long(8, Some(8))], &params), launch(&spot, 1), "there is time to do it again");
    assert_eq!(
        order(vec![long(8, None), waiting(160)], &params),
        launch(&on_demand, 2),
        "the others come with the next look"
    );
    let no_choice = Params { groups: groups[..1].to_vec(), ..params };
    assert_eq!(order(vec![long(8, None)], &no_choice), launch(&spot, 2));
}

#[test]
fn one_task_that_is_about_to_be_late_is_bought_a_machine_by_a_large_fleet_too() {
    let (params, mut memory) = (Params::default(), knowing("long", 36_000.0));
    let long = Demand { class: ClassName::new("long"), ..running(0, 240, 3_600) };
    let mut order = |arrived_secs: u64| {
        let one = Demand { job: JobId::new("one"), arrived_ms: arrived_secs * 1_000, ..waiting(1) };
        launched(&decide(&at(10_000, vec![long.clone(), one], busy(60, 10_000)), &params, &mut memory))
    };
    assert_eq!([order(9_900), order(9_240)], [0, 1]);
}

#[test]
fn a_machine_that_never_came_is_given_up_once_and_counts_as_a_failure() {
    let (params, mut memory) = (Params::default(), memory());
    let early = decide(&at(400, vec![], booting(3, 0)), &params, &mut memory);
    assert_eq!(terminated(&early), []);
    let late = decide(&at(500, vec![], booting(3, 0)), &params, &mut memory);
    assert_eq!(terminated(&late).len(), 3);
    assert!(memory.is_held(&group(), 501_000), "three failures of three");
    let again = decide(&at(512, vec![], booting(3, 0)), &params, &mut memory);
    assert_eq!((terminated(&again).len(), again.len()), (3, 3), "ordered again, counted and told once");
}

#[test]
fn a_manager_that_has_just_begun_buries_nobody() {
    let (params, mut memory) = (Params::default(), memory());
    let unheard = busy(10, 0);
    for tick in 0..15 {
        let actions = decide(&at(10_000 + 12 * tick, vec![running(0, 40, 60)], unheard.clone()), &params, &mut memory);
        assert_eq!(terminated(&actions), [], "at {tick}");
    }
}

#[test]
fn the_hours_of_a_day_are_a_last_resort() {
    let params = Params { daily_machine_hours: Some(0.99), ..Params::default() };
    let mut memory = memory();
    let mut told = 0;
    for tick in 0..40 {
        let secs = 12 * tick;
        let actions = decide(&at(secs, vec![running(9_000, 40, 10)], busy(10, secs)), &params, &mut memory);
        let spent = 10.0 * secs as f64 / 3_600.0 >= 0.99;
        assert_eq!(launched(&actions) > 0, !spent, "at {secs}");
        memory.orders.clear();
        told += actions.iter().filter(|action| **action == Action::Alarm(Alarm::BudgetSpent)).count();
    }
    assert_eq!(told, 1);
    let tomorrow = at(86_400, vec![running(9_000, 40, 10)], busy(10, 86_400));
    assert!(launched(&decide(&tomorrow, &params, &mut memory)) > 0);
}

#[test]
fn work_that_waits_beside_idle_machines_for_ten_minutes_buys_no_more() {
    let (params, mut memory) = (Params::default(), memory());
    let mut told = Vec::new();
    for tick in 0..60 {
        let secs = 12 * tick;
        let actions = decide(&at(secs, vec![waiting(50_000)], idle(2, secs, 0)), &params, &mut memory);
        if actions.contains(&Action::Alarm(Alarm::Stuck)) {
            told.push(secs);
        }
        assert!(launched(&actions) == 0 || secs < 600, "at {secs}");
    }
    assert_eq!(told, [600]);
}

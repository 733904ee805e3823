//! What people are told of the fleet: what there is, and what is waited for.

use std::collections::BTreeMap;

use grid_core::ids::GroupName;
use grid_core::rows::{GroupRow, PoolRow};
use grid_core::scale::{Alarm, Fleet, Memory, Params};
use infra::fleet::Sight;

/// The pool as it stands.
pub(super) fn board(
    sight: &Sight,
    fleet: &Fleet,
    params: &Params,
    memory: &Memory,
    full: &[GroupName],
    now_ms: u64,
) -> PoolRow {
    let words: BTreeMap<&GroupName, &String> = sight.words.iter().map(|(group, words)| (group, words)).collect();
    let groups: Vec<GroupRow> = params
        .groups
        .iter()
        .map(|group| {
            let of = |is: &dyn Fn(&grid_core::scale::Machine) -> bool| {
                fleet.machines.iter().filter(|machine| machine.group == group.name && is(machine)).count() as u32
            };
            let unfilled: u32 =
                fleet.unfilled.iter().filter(|(name, _)| *name == group.name).map(|(_, count)| count).sum();
            GroupRow {
                group: group.name.clone(),
                machines: of(&|machine| machine.worker.is_some() && !machine.is_leaving),
                coming: unfilled + of(&|machine| machine.worker.is_none() && !machine.is_leaving),
                leaving: of(&|machine| machine.is_leaving || machine.is_closing),
                waits: waits(&group.name, words.get(&group.name).copied(), memory, full, now_ms),
            }
        })
        .collect();
    let all: u32 = groups.iter().map(|group| group.machines + group.coming).sum();
    let mut waits = Vec::new();
    if all >= params.max_machines {
        waits.push(format!("at maximum: the fleet may have {} machines", params.max_machines));
    }
    waits.extend(memory.alarms().iter().filter_map(|alarm| match alarm {
        Alarm::BudgetSpent => Some("quota: the machine-hours of this day are spent".to_owned()),
        Alarm::Stuck => Some("stuck: work waits, machines are idle, and nothing has ended for ten minutes".to_owned()),
        Alarm::MostAreSilent => Some("silent: most machines are not heard; none is removed for it".to_owned()),
        Alarm::LaunchesFail { .. } | Alarm::Poison { .. } => None,
    }));
    PoolRow { groups, waits }
}

fn waits(
    group: &GroupName,
    words: Option<&String>,
    memory: &Memory,
    full: &[GroupName],
    now_ms: u64,
) -> Option<String> {
    let held = memory.is_held(group, now_ms).then(|| "launches fail: it is left alone for a while".to_owned());
    let full = full.contains(group).then(|| "at maximum: the group may have no more machines".to_owned());
    match (words, held.or(full)) {
        (Some(words), Some(more)) => Some(format!("{words}; {more}")),
        (Some(words), None) => Some(words.clone()),
        (None, more) => more,
    }
}

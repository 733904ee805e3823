//! The graph of stages: who waits for whom, in which order, and where it goes round in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::fault::Collector;
use crate::pipeline::read::{Named, StageDraft};

/// The stages by their place in the file.
pub(super) struct Graph {
    places: BTreeMap<String, usize>,
    /// The stages that are not on or behind a cycle, each after those it waits for, otherwise in the order of the file.
    pub order: Vec<usize>,
}

impl Graph {
    /// Tells references to nowhere, and cycles.
    pub(super) fn of(stages: &[StageDraft], faults: &mut Collector<'_>) -> Self {
        let places = stages.iter().enumerate().map(|(at, draft)| (draft.stage.name.as_str().to_owned(), at)).collect();
        let mut graph = Self { places, order: Vec::new() };
        let needs: Vec<Vec<(usize, &Named)>> = stages.iter().map(|draft| graph.needs(draft, faults)).collect();
        graph.order = order(&needs);
        tell_cycles(stages, &needs, &graph.order, faults);
        graph
    }

    /// The place of a stage in the file.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn needs<'d>(&self, draft: &'d StageDraft, faults: &mut Collector<'_>) -> Vec<(usize, &'d Named)> {
        let mut needs = Vec::new();
        for named in draft.upstream.iter().chain(&draft.after) {
            match self.position(&named.name) {
                Some(at) => needs.push((at, named)),
                None => {
                    let message = format!("there is no stage `{}`", named.name);
                    faults.nearest(&named.at, message, &named.name, self.places.keys().map(String::as_str));
                }
            }
        }
        needs
    }
}

/// Takes the first stage of the file that waits for nothing any more, again and again.
fn order(needs: &[Vec<(usize, &Named)>]) -> Vec<usize> {
    let mut waits: Vec<BTreeSet<usize>> = needs.iter().map(|needs| needs.iter().map(|&(at, _)| at).collect()).collect();
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (at, waits) in waits.iter().enumerate() {
        waits.iter().for_each(|&upstream| waiters[upstream].push(at));
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|&at| waits[at].is_empty()).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for &waiter in &waiters[at] {
            waits[waiter].remove(&at);
            if waits[waiter].is_empty() {
                ready.insert(waiter);
            }
        }
    }
    order
}

/// Every stage that was left over waits for another one: following these, one must come round.
fn tell_cycles(stages: &[StageDraft], needs: &[Vec<(usize, &Named)>], order: &[usize], faults: &mut Collector<'_>) {
    let sorted: BTreeSet<usize> = order.iter().copied().collect();
    let mut settled = sorted.clone();
    for start in 0..stages.len() {
        let mut path: Vec<(usize, &Named)> = Vec::new();
        let mut at = start;
        while !settled.contains(&at) {
            if let Some(first) = path.iter().position(|&(before, _)| before == at) {
                tell_cycle(stages, &path[first..], faults);
                break;
            }
            let Some(&(next, named)) = needs[at].iter().find(|(next, _)| !sorted.contains(next)) else {
                break;
            };
            path.push((at, named));
            at = next;
        }
        settled.extend(path.iter().map(|&(at, _)| at));
    }
}

fn tell_cycle(stages: &[StageDraft], cycle: &[(usize, &Named)], faults: &mut Collector<'_>) {
    // Told at the stage that stands first in the file.
    let Some(first) = (0..cycle.len()).min_by_key(|&at| cycle[at].0) else {
        return;
    };
    let in_order = || cycle.iter().cycle().skip(first);
    let names: Vec<String> =
        in_order().take(cycle.len() + 1).map(|&(at, _)| format!("`{}`", stages[at].stage.name)).collect();
    if let Some((_, named)) = in_order().next() {
        let message = if cycle.len() == 1 {
            format!("{} waits for itself", names[0])
        } else {
            format!("stages wait for each other: {}", names.join(" needs "))
        };
        faults.at(&named.at, message);
    }
}

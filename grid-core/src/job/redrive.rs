//! Run again only what failed.

use std::collections::{BTreeMap, BTreeSet};

use super::bits::Outcome;
use super::meta::Redrive;
use super::retry::Spent;
use super::stage::{OutTask, StageBook, TaskPhase};
use super::state::Job;
use crate::ids::{ItemIndex, StageName};
use crate::limits::{MAX_SETS, SHARD_ITEMS};
use crate::pipeline::ItemSource;

/// How an item that was given up on ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// Its last attempt.
    pub attempt: u32,
    /// Bytes of its input.
    pub bytes_in: u64,
}

impl Job {
    /// Items that were given up on and may be run again: nothing was committed that had counted on doing without them.
    /// The groups of the job must be known ([`Job::grouped`]).
    pub fn redrivable(&self) -> Vec<(StageName, ItemIndex)> {
        let mut items = Vec::new();
        for (index, book) in self.stages.iter().enumerate() {
            let free = book.outcomes.dead.iter().filter(|item| !self.was_done_without(index, *item));
            items.extend(free.map(|item| (self.spec(index).name.clone(), item)));
        }
        items
    }

    /// The failed items that are still to be made ready to run again: say [`Job::redrive`] before anything else.
    pub fn wished_redrive(&self) -> Option<&Redrive> {
        self.meta.redrive.as_ref()
    }

    /// Whether redrives have set parameters: then what was committed is not what the submission says.
    pub fn has_sets(&self) -> bool {
        !self.meta.sets.is_empty()
    }

    /// Whether one more redrive may set these parameters.
    pub fn has_room_for(&self, params: &BTreeMap<String, String>) -> bool {
        params.is_empty() || self.meta.sets.contains(params) || self.meta.sets.len() < MAX_SETS
    }

    /// Fulfils the wish that failed items run again: the items in `last` get a new set of attempts, and what was left out
    /// because of them waits for them again.
    pub fn redrive(&mut self, last: &BTreeMap<(StageName, ItemIndex), LastAttempt>) {
        let Redrive { params, memory_factor, .. } = self.meta.redrive.take().unwrap_or_default();
        let set = self.place_of(params);
        let mut revived = BTreeSet::new();
        for ((stage, item), last) in last {
            let Some(index) = self.index_of(stage) else { continue };
            if !self.stages[index].outcomes.of(Outcome::Dead).remove(*item) {
                continue;
            }
            let tally = self.stages[index].tally_mut(*item);
            tally.bytes_in = tally.bytes_in.saturating_sub(last.bytes_in);
            let spent = Spent { memory_factor: memory_factor.unwrap_or(1.0), ..Spent::default() };
            // Handed out by and by like any other: there may be thousands.
            let phase = TaskPhase::Waiting { until_ms: 0 };
            self.stages[index].put_out(OutTask { spent, set, phase, ..OutTask::due(*item, 1, last.attempt + 1) });
        }
        self.meta.left_dead = self.dead_of_stages();
        // Of all that is out: rows may hold what was made ready before, and not yet what it revived.
        for (index, item) in self.items_out() {
            self.revive_readers(index, item, &mut revived);
        }
        self.stopping = None;
        self.dirty = true;
        self.derive();
    }

    /// How many items of every stage are given up on.
    fn dead_of_stages(&self) -> BTreeMap<StageName, u64> {
        let dead =
            (0..self.stages.len()).map(|index| (self.spec(index).name.clone(), self.stages[index].outcomes.dead.len()));
        dead.filter(|(_, dead)| *dead > 0).collect()
    }

    /// The place of some parameters among those that redrives have set; they are added where they are new.
    pub(super) fn place_of(&mut self, params: BTreeMap<String, String>) -> Option<u32> {
        if params.is_empty() {
            return None;
        }
        let place = self.meta.sets.iter().position(|set| *set == params).unwrap_or_else(|| {
            self.meta.sets.push(params);
            self.meta.sets.len() - 1
        });
        u32::try_from(place).ok()
    }

    fn items_out(&self) -> Vec<(usize, ItemIndex)> {
        let of_stage = |(index, book): (usize, &StageBook)| {
            let items = book.out.values().flat_map(|task| task.first..task.first + task.count);
            items.map(|item| (index, item)).collect::<Vec<_>>()
        };
        self.stages.iter().enumerate().flat_map(of_stage).collect()
    }

    /// What reads an item that has not ended has not been left out: nobody can know yet.
    fn revive_readers(&mut self, index: usize, item: ItemIndex, revived: &mut BTreeSet<(usize, ItemIndex)>) {
        for (reader, item) in self.readers_of(index, item) {
            if !revived.insert((reader, item)) {
                continue;
            }
            if self.stages[reader].outcomes.of(Outcome::Skipped).remove(item) {
                self.stages[reader].dirty_shards.insert(item / SHARD_ITEMS);
            }
            if !self.stages[reader].outcomes.contains(item) {
                self.revive_readers(reader, item, revived);
            }
        }
    }

    fn was_done_without(&self, index: usize, item: ItemIndex) -> bool {
        self.readers_of(index, item).into_iter().any(|(reader, item)| {
            let is_each = matches!(self.spec(reader).items, ItemSource::Each(_));
            if is_each || self.was_left_out(reader, item) {
                return self.was_done_without(reader, item);
            }
            self.stages[reader].outcomes.contains(item) || self.is_out(reader, item)
        })
    }

    /// Whether an item that gathers was left out for want of anything to read. One that had something did run, and a rule of its own
    /// said that it be left out: that has counted on doing without what was given up on, as a result does.
    fn was_left_out(&self, index: usize, item: ItemIndex) -> bool {
        let book = &self.stages[index];
        let had_input = book.gather.as_ref().is_some_and(|gather| gather.has_input(item));
        book.outcomes.skipped.contains(item) && !had_input
    }

    /// The items that read the output of an item.
    fn readers_of(&self, index: usize, item: ItemIndex) -> Vec<(usize, ItemIndex)> {
        let mut readers = Vec::new();
        for reader in self.consumers[index].iter().copied().chain([index]) {
            if let Some(gather) = &self.stages[reader].gather {
                readers.extend(gather.readers_of(index, item).into_iter().map(|item| (reader, item)));
            } else if matches!(self.spec(reader).items, ItemSource::Each(_)) && reader != index {
                let outputs = self.outputs(index);
                let is_output = (outputs.first..outputs.first + outputs.count).contains(&item);
                let bases = self.bases_in(reader, index).into_iter().filter(|_| is_output);
                readers.extend(bases.map(|base| (reader, base + (item - outputs.first))));
            }
        }
        readers
    }
}

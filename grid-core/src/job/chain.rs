//! What becomes ready when something ends: `each` item by item, `group` when the group is complete, `all` at the end.
//!
//! Everything here can be derived anew from the outcome sets ([`Job::derive`]); events only do the same for less.

use roaring::RoaringBitmap;

use super::bits::Outcome;
use super::gather::{Gather, Members, runs_of};
use super::state::Job;
use crate::ids::{ItemIndex, StageName};
use crate::items::plan::Group;
use crate::limits::SHARD_ITEMS;
use crate::pipeline::{ItemSource, List};

impl Job {
    /// Stages whose items somebody has to look for now: inputs to cut, list files to read, groups to form.
    pub fn to_plan(&self) -> Vec<StageName> {
        if self.meta.state.is_final() {
            return Vec::new();
        }
        (0..self.stages.len())
            .filter(|index| self.needs_plan(*index))
            .map(|index| self.spec(index).name.clone())
            .collect()
    }

    fn needs_plan(&self, index: usize) -> bool {
        let book = &self.stages[index];
        match &self.spec(index).items {
            ItemSource::Split(_) | ItemSource::List(List::File(_)) => !book.planned.complete,
            ItemSource::Group { .. } => book.gather.is_none() && self.is_upstream_planned(index),
            ItemSource::Matrix(_)
            | ItemSource::Range(_)
            | ItemSource::List(List::Inline(_))
            | ItemSource::Each(_)
            | ItemSource::All { .. } => false,
        }
    }

    /// Takes in how far the plan of a `split` or `list` stage is: `items` in all so far. Less than known before is old
    /// news.
    pub fn planned(&mut self, stage: &StageName, items: u32, bytes: u64, records: Option<u64>, complete: bool) {
        let Some(index) = self.index_of(stage) else { return };
        let planned = &mut self.stages[index].planned;
        if planned.complete || items < planned.items {
            return;
        }
        let known = planned.items;
        (planned.items, planned.bytes, planned.records, planned.complete) = (items, bytes, records, complete);
        self.stages[index].dirty = true;
        self.stages[index].make_ready(known, items - known);
        self.plan_followers();
    }

    /// Takes in the groups of a `group` stage; they may be known already, after a restart.
    pub fn grouped(&mut self, stage: &StageName, groups: &[Group]) {
        let Some(index) = self.index_of(stage) else { return };
        let members = |group: &Group| {
            let of_group = |members: &crate::ids::StageItems| {
                let stage = self.index_of(&members.stage)?;
                Some(Members { stage, first: members.first, count: members.count })
            };
            group.members.iter().filter_map(of_group).collect()
        };
        let gather = Gather::groups(groups.iter().map(members).collect());
        self.set_gather(index, gather);
        self.plan_followers();
    }

    /// Derives everything that is not written down: what is ready, and what waits for what.
    pub(super) fn derive(&mut self) {
        for book in &mut self.stages {
            (book.gather, book.linked) = (None, 0);
            book.ready.clear();
            book.ready.insert_range(0..book.planned.items);
        }
        for index in 0..self.stages.len() {
            if !self.spec(index).items.upstream().is_empty() {
                self.stages[index].ready.clear();
            }
        }
        self.plan_followers();
        for book in &mut self.stages {
            book.outcomes.remove_from(&mut book.ready);
            for task in book.out.values() {
                book.ready.remove_range(task.first..task.first + task.count);
            }
        }
        // Or a leader that has just come would hand out more of a job that is to stop.
        self.stopping = self.failure_policy();
    }

    /// Plans the stages whose items follow from those of others, in the order of the pipeline.
    fn plan_followers(&mut self) {
        for index in 0..self.stages.len() {
            match self.spec(index).items {
                ItemSource::Each(_) => self.plan_each(index),
                ItemSource::All { fan_in, .. } => self.plan_all(index, fan_in),
                ItemSource::Split(_)
                | ItemSource::Matrix(_)
                | ItemSource::Range(_)
                | ItemSource::List(_)
                | ItemSource::Group { .. } => {}
            }
        }
    }

    fn plan_all(&mut self, index: usize, fan_in: Option<u32>) {
        if self.stages[index].gather.is_none() && self.is_upstream_planned(index) {
            let upstream: Vec<Members> = self.upstream_of(index).into_iter().map(|up| self.outputs(up)).collect();
            self.set_gather(index, Gather::tree(fan_in, index, &upstream));
        }
    }

    pub(super) fn outputs(&self, index: usize) -> Members {
        let (first, count) = self.outputs_of(index);
        Members { stage: index, first, count }
    }

    fn is_upstream_planned(&self, index: usize) -> bool {
        self.upstream_of(index).iter().all(|up| self.stages[*up].planned.complete)
    }

    /// The items of an `each` stage are those of its upstream stages, one stage after the other: the place of a stage's
    /// items is known once all stages before it are planned. What is new is brought up to date: it may have ended before anybody knew
    /// that it is there.
    fn plan_each(&mut self, index: usize) {
        let mut items = 0;
        let mut complete = true;
        for up in self.upstream_of(index) {
            if !complete {
                break;
            }
            let Members { stage, first, count } = self.outputs(up);
            let linked = self.stages[index].linked.saturating_sub(items).min(count);
            self.link_each(index, items + linked, Members { stage, first: first + linked, count: count - linked });
            items += count;
            complete = self.stages[up].planned.complete;
        }
        self.stages[index].linked = items;
        let planned = &mut self.stages[index].planned;
        if (planned.items, planned.complete) != (items, complete) {
            (planned.items, planned.complete) = (items, complete);
            self.stages[index].dirty = true;
        }
    }

    /// The items of `each` stage `index`, beginning at `base`, that are the items `members`: brings them up to date with
    /// what is known of those.
    fn link_each(&mut self, index: usize, base: ItemIndex, members: Members) {
        let range = members.first..members.first + members.count;
        let outcomes = &self.stages[members.stage].outcomes;
        let ok: Vec<(u32, u32)> = runs_of(outcomes.ok.range(range.clone()));
        let bad: RoaringBitmap = outcomes.skipped.range(range.clone()).chain(outcomes.dead.range(range)).collect();
        for (first, count) in ok {
            let first = base + (first - members.first);
            self.stages[index].make_ready(first, count);
        }
        for (first, count) in runs_of(bad.iter()) {
            self.end_items(index, base + (first - members.first), count, Outcome::Skipped);
        }
    }

    fn set_gather(&mut self, index: usize, mut gather: Gather) {
        let mut sources = self.upstream_of(index);
        sources.push(index);
        for source in sources {
            gather.note_all(source, &self.stages[source].outcomes);
        }
        let complete: Vec<ItemIndex> = gather.complete().collect();
        let book = &mut self.stages[index];
        let (items, was) = (gather.items(), book.planned);
        (book.planned.items, book.planned.complete, book.gather) = (items, true, Some(gather));
        book.dirty |= was != book.planned;
        for item in complete {
            self.gathered(index, item);
        }
    }

    /// All inputs of an item of a `group` or `all` stage have ended.
    fn gathered(&mut self, index: usize, item: ItemIndex) {
        if self.stages[index].outcomes.contains(item) || self.is_out(index, item) {
            return;
        }
        let book = &mut self.stages[index];
        if book.gather.as_ref().is_some_and(|gather| gather.has_input(item)) {
            book.ready.insert(item);
        } else {
            self.end_items(index, item, 1, Outcome::Skipped);
        }
    }

    pub(super) fn is_out(&self, index: usize, item: ItemIndex) -> bool {
        let before = self.stages[index].out.range(..=item).next_back();
        before.is_some_and(|(_, task)| task.first + task.count > item)
    }

    /// Items end, once and for good; what waits for them is told. Items that have ended before are left as they are.
    pub(super) fn end_items(&mut self, index: usize, first: ItemIndex, count: u32, outcome: Outcome) {
        let mut ended = vec![(index, first, count, outcome)];
        while let Some((index, first, count, outcome)) = ended.pop() {
            for (first, count) in self.mark(index, first, count, outcome) {
                for reader in self.consumers[index].clone() {
                    self.tell(reader, index, first, count, outcome, &mut ended);
                }
                if matches!(self.spec(index).items, ItemSource::All { .. }) {
                    self.tell_gather(index, index, first, count, outcome);
                }
            }
        }
    }

    /// Sets the bits of those that had not ended, and answers them.
    fn mark(&mut self, index: usize, first: ItemIndex, count: u32, outcome: Outcome) -> Vec<(ItemIndex, u32)> {
        let book = &mut self.stages[index];
        let fresh = runs_of((first..first + count).filter(|item| !book.outcomes.contains(*item)));
        for &(first, count) in &fresh {
            book.outcomes.of(outcome).insert_range(first..first + count);
            book.ready.remove_range(first..first + count);
            book.dirty_shards.extend(first / SHARD_ITEMS..=(first + count - 1) / SHARD_ITEMS);
        }
        fresh
    }

    fn tell(
        &mut self,
        reader: usize,
        index: usize,
        first: ItemIndex,
        count: u32,
        outcome: Outcome,
        ended: &mut Vec<(usize, ItemIndex, u32, Outcome)>,
    ) {
        if !matches!(self.spec(reader).items, ItemSource::Each(_)) {
            return self.tell_gather(reader, index, first, count, outcome);
        }
        let outputs = self.outputs(index);
        let (from, to) = (first.max(outputs.first), (first + count).min(outputs.first + outputs.count));
        for base in self.bases_in(reader, index) {
            if from >= to {
                continue;
            }
            let child = base + (from - outputs.first);
            match outcome {
                Outcome::Ok => self.stages[reader].make_ready(child, to - from),
                Outcome::Skipped | Outcome::Dead => ended.push((reader, child, to - from, Outcome::Skipped)),
            }
        }
    }

    fn tell_gather(&mut self, reader: usize, index: usize, first: ItemIndex, count: u32, outcome: Outcome) {
        let Some(gather) = &mut self.stages[reader].gather else { return };
        for item in gather.note(index, first, count, outcome) {
            self.gathered(reader, item);
        }
    }

    /// Where the items of `each` stage `reader` that come from stage `index` begin; nowhere while that is not known.
    pub(super) fn bases_in(&self, reader: usize, index: usize) -> Vec<ItemIndex> {
        let mut bases = Vec::new();
        let mut base = 0;
        for up in self.upstream_of(reader) {
            if up == index {
                bases.push(base);
            }
            if !self.stages[up].planned.complete {
                break;
            }
            base += self.outputs(up).count;
        }
        bases
    }
}

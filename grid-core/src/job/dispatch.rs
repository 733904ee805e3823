//! Which tasks are handed out next.

use std::collections::BTreeSet;

use super::bundle::Tuning;
use super::gather::Members;
use super::stage::{OutTask, StageBook, TaskPhase};
use super::state::{Job, JobState};
use crate::ids::{AttemptKey, ItemIndex, StageName, WorkerId};
use crate::limits::SHARD_ITEMS;
use crate::pipeline::{ItemSource, OnFailure};

/// What of a job could be handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ready {
    /// Tasks, at most.
    pub tasks: u64,
    /// Seconds of slot time that the first of them is expected to take; none before any of its stage has ended.
    pub task_secs: Option<f64>,
}

impl Job {
    /// Tasks that were handed out and have not ended: what the window of the manager counts.
    pub fn handed_out(&self) -> usize {
        let is_out = |task: &&OutTask| match task.phase {
            TaskPhase::Sent { .. } | TaskPhase::Unknown => true,
            TaskPhase::Due => self.meta.state != JobState::Paused,
            TaskPhase::Waiting { .. } => false,
        };
        self.stages.iter().map(|book| book.out.values().filter(is_out).count()).sum()
    }

    /// Hands out up to `room` more tasks: they are recorded as due. First those that waited to be tried again, then new
    /// ones, later stages before earlier ones, so that what was begun is finished first. Write the rows, then send what
    /// [`Job::due`] says.
    pub fn dispatch(&mut self, now_ms: u64, tuning: &Tuning, room: usize) -> usize {
        if self.is_held() {
            return 0;
        }
        let mut left = room;
        for index in (0..self.stages.len()).rev() {
            left -= self.wake(index, now_ms, left);
        }
        for index in (0..self.stages.len()).rev() {
            let mut not_handed_out = self.stages[index].not_handed_out();
            let mut probes = self.probes(index, tuning);
            while left > 0
                && probes > 0
                && let Some((first, count)) = self.next_bundle(index, tuning, not_handed_out)
            {
                not_handed_out = not_handed_out.saturating_sub(u64::from(count));
                let round = self.meta.round;
                self.stages[index].put_out(OutTask { round, ..OutTask::due(first, count, 1) });
                left -= 1;
                probes -= 1;
            }
        }
        room - left
    }

    /// What could be handed out now, at most: `tasks` counts one for every item that is ready, since how many make a task
    /// is settled when it is handed out. None where nothing may be.
    pub fn offer(&self, now_ms: u64, tuning: &Tuning) -> Option<Ready> {
        if self.is_held() {
            return None;
        }
        let mut ready = Ready { tasks: 0, task_secs: None };
        for index in (0..self.stages.len()).rev() {
            let book = &self.stages[index];
            let again = self.due_again(index, now_ms);
            let new = if self.can_begin(index) { book.ready.len().min(self.probes(index, tuning) as u64) } else { 0 };
            if ready.tasks == 0 && again + new > 0 {
                let item_secs = book.pace.item_secs;
                // Never more than a bundle's worth, unless an item alone takes longer.
                ready.task_secs =
                    item_secs.map(|secs| (secs * new.max(1) as f64).min(tuning.target.as_secs_f64()).max(secs));
            }
            ready.tasks += again + new;
        }
        (ready.tasks > 0).then_some(ready)
    }

    /// Tasks of every stage, in the order of the pipeline, that could be handed out now, by what bundles last: an estimate.
    pub fn ready_tasks(&self, now_ms: u64, tuning: &Tuning) -> Vec<u64> {
        if self.is_held() {
            return vec![0; self.stages.len()];
        }
        let ready = |(index, book): (usize, &StageBook)| {
            let again = self.due_again(index, now_ms);
            let new = if self.can_begin(index) { book.ready.len() } else { 0 };
            let mean_bytes = book.planned.bytes / u64::from(book.planned.items.max(1));
            again + new.div_ceil(u64::from(book.pace.bundle_items(tuning, new, mean_bytes)))
        };
        self.stages.iter().enumerate().map(ready).collect()
    }

    pub(super) fn is_held(&self) -> bool {
        let is_held = self.meta.state != JobState::Running || self.meta.redrive.is_some() || self.spent.is_some();
        is_held || matches!(self.stopping, Some(OnFailure::Drain | OnFailure::Cancel))
    }

    /// How many more new tasks of a stage are handed out now: few while nobody knows how long its items take, since each of
    /// these is a single item.
    fn probes(&self, index: usize, tuning: &Tuning) -> usize {
        let book = &self.stages[index];
        if book.pace.item_secs.is_some() || book.found.is_some() {
            return usize::MAX;
        }
        let probes = tuning.slots.max(1).saturating_mul(tuning.probes_per_slot);
        (probes as usize).saturating_sub(book.out.len())
    }

    /// When the next waiting task may be tried again, Unix milliseconds.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let in_turn = (0..self.stages.len()).filter(|index| self.is_in_turn(*index));
        let wakes = in_turn.flat_map(|index| self.stages[index].out.values()).filter_map(|task| match task.phase {
            TaskPhase::Waiting { until_ms } => Some(until_ms),
            TaskPhase::Due | TaskPhase::Sent { .. } | TaskPhase::Unknown => None,
        });
        wakes.min()
    }

    /// The message of a task was sent.
    pub fn sent(&mut self, stage: &StageName, key: AttemptKey, now_ms: u64) {
        self.set_phase(stage, key, TaskPhase::Sent { at_ms: now_ms });
    }

    /// Takes over what was known of messages before the job was read again, in the same round: rows do not say which were sent.
    pub fn remember(&mut self, before: &Self) {
        if self.meta.round != before.meta.round {
            return;
        }
        for (book, before) in self.stages.iter_mut().zip(&before.stages) {
            for task in book.out.values_mut().filter(|task| task.phase == TaskPhase::Unknown) {
                let known =
                    before.out.get(&task.first).filter(|known| (known.key(), known.count) == (task.key(), task.count));
                if let Some(phase @ (TaskPhase::Due | TaskPhase::Sent { .. })) = known.map(|known| known.phase) {
                    task.phase = phase;
                }
            }
        }
    }

    /// A task that was out when the manager began has no manifest: it is sent again. No death of its workers is implied.
    pub fn not_found(&mut self, stage: &StageName, key: AttemptKey) {
        self.set_phase(stage, key, TaskPhase::Due);
    }

    /// Nothing was heard of a task and no message of it is left: it is sent again. Answers how often that has happened.
    pub fn resend(&mut self, stage: &StageName, key: AttemptKey) -> u32 {
        let Some(task) = self.out_mut(stage, key) else { return 0 };
        task.resends += 1;
        task.phase = TaskPhase::Due;
        task.resends
    }

    /// A worker fell silent while it ran a task.
    pub fn worker_died(&mut self, stage: &StageName, key: AttemptKey, worker: &WorkerId) {
        if let Some(task) = self.out_mut(stage, key) {
            task.died.insert(worker.clone());
        }
    }

    /// A task that is out, to be changed: its row is written anew.
    pub(super) fn out_mut(&mut self, stage: &StageName, key: AttemptKey) -> Option<&mut OutTask> {
        let book = self.index_of(stage).map(|index| &mut self.stages[index])?;
        let task = book.out.get_mut(&key.first).filter(|task| task.attempt == key.attempt)?;
        book.dirty_shards.insert(key.first / SHARD_ITEMS);
        Some(task)
    }

    fn set_phase(&mut self, stage: &StageName, key: AttemptKey, phase: TaskPhase) {
        if let Some(index) = self.index_of(stage)
            && let Some(task) = self.stages[index].out.get_mut(&key.first).filter(|task| task.attempt == key.attempt)
        {
            task.phase = phase;
        }
    }

    /// Tasks of a stage that waited to be tried again, and may be now.
    fn due_again(&self, index: usize, now_ms: u64) -> u64 {
        let is_due = |task: &&OutTask| matches!(task.phase, TaskPhase::Waiting { until_ms } if until_ms <= now_ms);
        if self.is_in_turn(index) { self.stages[index].out.values().filter(is_due).count() as u64 } else { 0 }
    }

    fn wake(&mut self, index: usize, now_ms: u64, room: usize) -> usize {
        if !self.is_in_turn(index) {
            return 0;
        }
        let book = &mut self.stages[index];
        let mut woken = 0;
        for task in book.out.values_mut() {
            if woken < room && matches!(task.phase, TaskPhase::Waiting { until_ms } if until_ms <= now_ms) {
                (task.phase, task.round) = (TaskPhase::Due, self.meta.round);
                book.dirty_shards.insert(task.first / SHARD_ITEMS);
                woken += 1;
            }
        }
        woken
    }

    /// Whether something of a stage may be handed out now.
    pub(super) fn can_begin(&self, index: usize) -> bool {
        self.is_open(index) && self.next_ready(index).is_some()
    }

    /// Whether nothing runs of the stages that this one comes `after`: items of both may run again.
    pub(super) fn is_in_turn(&self, index: usize) -> bool {
        self.before(index).all(|before| self.stages[before].is_complete())
    }

    /// The stages that this one comes `after`.
    fn before(&self, index: usize) -> impl Iterator<Item = usize> {
        self.spec(index).after.iter().filter_map(|name| self.index_of(name))
    }

    /// Whether the stages that this one comes `after` are done.
    pub(super) fn is_open(&self, index: usize) -> bool {
        let mut before = self.before(index);
        before.all(|before| self.stages[before].is_complete() && !self.has_failed(before))
    }

    fn next_ready(&self, index: usize) -> Option<ItemIndex> {
        let book = &self.stages[index];
        if book.gather.is_none() {
            return book.ready.min();
        }
        book.ready.iter().find(|item| !self.is_blocked(index, *item))
    }

    /// An item that gathers does not begin without something that a failed stage owes it: it would have to be done again
    /// after the failed items are.
    pub(super) fn is_blocked(&self, index: usize, item: ItemIndex) -> bool {
        let Some(gather) = &self.stages[index].gather else { return false };
        match self.spec(index).items {
            ItemSource::All { .. } => self.comes_from_failed(index),
            _ => gather.has_bad(item) && self.comes_from_failed(index),
        }
    }

    /// Whether a stage that this one takes data from, directly or through others, has failed.
    fn comes_from_failed(&self, index: usize) -> bool {
        let mut open = self.upstream_of(index);
        let mut seen = BTreeSet::new();
        while let Some(up) = open.pop() {
            if self.has_failed(up) {
                return true;
            }
            if seen.insert(up) {
                open.extend(self.upstream_of(up));
            }
        }
        false
    }

    fn next_bundle(&self, index: usize, tuning: &Tuning, not_handed_out: u64) -> Option<(ItemIndex, u32)> {
        if !self.is_open(index) {
            return None;
        }
        let book = &self.stages[index];
        let is_known = |item: &ItemIndex| book.found.as_ref().is_none_or(|found| found.checked.contains(*item));
        let is_reusable = |item| book.found.as_ref().is_some_and(|found| found.reusable.contains(item));
        let first = self.next_ready(index).filter(is_known)?;
        let mean_bytes = book.planned.bytes / u64::from(book.planned.items.max(1));
        let wanted = match self.spec(index).items {
            ItemSource::All { .. } => 1,
            _ if is_reusable(first) => SHARD_ITEMS,
            _ => book.pace.bundle_items(tuning, not_handed_out, mean_bytes),
        };
        let goes_along = |item: ItemIndex| {
            book.ready.contains(item)
                && is_known(&item)
                && is_reusable(item) == is_reusable(first)
                && !self.is_blocked(index, item)
        };
        let shard_end = (first / SHARD_ITEMS + 1) * SHARD_ITEMS;
        let end = first.saturating_add(wanted).min(shard_end).min(self.chain_end(index, first));
        let mut count = 1;
        while first + count < end && goes_along(first + count) {
            count += 1;
        }
        Some((first, count))
    }

    /// Where the run of items around `item` that come from one stage of every `each` in the chain ends.
    pub(super) fn chain_end(&self, index: usize, item: ItemIndex) -> ItemIndex {
        match self.each_source(index, item) {
            None => u32::MAX,
            Some((members, base)) => {
                let above = members.first + (item - base);
                let end_above = self.chain_end(members.stage, above).min(members.first + members.count);
                base + (end_above - members.first)
            }
        }
    }

    /// For an item of an `each` stage: the upstream items among which its own is, and the item where those begin.
    pub(super) fn each_source(&self, index: usize, item: ItemIndex) -> Option<(Members, ItemIndex)> {
        if !matches!(self.spec(index).items, ItemSource::Each(_)) {
            return None;
        }
        let mut base = 0;
        for up in self.upstream_of(index) {
            let members = self.outputs(up);
            if item < base + members.count {
                return Some((members, base));
            }
            base += members.count;
        }
        None
    }
}

//! A job made again from its manifests, when its rows are lost: they are recalled one by one, and each means what it
//! meant when it was new.
//!
//! Only what the rows alone knew is gone: a wish that was not fulfilled yet, and which tasks were out. Of those, the ones
//! whose messages are still there can be told ([`Recall::handed_out`]); the items of the others are ready again, so nobody
//! may be working on them any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bits::Outcome;
use super::meta::Meta;
use super::retry::{Draw, Spent};
use super::stage::{OutTask, Planned, TaskPhase};
use super::state::{Job, consumers};
use crate::ids::{ItemIndex, StageName};
use crate::limits::SHARD_ITEMS;
use crate::submission::Submission;
use crate::wire::{Manifest, TaskMessage};

/// How far the plan of a stage is, as its plan objects tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecalledPlan {
    /// Items found.
    pub items: u32,
    /// Whether that is all.
    pub complete: bool,
    /// Bytes of input in them; 0 while the plan is not complete.
    pub bytes: u64,
    /// Records in them, where they were counted.
    pub records: Option<u64>,
}

/// A job that is being made again.
#[derive(Debug)]
pub struct Recall {
    job: Job,
    /// Bytes of input of the failed items of the shard in hand, for those that were given another set of attempts.
    failed_bytes: BTreeMap<ItemIndex, u64>,
    in_hand: Option<(usize, u32)>,
}

impl Recall {
    /// Begins with what was submitted and what was planned.
    pub fn new(submission: Arc<Submission>, plans: &BTreeMap<StageName, RecalledPlan>) -> Self {
        let mut job = Job::new(submission);
        for (stage, plan) in plans {
            if let Some(index) = job.index_of(stage) {
                let RecalledPlan { items, complete, bytes, records } = *plan;
                job.stages[index].planned = Planned { items, complete, bytes, records };
            }
        }
        job.derive();
        // Stages are recalled one by one: what one means to another is derived when all of them are.
        job.consumers.iter_mut().for_each(Vec::clear);
        job.stages.iter_mut().for_each(|book| book.gather = None);
        Self { job, failed_bytes: BTreeMap::new(), in_hand: None }
    }

    /// The shards of a stage in which there can be manifests.
    pub fn shards_of(&self, stage: &StageName) -> u32 {
        self.job.index_of(stage).map_or(0, |index| self.job.stages[index].planned.items.div_ceil(SHARD_ITEMS))
    }

    /// Recalls how an attempt ended. Those of a shard come one after the other, ascending by attempt. An error says what
    /// contradicts what was recalled before: such a job cannot be made again.
    pub fn ended(&mut self, manifest: &Manifest, now_ms: u64, draw: Draw<'_>) -> Result<(), String> {
        let place = |why: String| format!("manifest {} of {}: {why}", manifest.key(), manifest.stage);
        let index = self.job.index_of(&manifest.stage).ok_or_else(|| place("there is no such stage".into()))?;
        self.take_in_hand(index, manifest.first);
        let set = self.job.place_of(manifest.params.clone());
        self.bring_out(index, manifest.first, manifest.count, manifest.attempt, set).map_err(place)?;
        self.job.check(index, manifest).map_err(place)?;
        if let Some(task) = self.job.stages[index].take_out(manifest.first) {
            self.job.tally(index, manifest);
            // Of those that lost nothing is left.
            self.job.stages[index].tally_mut(manifest.first).copies.started += u64::from(manifest.copy > 0);
            self.job.commit(index, manifest);
            let pieces = self.job.judge(index, manifest, &task, now_ms, draw);
            self.job.put_out_pieces(index, &task, pieces);
        }
        for failed in &manifest.failed {
            self.failed_bytes.extend((failed.first..failed.first + failed.count).map(|item| (item, failed.bytes_in)));
        }
        Ok(())
    }

    /// Takes in a message of a task that has no manifest, after all manifests of its shard: the task is out, as it was.
    pub fn handed_out(&mut self, task: &TaskMessage) -> Result<(), String> {
        let place = |why: String| format!("the message of {} of {}: {why}", task.key(), task.stage);
        let index = self.job.index_of(&task.stage).ok_or_else(|| place("there is no such stage".into()))?;
        self.take_in_hand(index, task.first);
        let set = self.job.place_of(task.params.clone());
        self.bring_out(index, task.first, task.count, task.attempt, set).map_err(place)?;
        if let Some(out) = self.job.stages[index].out.get_mut(&task.first) {
            out.phase = TaskPhase::Unknown;
            out.copies = task.copy;
            (out.spent.failures, out.spent.memory_factor) = (task.failures, task.memory_factor);
        }
        Ok(())
    }

    /// The job, all of whose rows are to be written. It stands where `meta` says; the parameters that redrives have set are
    /// those that were recalled.
    pub fn finish(mut self, meta: Meta) -> Job {
        let job = &mut self.job;
        job.consumers = consumers(&job.submission.pipeline);
        job.meta = Meta { sets: std::mem::take(&mut job.meta.sets), ..meta };
        job.derive();
        self.job
    }

    fn take_in_hand(&mut self, index: usize, item: ItemIndex) {
        let place = Some((index, item / SHARD_ITEMS));
        if self.in_hand != place {
            self.in_hand = place;
            self.failed_bytes.clear();
        }
    }

    /// Records that a task was out: in place of what these items were before.
    fn bring_out(
        &mut self,
        index: usize,
        first: ItemIndex,
        count: u32,
        attempt: u32,
        set: Option<u32>,
    ) -> Result<(), String> {
        let book = &mut self.job.stages[index];
        let end = first.checked_add(count).filter(|end| *end <= book.planned.items && *end > first);
        let end =
            end.ok_or_else(|| format!("its {count} items are not all among the {} planned", book.planned.items))?;
        if (end - 1) / SHARD_ITEMS != first / SHARD_ITEMS {
            return Err(format!("its {count} items reach into another shard"));
        }
        if book.outcomes.ok.range_cardinality(first..end) > 0 {
            return Err("items of it were committed before".into());
        }
        let spent = self.cut_out(index, first, end, attempt)?;
        self.revive(index, first, end);
        let spent = spent.unwrap_or_default();
        self.job.stages[index].put_out(OutTask { spent, set, ..OutTask::due(first, count, attempt) });
        Ok(())
    }

    /// Takes some items out of the tasks that were out; answers what was spent on the first of them.
    fn cut_out(
        &mut self,
        index: usize,
        first: ItemIndex,
        end: ItemIndex,
        attempt: u32,
    ) -> Result<Option<Spent>, String> {
        let book = &mut self.job.stages[index];
        let before = book.out.range(..first).next_back().map(|(_, task)| task);
        let touched = before.into_iter().chain(book.out.range(first..end).map(|(_, task)| task));
        let cut: Vec<OutTask> = touched.filter(|task| task.first + task.count > first).cloned().collect();
        if let Some(later) = cut.iter().find(|task| task.attempt > attempt) {
            return Err(format!("{} has come after it", later.key()));
        }
        for task in &cut {
            book.take_out(task.first);
            let task_end = task.first + task.count;
            if task.first < first {
                book.put_out(OutTask { count: first - task.first, ..task.clone() });
            }
            if task_end > end {
                book.put_out(OutTask { first: end, count: task_end - end, ..task.clone() });
            }
        }
        Ok(cut.first().map(|task| task.spent))
    }

    /// Items that were given up on have got another set of attempts since.
    fn revive(&mut self, index: usize, first: ItemIndex, end: ItemIndex) {
        for item in first..end {
            let outcomes = &mut self.job.stages[index].outcomes;
            if outcomes.of(Outcome::Dead).remove(item) || outcomes.of(Outcome::Skipped).remove(item) {
                let bytes_in = self.failed_bytes.remove(&item).unwrap_or(0);
                let tally = self.job.stages[index].tally_mut(item);
                tally.bytes_in = tally.bytes_in.saturating_sub(bytes_in);
            }
        }
    }
}

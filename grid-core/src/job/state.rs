//! A job as a whole: its stages, and where it stands.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::stage::{OutTask, StageBook, StageView};
use crate::ids::{ItemIndex, StageName};
use crate::items::source::count_of_computed;
use crate::pipeline::{ItemSource, OnFailure, Pipeline, Stage};
use crate::submission::Submission;
use crate::units::Allowance;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Accepted; its items are being planned and executed.
    Running,
    /// Somebody wished that nothing more of it be handed out; what runs goes on to its end.
    Paused,
    /// Every item has ended; the receipt is being made.
    Committing,
    /// Done, within the limits that the pipeline sets, and the receipt balances.
    Succeeded,
    /// A stage failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// The grid cannot go on with it; the job's message says why.
    Quarantined,
}

impl JobState {
    /// The word used in rows, documents and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Committing => "committing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Quarantined => "quarantined",
        }
    }

    /// Whether what its tasks commit is counted.
    pub fn is_under_way(self) -> bool {
        match self {
            Self::Running | Self::Paused => true,
            Self::Committing | Self::Succeeded | Self::Failed | Self::Cancelled | Self::Quarantined => false,
        }
    }

    /// Whether nothing will happen any more by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Committing => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Quarantined => true,
        }
    }
}

/// A job in the hands of the manager that leads.
#[derive(Clone, Debug)]
pub struct Job {
    pub(super) submission: Arc<Submission>,
    /// Where it stands.
    pub(super) meta: Meta,
    /// Whether that has to be written.
    pub(super) dirty: bool,
    pub(super) stages: Vec<StageBook>,
    /// For each stage, the stages that take data from it.
    pub(super) consumers: Vec<Vec<usize>>,
    /// Set once a stage has failed: what the pipeline says about the rest.
    pub(super) stopping: Option<OnFailure>,
    /// Its budget is spent: why nothing more of it is handed out. Not written down: whoever hands out finds it again.
    pub(super) spent: Option<String>,
}

impl Job {
    /// A job that was just accepted. What can be known without looking at anything is planned already.
    pub fn new(submission: Arc<Submission>) -> Self {
        let pipeline = &submission.pipeline;
        let mut job = Self {
            meta: Meta::new(&pipeline.name),
            dirty: true,
            stages: vec![StageBook::default(); pipeline.stages.len()],
            consumers: consumers(pipeline),
            stopping: None,
            spent: None,
            submission,
        };
        for index in 0..job.stages.len() {
            job.stages[index].dirty = true;
            if let Some(items) = count_of_computed(&job.spec(index).items) {
                let planned = &mut job.stages[index].planned;
                (planned.items, planned.complete) = (u32::try_from(items).unwrap_or(u32::MAX), true);
            }
        }
        job.derive();
        job
    }

    /// What was submitted.
    pub fn submission(&self) -> &Arc<Submission> {
        &self.submission
    }

    /// Where it stands.
    pub fn state(&self) -> JobState {
        self.meta.state
    }

    /// How often failed items of it were run again.
    pub fn round(&self) -> u32 {
        self.meta.round
    }

    /// Why it stands there, where that needs a word.
    pub fn message(&self) -> Option<&str> {
        self.meta.message.as_deref()
    }

    /// When it came to an end, Unix milliseconds.
    pub fn finished_ms(&self) -> Option<u64> {
        self.meta.finished_ms
    }

    /// The numbers of every stage, in the order of the pipeline.
    pub fn view(&self) -> Vec<StageView> {
        self.stages.iter().map(StageBook::view).collect()
    }

    /// Tasks that have not ended, with their stage.
    pub fn out(&self) -> impl Iterator<Item = (&StageName, &OutTask)> {
        let names = self.submission.pipeline.stages.iter().map(|stage| &stage.name);
        names.zip(&self.stages).flat_map(|(name, book)| book.out.values().map(move |task| (name, task)))
    }

    /// The outputs of a stage that others read, `(first, count)`: its items, or the root of a tree of combiners.
    /// Final once the stage is planned.
    pub fn output_items(&self, stage: &StageName) -> Option<(ItemIndex, u32)> {
        self.index_of(stage).map(|index| self.outputs_of(index))
    }

    /// The attempts that committed the items of a stage.
    pub fn committed(&self, stage: &StageName) -> Option<&super::Committed> {
        self.index_of(stage).map(|index| &self.stages[index].committed)
    }

    /// Whether an item was committed.
    pub fn is_ok(&self, stage: &StageName, item: ItemIndex) -> bool {
        self.index_of(stage).is_some_and(|index| self.stages[index].outcomes.ok.contains(item))
    }

    /// The items of a stage that were committed.
    pub fn ok_items(&self, stage: &StageName) -> roaring::RoaringBitmap {
        self.index_of(stage).map_or_else(Default::default, |index| self.stages[index].outcomes.ok.clone())
    }

    /// The items of a stage that were given up on, ascending.
    pub fn dead(&self, stage: &StageName) -> Vec<ItemIndex> {
        self.index_of(stage).map_or_else(Vec::new, |index| self.stages[index].outcomes.dead.iter().collect())
    }

    /// The items of a stage that were left out, ascending.
    pub fn skipped(&self, stage: &StageName) -> Vec<ItemIndex> {
        self.index_of(stage).map_or_else(Vec::new, |index| self.stages[index].outcomes.skipped.iter().collect())
    }

    pub(super) fn spec(&self, index: usize) -> &Stage {
        &self.submission.pipeline.stages[index]
    }

    pub(super) fn index_of(&self, stage: &StageName) -> Option<usize> {
        self.submission.pipeline.position(stage)
    }

    pub(super) fn upstream_of(&self, index: usize) -> Vec<usize> {
        self.spec(index).items.upstream().iter().filter_map(|name| self.index_of(name)).collect()
    }

    pub(super) fn outputs_of(&self, index: usize) -> (ItemIndex, u32) {
        let items = self.stages[index].planned.items;
        match self.spec(index).items {
            ItemSource::All { .. } => (items.saturating_sub(1), items.min(1)),
            _ => (0, items),
        }
    }

    /// Whether more items of a stage were given up on than the pipeline allows.
    pub fn is_failed(&self, stage: &StageName) -> bool {
        self.index_of(stage).is_some_and(|index| self.has_failed(index))
    }

    /// As [`Job::is_failed`], by the stage's place.
    pub(super) fn has_failed(&self, index: usize) -> bool {
        self.has_more_dead_than(index, self.spec(index).skip)
    }

    /// Whether more items of a stage were given up on than are allowed. A share is judged once it is known of how many.
    pub(super) fn has_more_dead_than(&self, index: usize, allowed: Allowance) -> bool {
        let book = &self.stages[index];
        let is_judged = book.planned.complete || matches!(allowed, Allowance::Items(_));
        is_judged && book.outcomes.dead.len() > allowed.of(u64::from(book.planned.items))
    }
}

pub(super) fn consumers(pipeline: &Pipeline) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); pipeline.stages.len()];
    for (reader, stage) in pipeline.stages.iter().enumerate() {
        for name in stage.items.upstream() {
            if let Some(read) = pipeline.position(name)
                && !consumers[read].contains(&reader)
            {
                consumers[read].push(reader);
            }
        }
    }
    consumers
}

//! One job, opened for reading.

use std::ops::Range;
use std::sync::Arc;

use grid_api::{JobStatus, Receipt, StageStatus};
use grid_core::ids::{AttemptKey, ItemIndex, JobId, StageName};
use grid_core::items::Key;
use grid_core::job::Job;
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::{ItemSource, Stage};
use grid_core::split::Slice;
use grid_core::submission::Submission;
use grid_core::wire::{OutputRef, TaskMessage};
use infra::objects::ObjectStore;
use infra::outputs::{Committed, OutputReader};
use infra::plan::PlanReader;
use infra::{Grid, Result};

use super::attempts::ended_attempts;
use super::dead::DeadLetters;
use super::fates::Fates;
use super::keys::Keys;
use crate::ManagerError;
use crate::control::read_state;
use crate::finish::read_receipt;
use crate::planning::regroup;
use crate::status::status_of;
use crate::table::JobTable;

/// One job, opened for reading.
#[derive(Debug)]
pub struct JobView {
    /// As it was submitted.
    pub submission: Arc<Submission>,
    /// As it stood when it was opened.
    pub status: JobStatus,
    job: Job,
    objects: Arc<dyn ObjectStore>,
    outputs: OutputReader,
    keys: Keys,
}

impl JobView {
    /// Opens a job as it stands now.
    pub async fn open(grid: &Grid, job: &JobId) -> std::result::Result<Self, ManagerError> {
        Ok(Self::of(grid, JobTable::load(grid, job).await?.job))
    }

    /// Opens a job as far as what one item has committed goes, and reads nothing of the others: its status and counts are not the
    /// job's. `None` where it has no such stage.
    pub(crate) async fn open_around(
        grid: &Grid,
        job: &JobId,
        stage: &StageName,
        item: ItemIndex,
    ) -> std::result::Result<Option<Self>, ManagerError> {
        Ok(JobTable::load_around(grid, job, stage, item).await?.map(|table| Self::of(grid, table.job)))
    }

    fn of(grid: &Grid, job: Job) -> Self {
        Self {
            submission: job.submission().clone(),
            status: status_of(&job),
            objects: grid.objects.clone(),
            outputs: OutputReader::new(grid.objects.clone()),
            keys: Keys::new(grid.objects.clone()),
            job,
        }
    }

    /// The job.
    pub fn id(&self) -> &JobId {
        &self.submission.job
    }

    /// The stage's status.
    pub fn stage_status(&self, stage: &StageName) -> Option<&StageStatus> {
        self.status.stages.iter().find(|status| status.name == *stage)
    }

    /// The items of a stage that others read and that are delivered: all, or the root of a tree of combiners.
    pub fn output_items(&self, stage: &StageName) -> Range<ItemIndex> {
        let (first, count) = self.job.output_items(stage).unwrap_or((0, 0));
        first..first.saturating_add(count)
    }

    /// How many of those are committed.
    pub fn committed_outputs(&self, stage: &StageName) -> u64 {
        self.output_items(stage).filter(|item| self.job.is_ok(stage, *item)).count() as u64
    }

    /// Reads what its items wrote.
    pub fn outputs(&self) -> &OutputReader {
        &self.outputs
    }

    /// The attempts that hold the committed items among `items`, ascending; perhaps a few more.
    pub fn committed_by(&self, stage: &StageName, items: Range<ItemIndex>) -> Vec<AttemptKey> {
        self.job.committed(stage).map_or_else(Vec::new, |committed| committed.covering(items))
    }

    /// The manifest of an attempt.
    pub async fn manifest(&self, stage: &StageName, attempt: AttemptKey) -> Result<Arc<Committed>> {
        self.outputs.manifest(self.id(), &OutputRef { stage: stage.clone(), key: attempt }).await
    }

    /// Whether an item's task is out, and was copied because it is slow.
    pub fn is_copied(&self, stage: &StageName, item: ItemIndex) -> bool {
        let mut tasks = self.job.out().filter(|(of, _)| *of == stage).map(|(_, task)| task);
        tasks.any(|task| task.copies > 0 && (task.first..task.first.saturating_add(task.count)).contains(&item))
    }

    /// What became of the items of a stage.
    pub fn fates(&self, stage: &StageName) -> Fates<'_> {
        Fates::new(&self.job, stage)
    }

    /// The keys of items `first .. first + count`.
    pub async fn keys(&self, stage: &StageName, first: ItemIndex, count: u32) -> Result<Vec<Key>> {
        self.keys.of(&self.job, stage, first, count).await
    }

    /// Items found so far.
    pub fn items(&self, stage: &StageName) -> u32 {
        self.stage_status(stage).map_or(0, |status| u32::try_from(status.items).unwrap_or(u32::MAX))
    }

    /// The attempts that have tried an item, ascending, each with its manifest.
    pub async fn attempts(&self, stage: &StageName, item: ItemIndex) -> Result<Vec<Arc<Committed>>> {
        let mut found = Vec::new();
        for key in self.ended_attempts(stage, item / SHARD_ITEMS).await? {
            if key.first > item {
                break;
            }
            let manifest = self.manifest(stage, key).await?;
            if item - key.first < manifest.manifest.count {
                found.push(manifest);
            }
        }
        found.sort_by_key(|manifest| manifest.manifest.attempt);
        Ok(found)
    }

    /// The attempts at tasks of one shard that have ended, ascending by first item, then by attempt.
    pub async fn ended_attempts(&self, stage: &StageName, shard: u32) -> Result<Vec<AttemptKey>> {
        ended_attempts(&*self.objects, self.id(), stage, shard).await
    }

    /// The items of a stage that were given up on, one after the other.
    pub fn dead_letters(&self, stage: &StageName) -> DeadLetters<'_> {
        self.dead_letters_of(stage, self.dead_items(stage))
    }

    /// The items of a stage that were given up on, ascending.
    pub fn dead_items(&self, stage: &StageName) -> Vec<ItemIndex> {
        self.job.dead(stage)
    }

    /// The dead letters of these items, ascending, all of which were given up on.
    pub fn dead_letters_of(&self, stage: &StageName, items: Vec<ItemIndex>) -> DeadLetters<'_> {
        DeadLetters::new(self, stage.clone(), items)
    }

    /// The slice that is an item's input; `None` when its stage does not split an input.
    pub async fn slice(&self, stage: &Stage, item: ItemIndex) -> Result<Option<Slice>> {
        match &stage.items {
            ItemSource::Split(_) => {
                PlanReader::new(self.objects.clone()).slice(self.id(), &stage.name, item).await.map(Some)
            }
            ItemSource::Matrix(_)
            | ItemSource::Range(_)
            | ItemSource::List(_)
            | ItemSource::Each(_)
            | ItemSource::Group { .. }
            | ItemSource::All { .. } => Ok(None),
        }
    }

    /// One item as a task of its own, to be run outside of the protocol; `None` when there is no such item yet.
    pub async fn task_of(&self, grid: &Grid, stage: &StageName, item: ItemIndex) -> Result<Option<TaskMessage>> {
        let attempt = self.attempts(stage, item).await?.last().map_or(1, |last| last.manifest.attempt);
        let mut job = self.job.clone();
        regroup(grid, &mut job).await?;
        Ok(job.task_of(stage, item, attempt))
    }

    /// The objects of the grid that the job is on.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The balance: as it was written when the job ended; `None` before.
    pub async fn receipt(&self) -> Result<Option<Receipt>> {
        read_receipt(&*self.objects, self.id(), self.job.round()).await
    }
}

/// The balance of a job: as it was written when the job ended; `None` before. That of a round before the job ran again is kept
/// in the bucket, and is not this.
pub async fn receipt(grid: &Grid, job: &JobId) -> std::result::Result<Option<Receipt>, ManagerError> {
    let round = read_state(grid, job).await?.map_or(0, |meta| meta.round);
    Ok(read_receipt(&*grid.objects, job, round).await?)
}

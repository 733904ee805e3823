//! One job, made again.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::job::{Job, JobState, Recall};
use grid_core::layout;
use grid_core::random::Random;
use infra::{ErrorKind, Grid};

use super::handed::Handed;
use super::{RebuildConfig, RebuiltJob, Unfinished, bucket, patiently, table};
use crate::ManagerError;
use crate::objects::read_manifest;
use crate::planning::regroup;
use crate::table::read_submission;
use crate::view::ended_attempts;

/// Manifests that are read at the same time.
const READ_AHEAD: usize = 16;

/// Makes one job again and writes its rows; `None` when there is no such job, but only files that were meant for one.
pub(super) async fn rebuild_job(
    grid: &Grid,
    config: &RebuildConfig,
    epoch: u64,
    handed: &Handed,
    id: &JobId,
) -> Result<Option<RebuiltJob>, ManagerError> {
    let submission = match patiently(async || read_submission(grid, id).await).await {
        Err(ManagerError::Store(error)) if error.kind == ErrorKind::NotFound => return Ok(None),
        read => Arc::new(read?),
    };
    let mut meta = patiently(async || bucket::standing(grid, &submission).await).await?;
    let plans = bucket::plans(grid, &submission).await?;
    let mut recall = Recall::new(submission.clone(), &plans);
    let mut manifests = 0;
    for stage in submission.pipeline.stages.iter().map(|stage| &stage.name) {
        for shard in 0..recall.shards_of(stage) {
            manifests += recall_shard(grid, &mut recall, id, stage, shard).await?;
            if meta.state.is_under_way() {
                recall_handed(grid, &mut recall, handed, id, stage, shard).await?;
            }
        }
    }
    if meta.state == JobState::Running && config.unfinished == Unfinished::Pause {
        meta.state = JobState::Paused;
    }
    let mut job = recall.finish(meta);
    patiently(async || Ok(regroup(grid, &mut job).await?)).await?;
    let (state, rows) = (job.state(), patiently(async || table::write_job(grid, epoch, &job).await).await?);
    Ok(Some(RebuiltJob { job: id.clone(), state, manifests, rows }))
}

/// Recalls the manifests of a shard, in the order in which they can only have come; answers how many.
async fn recall_shard(
    grid: &Grid,
    recall: &mut Recall,
    job: &JobId,
    stage: &StageName,
    shard: u32,
) -> Result<u64, ManagerError> {
    let objects = grid.objects.as_ref();
    let mut keys = patiently(async || Ok(ended_attempts(objects, job, stage, shard).await?)).await?;
    keys.sort_unstable_by_key(|key| (key.attempt, key.first));
    // Waits that are drawn again are drawn alike, however often a table is made again.
    let mut random = Random::from_seed(u64::from(shard));
    let now_ms = grid.clock.now_ms();
    let count = keys.len() as u64;
    let mut manifests = stream::iter(keys)
        .map(|key| patiently(async move || read_manifest(grid, job, stage, key).await))
        .buffered(READ_AHEAD);
    while let Some(manifest) = manifests.try_next().await? {
        let Some(manifest) = manifest else { continue };
        recall.ended(&manifest, now_ms, &mut || random.unit()).map_err(|why| contradiction(job, why))?;
    }
    Ok(count)
}

/// Recalls the tasks of a shard whose messages wait and that have not ended.
async fn recall_handed(
    grid: &Grid,
    recall: &mut Recall,
    handed: &Handed,
    job: &JobId,
    stage: &StageName,
    shard: u32,
) -> Result<(), ManagerError> {
    for task in handed.of(job, stage, shard) {
        if has_ended(grid, job, stage, task.key()).await? {
            continue;
        }
        // Such a message is of no task of this job: a copy of an old one, or nobody's.
        if let Err(why) = recall.handed_out(task) {
            tracing::warn!(%job, why, "a message is left alone");
        }
    }
    Ok(())
}

async fn has_ended(grid: &Grid, job: &JobId, stage: &StageName, key: AttemptKey) -> Result<bool, ManagerError> {
    let key = layout::manifest(job, stage, key);
    patiently(async || bucket::exists(grid, &key).await).await
}

fn contradiction(job: &JobId, why: String) -> ManagerError {
    ManagerError::Damaged { what: format!("what was committed of job {job}"), source: why.into() }
}

/// Whether somebody has to look after a job.
pub(super) fn is_active(job: &Job) -> bool {
    !job.state().is_final() || job.owed().is_some()
}

//! What the bucket tells of jobs.

use std::collections::BTreeMap;

use grid_core::ids::{JobId, StageName};
use grid_core::items::plan::PlanSummary;
use grid_core::job::{Ended, Ending, JobState, Meta, RecalledPlan, Redrive};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::{ItemSource, List};
use grid_core::submission::Submission;
use infra::plan::{PlanReader, PlannedItems};
use infra::{ErrorKind, Grid};

use super::patiently;
use crate::ManagerError;
use crate::finish::{ended, read_receipt};

/// The job whose files come next in the bucket, after those of `last`. Asks only for the first file of each.
pub(super) async fn next_job(grid: &Grid, last: Option<&JobId>) -> Result<Option<JobId>, ManagerError> {
    // `0` comes right after `/`, and so behind everything that lies in the folder.
    let after = last.map(|job| format!("{}0", layout::job_folder(job).trim_end_matches('/')));
    let found = grid.objects.list(layout::JOBS, after.as_deref(), 1).await?;
    let id = found.first().and_then(|meta| meta.key[layout::JOBS.len()..].split('/').next());
    Ok(id.map(JobId::new))
}

/// How far the plans of a job's stages are, as far as they are written down.
pub(super) async fn plans(
    grid: &Grid,
    submission: &Submission,
) -> Result<BTreeMap<StageName, RecalledPlan>, ManagerError> {
    let mut plans = BTreeMap::new();
    for stage in &submission.pipeline.stages {
        let plan = match &stage.items {
            ItemSource::Split(_) | ItemSource::List(List::File(_)) => {
                patiently(async || plan(grid, &submission.job, &stage.name).await).await?
            }
            // Its items are known when all of them are.
            ItemSource::Group { .. } => patiently(async || summary(grid, &submission.job, &stage.name).await).await?,
            ItemSource::Matrix(_)
            | ItemSource::Range(_)
            | ItemSource::List(List::Inline(_))
            | ItemSource::Each(_)
            | ItemSource::All { .. } => None,
        };
        plans.extend(plan.map(|plan| (stage.name.clone(), plan)));
    }
    Ok(plans)
}

async fn summary(grid: &Grid, job: &JobId, stage: &StageName) -> Result<Option<RecalledPlan>, ManagerError> {
    match PlanReader::new(grid.objects.clone()).summary(job, stage).await {
        Ok(PlanSummary { items, bytes, records, .. }) => {
            Ok(Some(RecalledPlan { items, complete: true, bytes, records }))
        }
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn plan(grid: &Grid, job: &JobId, stage: &StageName) -> Result<Option<RecalledPlan>, ManagerError> {
    if let Some(plan) = summary(grid, job, stage).await? {
        return Ok(Some(plan));
    }
    // Chunks are written one after the other, and all but the last are full.
    let mut chunks = 0;
    while exists(grid, &layout::plan_chunk(job, stage, chunks)).await? {
        chunks += 1;
    }
    let Some(last) = chunks.checked_sub(1) else { return Ok(None) };
    let items = match &*PlanReader::new(grid.objects.clone()).chunk(job, stage, last).await? {
        PlannedItems::Slices(slices) => slices.len(),
        PlannedItems::Values(values) => values.len(),
        PlannedItems::Groups(groups) => groups.len(),
    };
    let items = last.saturating_mul(SHARD_ITEMS).saturating_add(items as u32);
    Ok(Some(RecalledPlan { items, ..RecalledPlan::default() }))
}

/// Where a job stands, in its newest round: by the receipt of that, or by the tombstone that comes right before it. Without
/// either it is under way; what the round runs again is wished again.
pub(super) async fn standing(grid: &Grid, submission: &Submission) -> Result<Meta, ManagerError> {
    let job = &submission.job;
    let mut meta = Meta::new(&submission.pipeline.name);
    // A round begins when the receipt of the one before it is there.
    while let Some(receipt) = read_receipt(grid.objects.as_ref(), job, meta.round).await? {
        let damaged = |error| ManagerError::damaged(layout::receipt(job, meta.round), error);
        let Ended { state, message, finished_ms } = ended(receipt).map_err(damaged)?;
        meta = Meta { state, message, finished_ms: Some(finished_ms), ..meta };
        meta.round += 1;
    }
    if exists(grid, &layout::tombstone(job, meta.round)).await? {
        let message = Some("it was being stopped when the state table was lost".to_owned());
        let (finished_ms, owed) = (Some(grid.clock.now_ms()), Some(Ending::Stop));
        return Ok(Meta { state: JobState::Cancelled, message, finished_ms, owed, ..meta });
    }
    let Some(ended_round) = meta.round.checked_sub(1) else { return Ok(meta) };
    match read_redrive(grid, job, meta.round).await? {
        None => Ok(Meta { round: ended_round, ..meta }),
        Some(redrive) => {
            let again = Meta::new(&submission.pipeline.name);
            Ok(Meta { redrive: Some(redrive), round: meta.round, ..again })
        }
    }
}

async fn read_redrive(grid: &Grid, job: &JobId, round: u32) -> Result<Option<Redrive>, ManagerError> {
    let key = layout::redrive(job, round);
    match grid.objects.get(&key, None).await {
        Ok(body) => serde_json::from_slice(&body).map(Some).map_err(|error| ManagerError::damaged(key, error)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn exists(grid: &Grid, key: &str) -> Result<bool, ManagerError> {
    match grid.objects.head(key).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

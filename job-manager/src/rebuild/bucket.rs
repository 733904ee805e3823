//! What the bucket tells of jobs.

use std::collections::BTreeMap;

use grid_api::Receipt;
use grid_core::ids::{JobId, StageName};
use grid_core::items::plan::PlanSummary;
use grid_core::job::{Ending, JobState, RecalledPlan, Standing};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::{ItemSource, List};
use grid_core::submission::Submission;
use infra::plan::{PlanReader, PlannedItems};
use infra::{ErrorKind, Grid};

use super::patiently;
use crate::ManagerError;

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

/// Where a job stands that has come to an end: by its receipt, or by the tombstone that comes right before it. `None`
/// while it is under way.
pub(super) async fn standing(grid: &Grid, job: &JobId) -> Result<Option<Standing>, ManagerError> {
    let key = layout::receipt(job);
    match grid.objects.get(&key, None).await {
        Ok(body) => {
            let receipt: Receipt = serde_json::from_slice(&body).map_err(|error| ManagerError::damaged(&key, error))?;
            let finished: jiff::Timestamp =
                receipt.finished.parse().map_err(|error: jiff::Error| ManagerError::damaged(&key, error))?;
            Ok(Some(Standing {
                state: receipt.state,
                message: receipt.message,
                finished_ms: u64::try_from(finished.as_millisecond()).ok(),
                owed: None,
            }))
        }
        Err(error) if error.kind == ErrorKind::NotFound => stopped(grid, job).await,
        Err(error) => Err(error.into()),
    }
}

async fn stopped(grid: &Grid, job: &JobId) -> Result<Option<Standing>, ManagerError> {
    if !exists(grid, &layout::tombstone(job)).await? {
        return Ok(None);
    }
    let message = Some("it was being stopped when the state table was lost".to_owned());
    let (state, owed) = (JobState::Cancelled, Some(Ending::Stop));
    Ok(Some(Standing { state, message, finished_ms: Some(grid.clock.now_ms()), owed }))
}

pub(super) async fn exists(grid: &Grid, key: &str) -> Result<bool, ManagerError> {
    match grid.objects.head(key).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

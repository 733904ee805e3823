//! Taking a job up again that has failed: only its failed items run again.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::job::{Job, LastAttempt};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use infra::Grid;

use crate::ManagerError;
use crate::desk::read_manifest;
use crate::planning::regroup;
use crate::view::ended_attempts;

/// Gives every item that may be run again a new set of attempts, and removes the tombstone of an earlier end.
pub(crate) async fn redrive(grid: &Grid, job: &mut Job) -> Result<(), ManagerError> {
    let submission = job.submission().clone();
    regroup(grid, job).await?;
    let mut wanted: BTreeMap<(StageName, u32), BTreeSet<ItemIndex>> = BTreeMap::new();
    for (stage, item) in job.redrivable() {
        wanted.entry((stage, item / SHARD_ITEMS)).or_default().insert(item);
    }
    let mut last = BTreeMap::new();
    for ((stage, shard), items) in wanted {
        last.extend(last_attempts(grid, &submission.job, &stage, shard, &items).await?);
    }
    tracing::info!(job = %submission.job, items = last.len(), "running failed items again");
    grid.objects.delete(&layout::tombstone(&submission.job)).await?;
    job.redrive(&last);
    Ok(())
}

/// The last attempts of some items of a shard, out of its manifests.
async fn last_attempts(
    grid: &Grid,
    job: &JobId,
    stage: &StageName,
    shard: u32,
    items: &BTreeSet<ItemIndex>,
) -> Result<BTreeMap<(StageName, ItemIndex), LastAttempt>, ManagerError> {
    let mut last: BTreeMap<(StageName, ItemIndex), LastAttempt> = BTreeMap::new();
    for key in ended_attempts(grid.objects.as_ref(), job, stage, shard).await? {
        let Some(manifest) = read_manifest(grid, job, stage, key).await? else { continue };
        for failed in &manifest.failed {
            for item in items.range(failed.first..failed.first + failed.count) {
                let entry = last.entry((stage.clone(), *item)).or_insert(LastAttempt { attempt: 0, bytes_in: 0 });
                if manifest.attempt > entry.attempt {
                    *entry = LastAttempt { attempt: manifest.attempt, bytes_in: failed.bytes_in };
                }
            }
        }
    }
    Ok(last)
}

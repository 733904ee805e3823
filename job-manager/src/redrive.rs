//! Running failed items of a job again that has ended.

use std::collections::{BTreeMap, BTreeSet};

use grid_core::filter::{FailedItem, Filter};
use grid_core::ids::{ItemIndex, StageName};
use grid_core::job::{Job, LastAttempt};
use grid_core::layout;
use grid_core::limits::SHARD_ITEMS;
use grid_core::reason::Failure;
use infra::Grid;

use crate::ManagerError;
use crate::objects::{create_once, read_manifest};
use crate::planning::regroup;
use crate::submit::encode;
use crate::view::{Keys, ended_attempts};

/// Items with their last attempts.
type LastAttempts = BTreeMap<(StageName, ItemIndex), LastAttempt>;

/// Fulfils the wish that failed items run again: each gets a new set of attempts, in a round of its own. What the rounds before
/// have left stays as it is. `Ok(false)` where there is no such wish.
pub(crate) async fn redrive(grid: &Grid, job: &mut Job) -> Result<bool, ManagerError> {
    let Some(wish) = job.wished_redrive().cloned() else { return Ok(false) };
    let id = job.submission().job.clone();
    // By this whoever has only the bucket knows that the job runs again, and how.
    create_once(grid, &layout::redrive(&id, job.round()), encode(&wish)).await?;
    regroup(grid, job).await?;
    let last = meant(grid, job, wish.filter.as_ref()).await?;
    tracing::info!(job = %id, round = job.round(), items = last.len(), "running failed items again");
    job.redrive(&last);
    Ok(true)
}

/// The failed items of a job that are meant, of those that may be run again. The groups of the job must be known.
pub(crate) async fn meant(grid: &Grid, job: &Job, filter: Option<&Filter>) -> Result<LastAttempts, ManagerError> {
    let mut shards: BTreeMap<(StageName, u32), BTreeSet<ItemIndex>> = BTreeMap::new();
    for (stage, item) in job.redrivable() {
        shards.entry((stage, item / SHARD_ITEMS)).or_default().insert(item);
    }
    let keys = Keys::new(grid.objects.clone());
    let mut meant = LastAttempts::new();
    for ((stage, shard), items) in shards {
        for (item, (attempt, failure)) in last_attempts(grid, job, &stage, shard, &items).await? {
            let is_meant = match filter {
                None => true,
                Some(filter) => {
                    let key = keys.of(job, &stage, item, 1).await?.pop().unwrap_or_default();
                    filter.matches(&FailedItem { stage: stage.as_str(), key: &key, failure: &failure })
                }
            };
            if is_meant {
                meant.insert((stage.clone(), item), attempt);
            }
        }
    }
    Ok(meant)
}

/// The last attempts of some items of a shard, and why they failed, out of its manifests.
async fn last_attempts(
    grid: &Grid,
    job: &Job,
    stage: &StageName,
    shard: u32,
    items: &BTreeSet<ItemIndex>,
) -> Result<BTreeMap<ItemIndex, (LastAttempt, Failure)>, ManagerError> {
    let id = &job.submission().job;
    let mut last: BTreeMap<ItemIndex, (LastAttempt, Failure)> = BTreeMap::new();
    for key in ended_attempts(grid.objects.as_ref(), id, stage, shard).await? {
        let Some(manifest) = read_manifest(grid, id, stage, key).await? else { continue };
        for failed in &manifest.failed {
            let attempt = LastAttempt { attempt: manifest.attempt, bytes_in: failed.bytes_in };
            for item in items.range(failed.first..failed.first.saturating_add(failed.count)) {
                let is_last = last.get(item).is_none_or(|(known, _)| known.attempt < attempt.attempt);
                if is_last {
                    last.insert(*item, (attempt, failed.failure.clone()));
                }
            }
        }
    }
    Ok(last)
}

//! The keys of items, wherever they come from: for workers and managers alike.

use grid_core::ids::{ItemIndex, JobId, StageItems};
use grid_core::items::Key;
use grid_core::items::source::ComputedItems;
use grid_core::limits::SHARD_ITEMS;
use grid_core::submission::Submission;
use grid_core::wire::KeySource;

use crate::plan::{PlanReader, PlannedItems};
use crate::{Error, ErrorKind, Result};

/// The keys that `source` names, in order.
pub async fn keys(plans: &PlanReader, submission: &Submission, source: &KeySource) -> Result<Vec<Key>> {
    let items = match source {
        KeySource::Given(key) => return Ok(vec![key.clone()]),
        KeySource::Items(items) => items,
    };
    let missing = || Error::new(ErrorKind::Invalid, format!("stage {} has no {} items", items.stage, items.count));
    let stage = submission.pipeline.stage(&items.stage).ok_or_else(missing)?;
    let range = items.first..items.first.saturating_add(items.count);
    let keys: Vec<Key> = match ComputedItems::of(&stage.items) {
        Some(computed) => range.map_while(|item| computed.key(item)).collect(),
        None => planned_keys(plans, submission, items).await?,
    };
    if keys.len() == items.count as usize { Ok(keys) } else { Err(missing()) }
}

async fn planned_keys(plans: &PlanReader, submission: &Submission, items: &StageItems) -> Result<Vec<Key>> {
    let mut keys = Vec::with_capacity(items.count as usize);
    let (mut next, end) = (items.first, items.first.saturating_add(items.count));
    while next < end {
        let shard_end = (next / SHARD_ITEMS + 1).saturating_mul(SHARD_ITEMS);
        let until = end.min(shard_end);
        chunk_keys(plans, submission, items, next, until - next, &mut keys).await?;
        next = until;
    }
    Ok(keys)
}

async fn chunk_keys(
    plans: &PlanReader,
    submission: &Submission,
    items: &StageItems,
    first: ItemIndex,
    count: u32,
    keys: &mut Vec<Key>,
) -> Result<()> {
    let job: &JobId = &submission.job;
    let chunk = plans.chunk(job, &items.stage, first / SHARD_ITEMS).await?;
    let place = (first % SHARD_ITEMS) as usize;
    let wanted = place..place + count as usize;
    match &*chunk {
        PlannedItems::Slices(slices) => {
            let files = files_of(submission, items);
            keys.extend(slices.get(wanted).unwrap_or_default().iter().map(|slice| slice.key(files)));
        }
        PlannedItems::Values(values) => {
            keys.extend(values.get(wanted).unwrap_or_default().iter().map(|value| value.key()))
        }
        PlannedItems::Groups(groups) => {
            keys.extend(groups.get(wanted).unwrap_or_default().iter().map(|group| group.key.clone()));
        }
    }
    Ok(())
}

fn files_of<'a>(submission: &'a Submission, items: &StageItems) -> &'a [grid_core::submission::PinnedFile] {
    let stage = submission.pipeline.stage(&items.stage);
    match stage.map(|stage| &stage.items) {
        Some(grid_core::pipeline::ItemSource::Split(split)) => {
            submission.inputs.get(&split.input).map_or(&[], Vec::as_slice)
        }
        _ => &[],
    }
}

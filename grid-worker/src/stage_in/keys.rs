//! What items are called: keys follow from the pipeline, from the plan, or from the items upstream.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use grid_core::ids::{ItemIndex, StageName};
use grid_core::items::Key;
use grid_core::items::source::{ComputedItems, count_of_computed, key_of_computed};
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::{ItemSource, List, Stage};
use grid_core::wire::{KeySource, TaskMessage};
use infra::plan::PlannedItems;

use crate::context::{Context, Hindrance};
use crate::jobs::Job;

/// The key of an item by its index in the stage that was asked for.
pub(super) type Keys = Arc<dyn Fn(ItemIndex) -> Key + Send + Sync>;

/// The keys of a task's items.
pub(super) async fn of_task(context: &Context, job: &Job, message: &TaskMessage) -> Result<Keys, Hindrance> {
    match &message.keys {
        KeySource::Given(key) => {
            let key = key.clone();
            Ok(Arc::new(move |_| key.clone()))
        }
        KeySource::Items(items) => {
            let keys = of_items(context, job, &items.stage, items.first, items.count).await?;
            let (from, to) = (message.first, items.first);
            Ok(Arc::new(move |item| keys(item.saturating_sub(from).saturating_add(to))))
        }
    }
}

/// The keys of items `first .. first + count` of a stage.
pub(super) async fn of_items(
    context: &Context,
    job: &Job,
    stage: &StageName,
    first: ItemIndex,
    count: u32,
) -> Result<Keys, Hindrance> {
    let stage = job.stage(stage)?;
    if let (ItemSource::Range(_) | ItemSource::List(List::Inline(_)), Some(known)) =
        (&stage.items, count_of_computed(&stage.items))
    {
        let end = u64::from(first) + u64::from(count);
        if end > known {
            return Err(beyond(stage, first, count));
        }
        let stage = stage.clone();
        return Ok(Arc::new(move |item| key_of_computed(&stage.items, item).unwrap_or_default()));
    }
    let keys = listed(context, job, stage, first, count).await?;
    if keys.len() != count as usize {
        return Err(beyond(stage, first, count));
    }
    Ok(Arc::new(move |item| {
        let place = item.checked_sub(first).and_then(|place| keys.get(place as usize));
        place.cloned().unwrap_or_default()
    }))
}

fn beyond(stage: &Stage, first: ItemIndex, count: u32) -> Hindrance {
    Hindrance::GiveBack(format!("stage {} has no {count} items from item {first} on", stage.name))
}

/// The keys themselves, fewer where there are no such items.
async fn listed(
    context: &Context,
    job: &Job,
    stage: &Arc<Stage>,
    first: ItemIndex,
    count: u32,
) -> Result<Vec<Key>, Hindrance> {
    let mut keys = Vec::new();
    // Follows `each` to where its items come from; a range of them may spread over several stages.
    let mut open = VecDeque::from([(stage.clone(), first, count)]);
    while let Some((stage, first, count)) = open.pop_front() {
        let items = first..first.saturating_add(count);
        match &stage.items {
            ItemSource::Range(_) | ItemSource::List(List::Inline(_)) | ItemSource::Matrix(_) => {
                let computed = ComputedItems::of(&stage.items);
                keys.extend(computed.iter().flat_map(|computed| items.clone().map_while(|item| computed.key(item))));
            }
            ItemSource::Split(_) | ItemSource::List(List::File(_)) | ItemSource::Group { .. } => {
                planned(context, job, &stage, first, count, &mut keys).await?;
            }
            ItemSource::All { .. } => keys.extend(items.map(combiner)),
            ItemSource::Each(upstream) => {
                for (place, part) in parts(context, job, upstream, first, count).await?.into_iter().enumerate() {
                    open.insert(place, part);
                }
            }
        }
    }
    Ok(keys)
}

/// The key of an item of `all` among its like, where only a name is needed: the first is the one that most have.
fn combiner(item: ItemIndex) -> Key {
    match item {
        0 => Key::default(),
        _ => Key(vec![("part".into(), item.to_string())]),
    }
}

async fn planned(
    context: &Context,
    job: &Job,
    stage: &Stage,
    first: ItemIndex,
    count: u32,
    keys: &mut Vec<Key>,
) -> Result<(), Hindrance> {
    let end = first.saturating_add(count);
    let mut next = first;
    while next < end {
        let chunk = super::plan::chunk(context, &job.submission.job, &stage.name, next / SHARD_ITEMS).await?;
        let skip = (next % SHARD_ITEMS) as usize;
        let take = (end - next).min(SHARD_ITEMS - next % SHARD_ITEMS);
        let wanted = skip..skip + take as usize;
        match (&*chunk, &stage.items) {
            (PlannedItems::Slices(slices), ItemSource::Split(split)) => {
                let files = job.submission.inputs.get(&split.input).map_or(&[][..], Vec::as_slice);
                keys.extend(slices.get(wanted).unwrap_or_default().iter().map(|slice| slice.key(files)));
            }
            (PlannedItems::Values(values), _) => {
                keys.extend(values.get(wanted).unwrap_or_default().iter().map(|value| value.key()));
            }
            (PlannedItems::Groups(groups), _) => {
                keys.extend(groups.get(wanted).unwrap_or_default().iter().map(|group| group.key.clone()));
            }
            (PlannedItems::Slices(_), _) => return Err(beyond(stage, first, count)),
        }
        next += take;
    }
    Ok(())
}

/// The upstream items that some items of an `each` stage are: those of its first stage come first, and so on.
async fn parts(
    context: &Context,
    job: &Job,
    upstream: &[StageName],
    first: ItemIndex,
    count: u32,
) -> Result<Vec<(Arc<Stage>, ItemIndex, u32)>, Hindrance> {
    if let [only] = upstream {
        return Ok(vec![(job.stage(only)?.clone(), first, count)]);
    }
    let (mut parts, mut base, end) = (Vec::new(), 0u32, first.saturating_add(count));
    for name in upstream {
        let stage = job.stage(name)?;
        if base >= end {
            break;
        }
        let next = base.saturating_add(count_of(context, job, stage).await?);
        let (from, to) = (first.max(base), end.min(next));
        if from < to {
            parts.push((stage.clone(), from - base, to - from));
        }
        base = next;
    }
    Ok(parts)
}

/// How many items a stage has.
fn count_of<'a>(context: &'a Context, job: &'a Job, stage: &'a Stage) -> BoxFuture<'a, Result<u32, Hindrance>> {
    Box::pin(async move {
        if let Some(count) = count_of_computed(&stage.items) {
            return Ok(u32::try_from(count).unwrap_or(u32::MAX));
        }
        if let ItemSource::Each(upstream) = &stage.items {
            let mut count = 0u32;
            for name in upstream {
                count = count.saturating_add(count_of(context, job, job.stage(name)?).await?);
            }
            return Ok(count);
        }
        if let ItemSource::All { fan_in: None, .. } = &stage.items {
            return Ok(1);
        }
        let id = &job.submission.job;
        let read = context.persist(&context.stop.drain, || context.plans.summary(id, &stage.name)).await;
        read.map(|summary| summary.items).map_err(|error| Hindrance::of("read the summary of a plan", error))
    })
}

//! What items are called: their own keys come with the message; those of upstream items are followed along `each` to
//! where they begin.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::BoxFuture;
use grid_core::ids::{ItemIndex, StageItems, StageName};
use grid_core::items::Key;
use grid_core::items::dims::PART_DIM;
use grid_core::items::source::count_of_computed;
use grid_core::pipeline::{ItemSource, Stage};
use grid_core::wire::{KeySource, TaskMessage};

use crate::context::{Context, Hindrance};
use crate::jobs::Job;

/// The key of an item by its index in its stage.
pub(super) type Keys = Arc<dyn Fn(ItemIndex) -> Key + Send + Sync>;

/// The keys of a task's items.
pub(super) async fn of_task(context: &Context, job: &Job, message: &TaskMessage) -> Result<Keys, Hindrance> {
    let keys = read(context, job, &message.keys).await?;
    match keys.len() == message.count as usize {
        true => Ok(by_index(message.first, keys)),
        false => {
            let (keys, items) = (keys.len(), message.count);
            Err(Hindrance::GiveBack(format!("the message makes no sense: it has {keys} keys for {items} items")))
        }
    }
}

/// The keys of items `first .. first + count` of any stage.
pub(super) async fn of_items(
    context: &Context,
    job: &Job,
    stage: &StageName,
    first: ItemIndex,
    count: u32,
) -> Result<Keys, Hindrance> {
    let mut keys = Vec::with_capacity(count as usize);
    let mut open = VecDeque::from([(job.stage(stage)?.clone(), first, count)]);
    while let Some((stage, first, count)) = open.pop_front() {
        match &stage.items {
            ItemSource::Each(upstream) => {
                let parts = parts(context, job, upstream, first, count).await?;
                parts.into_iter().rev().for_each(|part| open.push_front(part));
            }
            ItemSource::All { fan_in, .. } => {
                keys.extend((first..first.saturating_add(count)).map(|item| combiner(*fan_in, item)));
            }
            ItemSource::Split(_)
            | ItemSource::Matrix(_)
            | ItemSource::Range(_)
            | ItemSource::List(_)
            | ItemSource::Group { .. } => {
                let source = KeySource::Items(StageItems { stage: stage.name.clone(), first, count });
                keys.append(&mut read(context, job, &source).await?);
            }
        }
    }
    Ok(by_index(first, keys))
}

fn by_index(first: ItemIndex, keys: Vec<Key>) -> Keys {
    Arc::new(move |item| {
        let key = item.checked_sub(first).and_then(|place| keys.get(place as usize));
        key.cloned().unwrap_or_default()
    })
}

async fn read(context: &Context, job: &Job, source: &KeySource) -> Result<Vec<Key>, Hindrance> {
    let read = || infra::keys::keys(&context.plans, &job.submission, source);
    context.persist(&context.stop.drain, read).await.map_err(|error| Hindrance::of("read the keys of items", error))
}

/// What an item of `all` is called among those that are read together: in a tree by its number, since how many levels
/// there are cannot be seen from here.
fn combiner(fan_in: Option<u32>, item: ItemIndex) -> Key {
    match fan_in {
        None => Key::default(),
        Some(_) => Key(vec![(PART_DIM.to_owned(), item.to_string())]),
    }
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

/// How many items of a stage others read.
fn count_of<'a>(context: &'a Context, job: &'a Job, stage: &'a Stage) -> BoxFuture<'a, Result<u32, Hindrance>> {
    Box::pin(async move {
        match &stage.items {
            ItemSource::Each(upstream) => {
                let mut count = 0u32;
                for name in upstream {
                    count = count.saturating_add(count_of(context, job, job.stage(name)?).await?);
                }
                Ok(count)
            }
            // However large the tree is, only its root is read.
            ItemSource::All { .. } => Ok(1),
            source => match count_of_computed(source) {
                Some(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
                None => planned(context, job, stage).await,
            },
        }
    })
}

/// A stage whose items come before others' has been planned before those are dispatched.
async fn planned(context: &Context, job: &Job, stage: &Stage) -> Result<u32, Hindrance> {
    let id = &job.submission.job;
    let read = context.persist(&context.stop.drain, || context.plans.summary(id, &stage.name)).await;
    read.map(|summary| summary.items).map_err(|error| Hindrance::of("read the summary of a plan", error))
}

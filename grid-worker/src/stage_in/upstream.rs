//! Which outputs of upstream items the items of a task read.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, stream};
use grid_core::ids::{ItemIndex, StageItems, StageName};
use grid_core::pipeline::{ItemSource, Stage};
use grid_core::reason::{Failure, Reason};
use grid_core::wire::{OutputRef, TaskInputs, TaskMessage};
use infra::outputs::{Committed, Piece};

use super::{Inputs, deliver, plan};
use crate::context::{Context, Hindrance};
use crate::jobs::Job;

/// Manifests asked for at the same time.
const MANIFESTS_AT_ONCE: usize = 16;

/// What one item reads: outputs of upstream items in their order, or why they cannot be had.
pub(super) type Feed = Result<Vec<Taken>, Failure>;

/// Outputs of consecutive items of one upstream stage, all in one manifest.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) stage: StageName,
    pub(super) first: ItemIndex,
    pub(super) count: u32,
    pub(super) from: Arc<Committed>,
}

/// The inputs of the items of a task.
pub(super) async fn inputs(
    context: &Arc<Context>,
    job: &Job,
    stage: &Stage,
    message: &TaskMessage,
    members: &[StageItems],
    refs: &[OutputRef],
) -> Result<Inputs, Hindrance> {
    let held = Manifests::load(context, message, refs).await?;
    let feeds = match &stage.items {
        ItemSource::Each(_) => one_by_one(message, members, &held)?,
        ItemSource::Group { .. } => {
            let groups = plan::groups(context, message).await?;
            groups.iter().map(|group| held.all_of(&group.members)).collect()
        }
        ItemSource::All { .. } if message.count == 1 => vec![held.all_of(members)],
        ItemSource::All { .. } => return Err(strange("an item of `all` is a task of its own")),
        ItemSource::Split(_) | ItemSource::Matrix(_) | ItemSource::Range(_) | ItemSource::List(_) => {
            return Err(strange("its stage takes from no other"));
        }
    };
    deliver::deliver(context, job, stage, feeds).await
}

/// Members and attempts that were too many for the message: the object holds them as [`TaskInputs::Upstream`].
pub(super) async fn listed(context: &Context, key: &str) -> Result<(Vec<StageItems>, Vec<OutputRef>), Hindrance> {
    let read = context.persist(&context.stop.drain, || context.grid.objects.get(key, None)).await;
    let body = read.map_err(|error| Hindrance::of("read the list of a task's inputs", error))?;
    match serde_json::from_slice(&body) {
        Ok(TaskInputs::Upstream { members, refs }) => Ok((members, refs)),
        Ok(TaskInputs::Plan | TaskInputs::Listed(_)) => Err(strange("its list of inputs leads elsewhere")),
        Err(error) => Err(Hindrance::GiveBack(format!("{key} is no list of inputs: {error}"))),
    }
}

fn strange(what: &str) -> Hindrance {
    Hindrance::GiveBack(format!("the message makes no sense: {what}"))
}

/// With `each`, item by item; an upstream item without an output leaves its item without an input.
fn one_by_one(message: &TaskMessage, members: &[StageItems], held: &Manifests) -> Result<Vec<Feed>, Hindrance> {
    let single = |member: &StageItems| {
        let stage = member.stage.clone();
        let end = member.first.saturating_add(member.count);
        (member.first..end).map(move |first| StageItems { stage: stage.clone(), first, count: 1 })
    };
    let feeds: Vec<Feed> =
        members.iter().flat_map(single).take(message.count as usize).map(|item| held.one(&item)).collect();
    match feeds.len() == message.count as usize {
        true => Ok(feeds),
        false => Err(strange("it has fewer upstream items than items")),
    }
}

/// What the manifests of a task's inputs commit.
struct Manifests {
    /// By stage and first item of each committed run: its length and its manifest.
    runs: BTreeMap<(StageName, ItemIndex), (u32, Arc<Committed>)>,
    /// Why a manifest could not be read, if one could not: then a missing item is not a skipped one.
    fault: Option<String>,
}

impl Manifests {
    async fn load(context: &Context, message: &TaskMessage, refs: &[OutputRef]) -> Result<Self, Hindrance> {
        // Boxed, since the compiler cannot see that a closure over borrowed futures is as general as it has to be.
        let reads: Vec<_> = refs.iter().map(|attempt| read(context, message, attempt).boxed()).collect();
        let mut loaded = stream::iter(reads).buffered(MANIFESTS_AT_ONCE);
        let mut held = Self { runs: BTreeMap::new(), fault: None };
        while let Some((attempt, read)) = loaded.next().await {
            match read {
                Ok(committed) => held.add(&attempt.stage, &committed),
                Err(error) => match deliver::input_fault(&error) {
                    true => held.fault = Some(format!("the results of stage {} are lost: {error}", attempt.stage)),
                    false => return Err(Hindrance::of("read a manifest", error)),
                },
            }
        }
        Ok(held)
    }

    fn add(&mut self, stage: &StageName, committed: &Arc<Committed>) {
        for &(first, count) in committed.items() {
            self.runs.insert((stage.clone(), first), (count, committed.clone()));
        }
    }

    /// All of some items, without those that were skipped or are dead.
    fn all_of(&self, members: &[StageItems]) -> Feed {
        let wanted: u64 = members.iter().map(|member| u64::from(member.count)).sum();
        let taken: Vec<Taken> = members.iter().flat_map(|member| self.find(member)).collect();
        let found: u64 = taken.iter().map(|taken| u64::from(taken.count)).sum();
        match &self.fault {
            Some(fault) if found < wanted => Err(Failure::new(Reason::Input, fault)),
            _ => Ok(taken),
        }
    }

    fn one(&self, item: &StageItems) -> Feed {
        let taken = self.find(item);
        if taken.is_empty() {
            let why = self.fault.clone().unwrap_or_else(|| format!("stage {} has no result for it", item.stage));
            return Err(Failure::new(Reason::Input, why));
        }
        Ok(taken)
    }

    fn find(&self, wanted: &StageItems) -> Vec<Taken> {
        let end = wanted.first.saturating_add(wanted.count);
        let from = self.runs.range(..=(wanted.stage.clone(), wanted.first)).next_back().map(|(key, _)| key.clone());
        let from = from.unwrap_or((wanted.stage.clone(), wanted.first));
        let runs = self.runs.range(from..(wanted.stage.clone(), end));
        let overlap = runs.filter(|((stage, _), _)| *stage == wanted.stage).filter_map(|((_, run), (count, from))| {
            let first = wanted.first.max(*run);
            let count = end.min(run.saturating_add(*count)).checked_sub(first).filter(|count| *count > 0)?;
            Some(Taken { stage: wanted.stage.clone(), first, count, from: from.clone() })
        });
        overlap.collect()
    }
}

async fn read<'a>(
    context: &Context,
    message: &TaskMessage,
    attempt: &'a OutputRef,
) -> (&'a OutputRef, infra::Result<Arc<Committed>>) {
    let read = || context.outputs.manifest(&message.job, attempt);
    (attempt, context.persist(&context.stop.drain, read).await)
}

impl Taken {
    /// What its items wrote, in order: an item's standard output, or, when it wrote none, its files by name.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + use<'_> {
        (self.first..self.first + self.count).flat_map(|item| {
            let stdout = self.from.stdout(item);
            let files = if stdout.is_none() { Some(self.from.files(item)) } else { None };
            stdout.into_iter().chain(files.into_iter().flatten().map(|(_, piece)| piece))
        })
    }
}

//! Inputs that the plan describes: slices of the job's input files.

use std::sync::Arc;

use bytes::BytesMut;
use futures::TryStreamExt;
use grid_core::ids::{JobId, StageName};
use grid_core::items::plan::Group;
use grid_core::limits::{MAX_STAGED_INPUT_BYTES, SHARD_ITEMS};
use grid_core::pipeline::{InputAs, ItemSource, Split, Stage};
use grid_core::reason::{Failure, Reason};
use grid_core::split::Slice;
use grid_core::submission::PinnedFile;
use grid_core::wire::TaskMessage;
use infra::inputs::{InputError, read_consecutive, read_slice};
use infra::objects::ByteStream;
use infra::plan::PlannedItems;

use super::Inputs;
use crate::context::{Context, Hindrance};
use crate::jobs::Job;
use crate::runner::ItemInput;

/// The inputs of the items of a task, by the stage's plan.
pub(super) async fn inputs(
    context: &Context,
    job: &Job,
    stage: &Stage,
    message: &TaskMessage,
) -> Result<Inputs, Hindrance> {
    let ItemSource::Split(split) = &stage.items else { return Ok((Vec::new(), Vec::new())) };
    let slices = slices(context, message).await?;
    let files = job.submission.inputs.get(&split.input).map_or(&[][..], Vec::as_slice);
    let sizes = slices.iter().map(Slice::bytes).collect();
    let header = |slice: &Slice| slice.header.map_or(0, |header| header.len);
    let total: u64 =
        slices.iter().map(|slice| slice.bytes().saturating_add(header(slice))).fold(0, u64::saturating_add);
    let inputs = match stage.input_as {
        InputAs::Files => as_files(context, job, split, files, &slices),
        InputAs::Stdin | InputAs::File if total <= MAX_STAGED_INPUT_BYTES => in_memory(context, files, &slices).await?,
        InputAs::Stdin | InputAs::File => {
            slices.iter().map(|slice| ItemInput::Stream(read_slice(&context.grid.sources, files, slice))).collect()
        }
    };
    Ok((inputs, sizes))
}

/// A chunk of a plan.
pub(super) async fn chunk(
    context: &Context,
    job: &JobId,
    stage: &StageName,
    number: u32,
) -> Result<Arc<PlannedItems>, Hindrance> {
    let read = context.persist(&context.stop.drain, || context.plans.chunk(job, stage, number)).await;
    read.map_err(|error| Hindrance::of("read a plan", error))
}

/// The groups that the items of a task are.
pub(super) async fn groups(context: &Context, message: &TaskMessage) -> Result<Vec<Group>, Hindrance> {
    let chunk = chunk(context, &message.job, &message.stage, message.first / SHARD_ITEMS).await?;
    match &*chunk {
        PlannedItems::Groups(groups) => pick(groups, message),
        PlannedItems::Slices(_) | PlannedItems::Values(_) => Err(missing(message)),
    }
}

async fn slices(context: &Context, message: &TaskMessage) -> Result<Vec<Slice>, Hindrance> {
    let chunk = chunk(context, &message.job, &message.stage, message.first / SHARD_ITEMS).await?;
    match &*chunk {
        PlannedItems::Slices(slices) => pick(slices, message),
        PlannedItems::Values(_) | PlannedItems::Groups(_) => Err(missing(message)),
    }
}

fn pick<T: Clone>(items: &[T], message: &TaskMessage) -> Result<Vec<T>, Hindrance> {
    let from = (message.first % SHARD_ITEMS) as usize;
    items.get(from..from + message.count as usize).map(<[T]>::to_vec).ok_or_else(|| missing(message))
}

fn missing(message: &TaskMessage) -> Hindrance {
    Hindrance::GiveBack(format!("the plan of stage {} does not list its items", message.stage))
}

/// Reads everything in one go; only when something of it cannot be had slice by slice, to tell whose fault it is.
async fn in_memory(context: &Context, files: &[PinnedFile], slices: &[Slice]) -> Result<Vec<ItemInput>, Hindrance> {
    let sources = &context.grid.sources;
    match context.persist(&context.stop.drain, || read_consecutive(sources, files, slices)).await {
        Ok(read) => return Ok(read.into_iter().map(ItemInput::Bytes).collect()),
        Err(error) if InputError::of(&error).is_none() => return Err(Hindrance::of("read inputs", error)),
        Err(_) => {}
    }
    let mut inputs = Vec::with_capacity(slices.len());
    for slice in slices {
        let read = || collect(read_slice(sources, files, slice));
        inputs.push(match context.persist(&context.stop.drain, read).await {
            Ok(bytes) => ItemInput::Bytes(bytes.freeze()),
            Err(error) => match InputError::of(&error) {
                Some(fault) => ItemInput::Failed(Failure::new(Reason::Input, fault.to_string())),
                None => return Err(Hindrance::of("read inputs", error)),
            },
        });
    }
    Ok(inputs)
}

async fn collect(stream: ByteStream) -> infra::Result<BytesMut> {
    let join = |mut all: BytesMut, piece: bytes::Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    stream.try_fold(BytesMut::new(), join).await
}

/// A folder with the slice as its only file.
fn as_files(context: &Context, job: &Job, split: &Split, files: &[PinnedFile], slices: &[Slice]) -> Vec<ItemInput> {
    let extension = job.submission.pipeline.inputs.get(&split.input).map_or("bin", |input| input.format.extension());
    let file = |slice: &Slice| {
        let name = format!("{}.{extension}", slice.key(files).name());
        ItemInput::Files(vec![(name, read_slice(&context.grid.sources, files, slice))])
    };
    slices.iter().map(file).collect()
}

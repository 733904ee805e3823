//! Makes the inputs of items out of upstream outputs: as one run of bytes, or as files.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use grid_core::limits::MAX_STAGED_INPUT_BYTES;
use grid_core::pipeline::{InputAs, Stage};
use grid_core::reason::{Failure, Reason};
use infra::ErrorKind;
use infra::objects::ByteStream;
use infra::outputs::Piece;

use super::upstream::{Feed, Taken};
use super::{Inputs, keys};
use crate::context::{Context, Hindrance};
use crate::jobs::Job;
use crate::runner::ItemInput;

/// Whether an error of reading an output is the fault of what was read.
pub(super) fn input_fault(error: &infra::Error) -> bool {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Invalid => true,
        ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::Full => {
            false
        }
    }
}

/// The inputs of items that read those outputs.
pub(super) async fn deliver(
    context: &Arc<Context>,
    job: &Job,
    stage: &Stage,
    feeds: Vec<Feed>,
) -> Result<Inputs, Hindrance> {
    match stage.input_as {
        InputAs::Files => as_files(context, job, stage, feeds).await,
        InputAs::Stdin | InputAs::File => as_bytes(context, feeds).await,
    }
}

async fn as_bytes(context: &Arc<Context>, feeds: Vec<Feed>) -> Result<Inputs, Hindrance> {
    let size = |feed: &Feed| -> u64 {
        feed.iter().flatten().flat_map(Taken::pieces).fold(0, |sum, piece| sum.saturating_add(piece.len))
    };
    let sizes: Vec<u64> = feeds.iter().map(size).collect();
    let total = sizes.iter().fold(0u64, |sum, size| sum.saturating_add(*size));
    let inputs = if total <= MAX_STAGED_INPUT_BYTES {
        in_memory(context, feeds).await?
    } else {
        let stream = |feed: Feed| feed.map_or_else(ItemInput::Failed, |taken| streamed(context, taken));
        feeds.into_iter().map(stream).collect()
    };
    Ok((inputs, sizes))
}

fn streamed(context: &Arc<Context>, taken: Vec<Taken>) -> ItemInput {
    let context = context.clone();
    let runs = stream::iter(taken).map(move |taken| {
        let pieces: Vec<Piece> = taken.pieces().collect();
        context.outputs.stream(&pieces)
    });
    ItemInput::Stream(runs.flatten().boxed())
}

/// Reads everything in one go; only when something of it is damaged item by item, to tell whose fault it is.
async fn in_memory(context: &Context, feeds: Vec<Feed>) -> Result<Vec<ItemInput>, Hindrance> {
    let pieces_of = |taken: &[Taken]| -> Vec<Piece> { taken.iter().flat_map(Taken::pieces).collect() };
    let wanted: Vec<Result<Vec<Piece>, Failure>> =
        feeds.into_iter().map(|feed| feed.map(|taken| pieces_of(&taken))).collect();
    let all: Vec<Piece> = wanted.iter().flatten().flatten().cloned().collect();
    let mut read = match read(context, &all).await? {
        Ok(read) => read.into_iter(),
        Err(_) => return one_by_one(context, wanted).await,
    };
    let input = |item: Result<Vec<Piece>, Failure>| match item {
        Ok(pieces) => ItemInput::Bytes(join(read.by_ref().take(pieces.len()).collect())),
        Err(failure) => ItemInput::Failed(failure),
    };
    Ok(wanted.into_iter().map(input).collect())
}

async fn one_by_one(context: &Context, wanted: Vec<Result<Vec<Piece>, Failure>>) -> Result<Vec<ItemInput>, Hindrance> {
    let mut inputs = Vec::with_capacity(wanted.len());
    for item in wanted {
        let read = match item {
            Ok(pieces) => read(context, &pieces).await?,
            Err(failure) => Err(failure),
        };
        inputs.push(read.map_or_else(ItemInput::Failed, |read| ItemInput::Bytes(join(read))));
    }
    Ok(inputs)
}

async fn read(context: &Context, pieces: &[Piece]) -> Result<Result<Vec<Bytes>, Failure>, Hindrance> {
    match context.persist(&context.stop.drain, || context.outputs.read(pieces)).await {
        Ok(read) => Ok(Ok(read)),
        Err(error) if input_fault(&error) => Ok(Err(Failure::new(Reason::Input, error.to_string()))),
        Err(error) => Err(Hindrance::of("read upstream outputs", error)),
    }
}

fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in &pieces {
        joined.extend_from_slice(piece);
    }
    joined.freeze()
}

/// One file an upstream item, `{item}.{extension}`, and what lay in its output folder as `{item}/{name}`; with several
/// upstream stages the name of the stage and a comma go before, since their items may share names.
async fn as_files(context: &Arc<Context>, job: &Job, stage: &Stage, feeds: Vec<Feed>) -> Result<Inputs, Hindrance> {
    let (mut inputs, mut sizes) = (Vec::new(), Vec::new());
    for feed in feeds {
        let taken = match feed {
            Ok(taken) => taken,
            Err(failure) => {
                inputs.push(ItemInput::Failed(failure));
                sizes.push(0);
                continue;
            }
        };
        let (mut files, mut size) = (Vec::new(), 0u64);
        for taken in &taken {
            let named = files_of(context, job, stage, taken).await?;
            size = named.iter().fold(size, |size, (_, piece)| size.saturating_add(piece.as_ref().map_or(0, len)));
            let open = |(name, piece): (String, Option<Piece>)| (name, opened(context, piece));
            files.extend(named.into_iter().map(open));
        }
        inputs.push(ItemInput::Files(files));
        sizes.push(size);
    }
    Ok((inputs, sizes))
}

fn len(piece: &Piece) -> u64 {
    piece.len
}

fn opened(context: &Context, piece: Option<Piece>) -> ByteStream {
    context.outputs.stream(piece.as_slice())
}

/// The files of some upstream items by name; one without a piece is empty.
async fn files_of(
    context: &Context,
    job: &Job,
    stage: &Stage,
    taken: &Taken,
) -> Result<Vec<(String, Option<Piece>)>, Hindrance> {
    let upstream = job.stage(&taken.stage)?;
    let extension = upstream.output.format.extension();
    let prefix = match stage.items.upstream() {
        [] | [_] => String::new(),
        [_, _, ..] => format!("{},", taken.stage),
    };
    let keys = keys::of_items(context, job, &taken.stage, taken.first, taken.count).await?;
    let mut files = Vec::new();
    for item in taken.first..taken.first + taken.count {
        let name = format!("{prefix}{}", keys(item).name());
        let (stdout, before) = (taken.from.stdout(item), files.len());
        files.extend(taken.from.files(item).map(|(file, piece)| (format!("{name}/{file}"), Some(piece))));
        if stdout.is_some() || files.len() == before {
            files.insert(before, (format!("{name}.{extension}"), stdout));
        }
    }
    Ok(files)
}

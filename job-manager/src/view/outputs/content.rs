//! The bytes of one output.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use grid_core::ids::{ItemIndex, StageName};
use grid_core::wire::Pack;
use infra::Result;
use infra::objects::ByteStream;
use infra::outputs::{Committed, Piece};
use tokio::sync::mpsc;

use super::{OutputEntry, Walk, WalkError};
use crate::view::JobView;

/// Where the bytes of an output are.
#[derive(Clone, Debug)]
pub enum Content {
    /// They are an object of their own.
    Object(String),
    /// They are a part of what a task wrote.
    Piece(Piece),
    /// There are none.
    Empty,
    /// They are what all items of a stage have printed.
    Shared,
}

/// Where the bytes of an item's standard output are, or those of a file that it left; `None` when it has none of that name.
pub async fn content_of(
    view: &JobView,
    stage: &StageName,
    item: ItemIndex,
    name: Option<&str>,
) -> Result<Option<Content>> {
    let Some(end) = item.checked_add(1) else { return Ok(None) };
    for attempt in view.committed_by(stage, item..end) {
        let manifest = view.manifest(stage, attempt).await?;
        if !manifest.holds(item) {
            continue;
        }
        let piece = match name {
            None => match manifest.stdout(item) {
                Some(piece) => piece,
                None => return Ok(Some(Content::Empty)),
            },
            Some(name) => match manifest.files(item).find(|(known, _)| *known == name) {
                Some((_, piece)) => piece,
                None => return Ok(None),
            },
        };
        return located(view, &manifest, piece).await.map(Some);
    }
    Ok(None)
}

/// Where the bytes of a listed file are.
pub async fn content_of_entry(view: &JobView, entry: &OutputEntry) -> Result<Option<Content>> {
    match entry.is_shared {
        true => Ok(Some(Content::Shared)),
        false => content_of(view, &entry.stage, entry.item, entry.name.as_deref()).await,
    }
}

/// An object that holds nothing but a piece can be had by itself.
async fn located(view: &JobView, manifest: &Committed, piece: Piece) -> Result<Content> {
    if let Pack::Object { key, start: 0, len } = &manifest.manifest.outputs.pack
        && *len == piece.len
        && view.objects().head(key).await?.size == *len
    {
        return Ok(Content::Object(key.clone()));
    }
    Ok(Content::Piece(piece))
}

/// What all items of a stage have printed, one after the other.
pub fn shared_content(view: Arc<JobView>, stage: StageName) -> ByteStream {
    let (give, take) = mpsc::channel(1);
    let walked = view.clone();
    tokio::spawn(async move {
        if let Err(error) = walk(&walked, &stage, &give).await {
            // Whoever has gone does not want to know.
            let _ = give.send(Err(error)).await;
        }
    });
    let pieces = stream::unfold(take, |mut take| async { take.recv().await.map(|pieces| (pieces, take)) });
    pieces.map_ok(move |pieces: Vec<Piece>| view.outputs().stream(&pieces)).try_flatten().boxed()
}

async fn walk(view: &JobView, stage: &StageName, give: &mpsc::Sender<Result<Vec<Piece>>>) -> Result<()> {
    let Some(stage) = view.submission.pipeline.stage(stage) else { return Ok(()) };
    let mut walk = Walk::new(view, stage).await?;
    loop {
        let parts = match walk.next().await {
            Ok(Some(parts)) => parts,
            Ok(None) => return Ok(()),
            Err(WalkError::Store(error)) => return Err(error),
            Err(WalkError::Name(fault)) => {
                return Err(infra::Error::new(infra::ErrorKind::Invalid, fault.to_string()));
            }
        };
        let pieces = parts.into_iter().filter(|part| part.appends).filter_map(|part| part.piece).collect();
        if give.send(Ok(pieces)).await.is_err() {
            return Ok(());
        }
    }
}

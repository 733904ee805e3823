//! Walks the committed items of a stage in their order and says which bytes go to which file.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};

use grid_core::ids::{AttemptKey, ItemIndex};
use grid_core::items::Key;
use grid_core::limits::SHARD_ITEMS;
use grid_core::pipeline::Stage;
use infra::outputs::{Committed, Piece};

use super::names::{NameFault, Namer, Shape};
use crate::view::JobView;

/// Why a walk cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The pipeline gives a name that cannot be used.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] infra::Error),
}

/// Bytes that belong into a file below the output folder.
#[derive(Debug)]
pub struct Deliverable {
    /// The file, relative to the output folder.
    pub path: PathBuf,
    /// The item.
    pub item: ItemIndex,
    /// What the item called it; `None` for standard output.
    pub name: Option<String>,
    /// The bytes; `None` makes an empty file.
    pub piece: Option<Piece>,
    /// Whether they go to the end of a file that other items have begun.
    pub appends: bool,
}

/// The way through one stage.
#[derive(Debug)]
pub struct Walk<'job> {
    view: &'job JobView,
    stage: &'job Stage,
    namer: Namer<'job>,
    shape: Shape,
    /// The items that are still to come.
    items: Range<ItemIndex>,
    /// Committed items of the shard in hand, as runs of one attempt, ascending.
    runs: VecDeque<Run>,
    stream: Option<PathBuf>,
    /// Whether nothing was written by any of several items.
    is_silent: bool,
}

/// Consecutive items that one attempt committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    first: ItemIndex,
    count: u32,
    attempt: AttemptKey,
}

impl<'job> Walk<'job> {
    /// A walk that has not begun.
    pub async fn new(view: &'job JobView, stage: &'job Stage) -> infra::Result<Self> {
        let items = view.output_items(&stage.name);
        let shape = Shape::of(stage, items.len() as u64, only_item_has_no_files(view, stage, &items).await?);
        let namer = Namer::new(stage, &view.submission.params, shape);
        let is_silent = items.len() > 1 && view.stage_status(&stage.name).is_some_and(|status| status.bytes_out == 0);
        Ok(Self { view, stage, namer, shape, items, runs: VecDeque::new(), stream: None, is_silent })
    }

    /// Goes on at an item, unless the names of the files from there on depend on those before.
    pub fn skip_to(&mut self, item: u64) {
        if !self.namer.remembers() {
            let item = ItemIndex::try_from(item).unwrap_or(ItemIndex::MAX);
            self.items.start = item.clamp(self.items.start, self.items.end);
        }
    }

    /// What the next few items wrote; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<Deliverable>>, WalkError> {
        while self.runs.is_empty() && !self.items.is_empty() {
            self.read_shard().await?;
        }
        let Some(run) = self.runs.pop_front() else { return Ok(None) };
        let manifest = self.view.manifest(&self.stage.name, run.attempt).await?;
        let keys = self.view.keys(&self.stage.name, run.first, run.count).await?;
        let mut found = Vec::new();
        for (item, key) in (run.first..).zip(&keys) {
            self.item(&manifest, item, key, &mut found)?;
        }
        Ok(Some(found))
    }

    /// Finds out which attempts hold the next items, at most those of one shard. Manifests are read twice rather than
    /// kept: those of 8,192 tasks are large.
    async fn read_shard(&mut self) -> infra::Result<()> {
        let end = self.items.end.min((self.items.start / SHARD_ITEMS + 1) * SHARD_ITEMS);
        let wanted = self.items.start..end;
        let mut runs = Vec::new();
        for attempt in self.view.committed_by(&self.stage.name, wanted.clone()) {
            let manifest = self.view.manifest(&self.stage.name, attempt).await?;
            let within = manifest.items().iter().filter_map(|&(first, count)| {
                let (from, to) = (first.max(wanted.start), first.saturating_add(count).min(wanted.end));
                (from < to).then(|| Run { first: from, count: to - from, attempt })
            });
            runs.extend(within);
        }
        runs.sort_unstable();
        self.runs = runs.into();
        self.items.start = end;
        Ok(())
    }

    fn item(
        &mut self,
        manifest: &Committed,
        item: ItemIndex,
        key: &Key,
        found: &mut Vec<Deliverable>,
    ) -> Result<(), NameFault> {
        let piece = manifest.stdout(item);
        let mut files = manifest.files(item).peekable();
        let appends = self.shape == Shape::OneStream;
        // An item that left files and printed nothing has said all that it wanted to say; so has a stage none of whose
        // items printed anything. Otherwise an empty file tells that the item succeeded.
        if piece.is_some() || (files.peek().is_none() && !appends && !self.is_silent) {
            let path = self.stdout_path(item, key)?;
            found.push(Deliverable { path, item, name: None, piece, appends });
        }
        if files.peek().is_some() {
            let folder = self.namer.folder(item, key);
            found.extend(files.map(|(name, piece)| Deliverable {
                path: folder.join(name),
                item,
                name: Some(name.to_owned()),
                piece: Some(piece),
                appends: false,
            }));
        }
        Ok(())
    }

    fn stdout_path(&mut self, item: ItemIndex, key: &Key) -> Result<PathBuf, NameFault> {
        if self.shape != Shape::OneStream {
            return self.namer.stdout(item, key);
        }
        if self.stream.is_none() {
            self.stream = Some(self.namer.stdout(item, key)?);
        }
        Ok(self.stream.clone().unwrap_or_default())
    }
}

/// The path below the output folder that is put in place as a whole for this file: the stage's folder, or the file.
pub fn target_of(stage: &Stage, path: &Path) -> PathBuf {
    match path.starts_with(stage.name.as_str()) && path.components().count() > 1 {
        true => PathBuf::from(stage.name.as_str()),
        false => path.to_owned(),
    }
}

/// Whether a stage of one item left no files.
async fn only_item_has_no_files(view: &JobView, stage: &Stage, items: &Range<ItemIndex>) -> infra::Result<bool> {
    if items.len() != 1 {
        return Ok(false);
    }
    for attempt in view.committed_by(&stage.name, items.clone()) {
        let manifest = view.manifest(&stage.name, attempt).await?;
        if manifest.holds(items.start) {
            return Ok(manifest.files(items.start).next().is_none());
        }
    }
    Ok(true)
}

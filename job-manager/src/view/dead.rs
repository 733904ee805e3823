//! The items that were given up on, each with its reason: read from the manifests, shard by shard.

use std::collections::{BTreeMap, VecDeque};

use futures::stream::{self, StreamExt, TryStreamExt};
use grid_api::DeadLetter;
use grid_core::ids::{ItemIndex, StageName};
use grid_core::limits::SHARD_ITEMS;
use grid_core::reason::{Failure, Reason};
use infra::Result;

use super::JobView;

/// Manifests that are read side by side.
const READ_AT_ONCE: usize = 16;

/// The dead letters of one stage, in the order of its items.
#[derive(Debug)]
pub struct DeadLetters<'view> {
    view: &'view JobView,
    stage: StageName,
    items: VecDeque<ItemIndex>,
    ready: VecDeque<DeadLetter>,
}

/// The last failure of an item: the attempt, and why.
type LastFailure = (u32, Failure);

impl<'view> DeadLetters<'view> {
    pub(super) fn new(view: &'view JobView, stage: StageName, items: Vec<ItemIndex>) -> Self {
        Self { view, stage, items: items.into(), ready: VecDeque::new() }
    }

    /// The next one.
    pub async fn next(&mut self) -> Result<Option<DeadLetter>> {
        if self.ready.is_empty()
            && let Some(&first) = self.items.front()
        {
            self.read_shard(first / SHARD_ITEMS).await?;
        }
        Ok(self.ready.pop_front())
    }

    async fn read_shard(&mut self, shard: u32) -> Result<()> {
        let failures = self.failures(shard).await?;
        while let Some(item) = self.items.pop_front_if(|item| *item / SHARD_ITEMS == shard) {
            let unknown =
                || (0, Failure::new(Reason::Internal, "no manifest says why: it was removed, or never written"));
            let (attempt, failure) = failures.get(&item).cloned().unwrap_or_else(unknown);
            let letter = self.letter(item, attempt, failure).await?;
            self.ready.push_back(letter);
        }
        Ok(())
    }

    /// The last failure of every item of a shard that failed.
    async fn failures(&self, shard: u32) -> Result<BTreeMap<ItemIndex, LastFailure>> {
        let mut last: BTreeMap<ItemIndex, LastFailure> = BTreeMap::new();
        let keys = self.view.ended_attempts(&self.stage, shard).await?;
        let mut manifests = stream::iter(keys)
            .map(async |key| self.view.manifest(&self.stage, key).await.map(|manifest| (key, manifest)))
            .buffered(READ_AT_ONCE);
        while let Some((key, manifest)) = manifests.try_next().await? {
            for failed in &manifest.manifest.failed {
                for item in failed.first..failed.first.saturating_add(failed.count) {
                    let is_later = last.get(&item).is_none_or(|(attempt, _)| *attempt <= key.attempt);
                    if is_later {
                        last.insert(item, (key.attempt, failed.failure.clone()));
                    }
                }
            }
        }
        Ok(last)
    }

    async fn letter(&self, item: ItemIndex, attempt: u32, failure: Failure) -> Result<DeadLetter> {
        let key = self.view.keys(&self.stage, item, 1).await?.pop().unwrap_or_default();
        Ok(DeadLetter {
            stage: self.stage.clone(),
            item: key.name(),
            index: item,
            key: key.0.iter().cloned().collect(),
            attempt,
            failure,
            input: self.input(item).await?,
        })
    }

    /// Where the item's input lies: `file:///data/claims.csv bytes 100-199`.
    async fn input(&self, item: ItemIndex) -> Result<Option<String>> {
        let Some(stage) = self.view.submission.pipeline.stage(&self.stage) else { return Ok(None) };
        let Some(slice) = self.view.slice(stage, item).await? else { return Ok(None) };
        let grid_core::pipeline::ItemSource::Split(split) = &stage.items else { return Ok(None) };
        let files = self.view.submission.inputs.get(&split.input).map_or(&[][..], Vec::as_slice);
        let places = slice.segments.iter().filter_map(|segment| {
            let file = files.get(segment.file as usize)?;
            let last = (segment.start + segment.len).saturating_sub(1);
            Some(format!("{} bytes {}-{last}", file.uri, segment.start))
        });
        Ok(Some(places.collect::<Vec<String>>().join(", ")))
    }
}

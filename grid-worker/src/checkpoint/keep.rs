//! Keeps the folder of one item that runs: on the interval, when the worker is told to go, and once more when the item was
//! cut short.

use std::path::PathBuf;
use std::sync::Arc;

use grid_core::ids::ItemIndex;
use grid_core::layout;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::Checkpoints;
use super::pack::{Look, Packed, Unpacked, pack};
use crate::commit::put_file;
use crate::limits::LAST_CHECKPOINT_PATIENCE;

/// What becomes of the folder when its item has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It is of no use any more.
    Leave,
    /// It is kept once more: the item will be tried again.
    Keep,
}

/// Who keeps it.
pub(super) struct Keeper {
    checkpoints: Arc<Checkpoints>,
    item: ItemIndex,
    folder: PathBuf,
    scratch: PathBuf,
    /// Of the newest one that this execution knows of.
    number: u32,
    /// Keys of those that the next one makes superfluous.
    older: Vec<String>,
    /// What the folder looked like when it was kept last.
    look: Option<Look>,
}

impl Keeper {
    /// Keeps `folder`, by way of files in `scratch`; `older` are there already.
    pub(super) fn new(
        checkpoints: Arc<Checkpoints>,
        item: ItemIndex,
        folder: PathBuf,
        scratch: PathBuf,
        older: Vec<String>,
    ) -> Self {
        let number = older.iter().filter_map(|key| layout::checkpoint_number(key)).max().unwrap_or(0);
        Self { checkpoints, item, folder, scratch, number, older, look: None }
    }

    /// Works until the item has ended. Why the last try to keep it came to nothing, if it did.
    pub(super) async fn run(mut self, mut ends: oneshot::Receiver<Last>) -> Option<String> {
        let (every, drain) = (self.checkpoints.every, self.checkpoints.drain.clone());
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_leaving, mut trouble) = (false, None);
        let last = loop {
            tokio::select! {
                biased;
                last = &mut ends => break last,
                () = drain.cancelled(), if !is_leaving => is_leaving = true,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                biased;
                // What is under way then is overtaken: not needed any more, or followed by one that has more.
                last = &mut ends => break last,
                kept = self.keep() => trouble = kept.err(),
            }
            if let Some(why) = &trouble {
                tracing::warn!(item = self.item, stage = %self.checkpoints.stage, why, "no checkpoint is kept");
            }
        };
        match last {
            Ok(Last::Keep) => self.keep_last().await.err(),
            // Who has gone without a word does not look at the item any more.
            Ok(Last::Leave) | Err(_) => trouble,
        }
    }

    async fn keep(&mut self) -> Result<(), String> {
        let Some((key, file, packed)) = self.pack().await? else { return Ok(()) };
        let stored = put_file(&*self.checkpoints.objects, &key, &file, packed.len).await;
        self.kept(key, file, packed, stored).await
    }

    async fn keep_last(&mut self) -> Result<(), String> {
        let Some((key, file, packed)) = self.pack().await? else { return Ok(()) };
        let (patience, never) = (self.checkpoints.patience.at_most(LAST_CHECKPOINT_PATIENCE), CancellationToken::new());
        let objects = &*self.checkpoints.objects;
        let stored = patience.persist(&never, || put_file(objects, &key, &file, packed.len)).await;
        self.kept(key, file, packed, stored).await
    }

    /// Writes what the folder holds to a file; `None` when nothing has changed since it was kept last.
    async fn pack(&mut self) -> Result<Option<(String, PathBuf, Packed)>, String> {
        self.number += 1;
        let Checkpoints { attempt, nonce, .. } = &*self.checkpoints;
        let key = layout::checkpoint(&self.checkpoints.prefix(self.item), *attempt, self.number, nonce);
        let file = self.scratch.join(format!("checkpoint.{}.{}.packed", self.item, self.number));
        let work = {
            let (folder, file, look) = (self.folder.clone(), file.clone(), self.look.clone());
            let head = self.checkpoints.head(self.item);
            tokio::task::spawn_blocking(move || {
                let packed = pack(&folder, &file, &head, look.as_ref());
                if !matches!(packed, Ok(Some(_))) {
                    // It may never have been made.
                    drop(std::fs::remove_file(&file));
                }
                packed
            })
        };
        match work.await {
            Ok(Ok(packed)) => Ok(packed.map(|packed| (key, file, packed))),
            Ok(Err(Unpacked::Refused(why))) => Err(why),
            Ok(Err(Unpacked::Changed(path))) => Err(format!(
                "{path:?} changed while it was read: write under another name, and rename when it is complete"
            )),
            Ok(Err(Unpacked::Io(error))) => Err(format!("it could not be copied to the scratch disk: {error}")),
            Err(error) => Err(format!("the thread that copied it failed: {error}")),
        }
    }

    async fn kept(
        &mut self,
        key: String,
        file: PathBuf,
        packed: Packed,
        stored: infra::Result<()>,
    ) -> Result<(), String> {
        // The store may have moved it away.
        drop(std::fs::remove_file(&file));
        // Without an answer it may be there all the same.
        self.checkpoints.has_stored(self.item);
        if let Err(error) = stored {
            return Err(format!("the store does not take it: {error}"));
        }
        self.look = Some(packed.look);
        let mut left = Vec::new();
        for older in std::mem::take(&mut self.older) {
            // One that sorts behind ours is another execution's, of a later attempt: not for us to remove.
            if older < key && self.checkpoints.objects.delete(&older).await.is_err() {
                left.push(older);
            }
        }
        left.push(key);
        self.older = left;
        Ok(())
    }
}

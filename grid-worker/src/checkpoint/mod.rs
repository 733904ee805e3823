//! Checkpoints: while an item runs, what its command leaves in `GRIDMILL_CHECKPOINT_DIR` is kept in the store from time to
//! time, and is there again when the item is executed anew - by a later attempt, or because its worker has died.
//!
//! A checkpoint is one object with a name that no other execution uses. So it is there as a whole or not at all, and whoever
//! comes late - an execution that was taken for dead - adds one and replaces none. An execution removes what is older than its
//! own newest, and once the item is committed all that is left.

mod keep;
mod pack;
#[cfg(test)]
pub(crate) mod tests;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::layout;
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::Stage;
use grid_core::wire::{CheckpointHead, TaskMessage};
use infra::ErrorKind;
use infra::objects::ObjectStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::keep::{Keeper, Last};
pub use self::unpack::{Broken, unpack};
use crate::context::Context;
use crate::limits::CHECKPOINT_LOOKS;
use crate::patience::Patience;

/// Keys asked for at once: what S3 lists in one call.
const LIST_PAGE: usize = 1_000;

/// The checkpoints of the items of one execution of a task.
#[derive(Debug)]
pub struct Checkpoints {
    objects: Arc<dyn ObjectStore>,
    patience: Patience,
    job: JobId,
    stage: StageName,
    attempt: u32,
    /// What a redrive has set: what was kept under other values may mean something else.
    set: BTreeMap<String, String>,
    every: Duration,
    nonce: String,
    /// The worker is told to go: a checkpoint is taken at once.
    drain: CancellationToken,
    /// Items of which the store may hold checkpoints.
    stored: Mutex<BTreeSet<ItemIndex>>,
}

/// The folder of an item that runs, and whoever keeps it.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    end: oneshot::Sender<Last>,
    keeper: JoinHandle<Option<String>>,
}

/// Why an item cannot begin where it was.
#[derive(Debug)]
pub(crate) enum NotRestored {
    /// The task is to stop.
    Stopped,
    /// The store does not give it.
    Store(infra::Error),
    /// The scratch disk does not take it.
    Disk(io::Error),
}

impl Checkpoints {
    /// Those of the items of `message`, if their stage has any.
    pub(crate) fn of(context: &Context, stage: &Stage, message: &TaskMessage) -> Option<Arc<Self>> {
        let every = stage.checkpoint?.interval;
        Some(Arc::new(Self {
            objects: context.grid.objects.clone(),
            patience: context.patience.clone(),
            job: message.job.clone(),
            stage: message.stage.clone(),
            attempt: message.attempt,
            set: message.params.clone(),
            every,
            nonce: context.dice.nonce(),
            drain: context.stop.drain.clone(),
            stored: Mutex::default(),
        }))
    }

    /// Makes a folder below `scratch` for an item, with what its newest checkpoint holds, and keeps it until it is closed.
    pub(crate) async fn open(
        self: Arc<Self>,
        item: ItemIndex,
        scratch: &Path,
        kill: &CancellationToken,
    ) -> Result<Kept, NotRestored> {
        let folder = scratch.join(format!("checkpoint.{item}"));
        let older = self.restore(item, &folder, kill).await?;
        let (end, ends) = oneshot::channel();
        let keeper = Keeper::new(self, item, folder.clone(), scratch.to_owned(), older);
        Ok(Kept { folder, end, keeper: tokio::spawn(keeper.run(ends)) })
    }

    /// Removes all checkpoints of items that are committed. What cannot be removed is left to the bucket's lifecycle.
    pub(crate) async fn discard(&self, items: Vec<ItemIndex>) {
        let stored = std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner));
        for item in items.into_iter().filter(|item| stored.contains(item)) {
            let keys = match self.list(item).await {
                Ok(keys) => keys,
                Err(error) => return tracing::debug!(%error, "checkpoints of committed items stay"),
            };
            for key in keys {
                if let Err(error) = self.objects.delete(&key).await {
                    tracing::debug!(key, %error, "a checkpoint of a committed item stays");
                }
            }
        }
    }

    /// Fills the folder; the keys of all checkpoints that were seen, from old to new.
    async fn restore(
        &self,
        item: ItemIndex,
        folder: &Path,
        kill: &CancellationToken,
    ) -> Result<Vec<String>, NotRestored> {
        let mut seen = Vec::new();
        for look in 1..=CHECKPOINT_LOOKS {
            seen = self.patience.persist(kill, || self.list(item)).await.map_err(|error| not_restored(error, kill))?;
            if seen.is_empty() {
                break;
            }
            self.has_stored(item);
            match self.newest(item, &seen, folder, kill).await? {
                Newest::Restored => return Ok(seen),
                Newest::None => break,
                // Whoever removed it has a newer one, or has committed the item.
                Newest::Gone => {}
                Newest::Interrupted(error) if look == CHECKPOINT_LOOKS => return Err(not_restored(error, kill)),
                Newest::Interrupted(error) => tracing::debug!(%error, "a checkpoint is read once more"),
            }
        }
        fresh(folder).map_err(NotRestored::Disk)?;
        Ok(seen)
    }

    async fn newest(
        &self,
        item: ItemIndex,
        keys: &[String],
        folder: &Path,
        kill: &CancellationToken,
    ) -> Result<Newest, NotRestored> {
        let expected = self.head(item);
        for key in keys.iter().rev() {
            fresh(folder).map_err(NotRestored::Disk)?;
            let stream = self.patience.persist(kill, || self.objects.stream(key, None)).await;
            let unpacked = match stream {
                Ok(stream) => tokio::select! {
                    biased;
                    () = kill.cancelled() => return Err(NotRestored::Stopped),
                    unpacked = unpack(stream, &expected, folder) => unpacked,
                },
                Err(error) => Err(Broken::Store(error)),
            };
            match unpacked {
                Ok(()) => {
                    tracing::info!(key, "restored a checkpoint");
                    return Ok(Newest::Restored);
                }
                Err(Broken::Store(error)) if error.kind == ErrorKind::NotFound => return Ok(Newest::Gone),
                Err(Broken::Store(error)) if error.is_transient() => return Ok(Newest::Interrupted(error)),
                Err(Broken::Store(error)) => return Err(not_restored(error, kill)),
                Err(Broken::Disk(error)) => return Err(NotRestored::Disk(error)),
                Err(Broken::Damaged(why)) => {
                    tracing::warn!(key, why, "a checkpoint cannot be used: an older one is taken")
                }
            }
        }
        Ok(Newest::None)
    }

    async fn list(&self, item: ItemIndex) -> infra::Result<Vec<String>> {
        let prefix = self.prefix(item);
        let mut keys: Vec<String> = Vec::new();
        loop {
            let page = self.objects.list(&prefix, keys.last().map(String::as_str), LIST_PAGE).await?;
            let is_last = page.len() < LIST_PAGE;
            keys.extend(page.into_iter().map(|object| object.key));
            if is_last {
                return Ok(keys);
            }
        }
    }

    fn prefix(&self, item: ItemIndex) -> String {
        layout::checkpoints(&self.job, &self.stage, item, &self.set)
    }

    fn head(&self, item: ItemIndex) -> CheckpointHead {
        let (job, stage) = (self.job.clone(), self.stage.clone());
        CheckpointHead { v: WIRE_VERSION, job, stage, item, attempt: self.attempt }
    }

    fn has_stored(&self, item: ItemIndex) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(item);
    }
}

/// What looking for the newest came to.
enum Newest {
    Restored,
    /// None can be used.
    None,
    /// It was removed meanwhile.
    Gone,
    /// The store broke off.
    Interrupted(infra::Error),
}

impl Kept {
    /// What `GRIDMILL_CHECKPOINT_DIR` says.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the keeping: with a last checkpoint, unless the item has succeeded. Why there is no newer one than the last that
    /// was kept, if something is in the way.
    pub(crate) async fn close(self, is_done: bool) -> Option<String> {
        // The keeper only ends by this, or by a panic, which shows below.
        let _ = self.end.send(if is_done { Last::Leave } else { Last::Keep });
        let trouble = self.keeper.await.unwrap_or_else(|error| Some(format!("its keeper failed: {error}")));
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(%error, "a checkpoint folder goes with the scratch folder of its task");
        }
        trouble
    }
}

fn fresh(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => fs::create_dir(folder),
    }
}

fn not_restored(error: infra::Error, kill: &CancellationToken) -> NotRestored {
    if kill.is_cancelled() { NotRestored::Stopped } else { NotRestored::Store(error) }
}

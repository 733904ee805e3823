//! An item's process with its checkpoint folder.

use std::sync::Arc;

use grid_core::ids::ItemIndex;
use grid_core::reason::{Failure, Reason};

use super::environment::{Variables, set};
use super::fault::{self, NotDone};
use super::task::Execution;
use crate::checkpoint::NotRestored;

impl Execution {
    /// Runs an item's process, with a folder that is kept where its stage wants that. A checkpoint that cannot be kept is no
    /// failure of the item: its log says so.
    pub(super) fn checkpointed<T>(
        &mut self,
        item: ItemIndex,
        mut vars: Variables,
        run: impl FnOnce(&mut Self, Variables) -> Result<T, NotDone>,
    ) -> Result<T, NotDone> {
        let Some(checkpoints) = self.checkpoints.clone() else { return run(self, vars) };
        let opened = Arc::clone(&checkpoints).open(item, &self.scratch, &self.stager.kill);
        let kept = self.handle.block_on(opened).map_err(|not_restored| match not_restored {
            NotRestored::Stopped => NotDone::Stopped,
            NotRestored::Store(error) => {
                let message = format!("the item's checkpoint could not be read: {error}");
                NotDone::Failed(Failure::new(Reason::Internal, message))
            }
            NotRestored::Disk(error) => NotDone::Failed(fault::own("write the item's checkpoint to scratch", &error)),
        })?;
        set(&mut vars, "GRIDMILL_CHECKPOINT_DIR", kept.folder());
        let done = run(self, vars);
        if let Some(why) = self.handle.block_on(kept.close(done.is_ok())) {
            self.stderr.take(format!("gridmill: the last checkpoint was not kept: {why}\n").as_bytes());
        }
        done
    }
}

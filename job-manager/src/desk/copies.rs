//! Copies of a job's tasks: how long its items take, and what executions cost that did not commit.

use std::time::Duration;

use grid_core::copies::ItemTime;
use grid_core::ids::{AttemptKey, StageName};
use grid_core::wire::Manifest;

use super::Desk;

impl Desk {
    /// How long items of a stage take, since this manager took the job on.
    pub fn usual(&self, stage: &StageName) -> Option<ItemTime> {
        self.times.get(stage)?.usual()
    }

    /// Whether another execution of an attempt was begun that is not to end it.
    pub fn has_copies(&self, stage: &StageName, key: AttemptKey) -> bool {
        self.job().out_task(stage, key).is_some_and(|task| task.copies > 0)
    }

    /// Learns from a task that succeeded.
    pub(super) fn learn(&mut self, manifest: &Manifest) {
        if manifest.failed.is_empty() && manifest.unrun.is_empty() && manifest.reused_from.is_none() {
            let times = self.times.entry(manifest.stage.clone()).or_default();
            times.learn(manifest.count, Duration::from_micros(manifest.busy_us));
        }
    }
}

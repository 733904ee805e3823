//! Copies of attempts that are slow: recorded before they are sent, and never an attempt of their own.

use super::state::{Job, JobState};
use crate::copies::MAX_COPIES;
use crate::ids::{AttemptKey, StageName};
use crate::pipeline::Stragglers;

impl Job {
    /// Copies of attempts that are out.
    pub fn copies_out(&self) -> u32 {
        self.out().map(|(_, task)| task.copies).sum()
    }

    /// How many items an attempt has that may get a copy; `None` for one that may not.
    pub fn copyable(&self, stage: &StageName, key: AttemptKey) -> Option<u32> {
        let is_wanted = self.submission.pipeline.stage(stage)?.stragglers == Stragglers::Copy;
        // A job that is held, or whose budget is spent, begins nothing.
        let may_begin = self.meta.state == JobState::Running && !self.is_held();
        let task = self.out_task(stage, key).filter(|task| task.copies < MAX_COPIES && task.is_executable())?;
        (is_wanted && may_begin).then_some(task.count)
    }

    /// Records that an attempt gets a copy, if it may. Write the rows, then send what [`Job::due_copies`] says.
    pub fn copy(&mut self, stage: &StageName, key: AttemptKey) {
        // Two executions of it may be slow, where its message came again.
        if self.copyable(stage, key).is_none() {
            return;
        }
        let Some(index) = self.index_of(stage) else { return };
        let Some(task) = self.out_mut(stage, key) else { return };
        task.copies += 1;
        task.is_copy_due = true;
        self.stages[index].tally_mut(key.first).copies.started += 1;
    }

    /// The message of an attempt's copy was sent.
    pub fn copy_sent(&mut self, stage: &StageName, key: AttemptKey) {
        if let Some(index) = self.index_of(stage)
            && let Some(task) = self.stages[index].out.get_mut(&key.first).filter(|task| task.attempt == key.attempt)
        {
            task.is_copy_due = false;
        }
    }

    /// Charges the slot time of executions that did not commit, in microseconds: with the news that another one did, and so never
    /// twice.
    pub fn charge_lost(&mut self, stage: &StageName, key: AttemptKey, lost_us: u64) {
        if let Some(index) = self.index_of(stage)
            && lost_us > 0
        {
            self.stages[index].tally_mut(key.first).copies.lost_us += lost_us;
        }
    }
}

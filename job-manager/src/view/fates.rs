//! What became of the items of a stage.

use std::ops::Range;

use grid_core::ids::{ItemIndex, StageName};
use grid_core::job::Job;

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It succeeded.
    Committed,
    /// It was given up on.
    Dead,
    /// It was left out, by a rule or because what it needs was.
    Skipped,
    /// A task with it is out, or waits to be tried again.
    Out,
    /// Its turn has not come.
    Waiting,
}

/// What became of the items of one stage, for looking up many of them.
#[derive(Debug)]
pub struct Fates<'job> {
    job: &'job Job,
    stage: StageName,
    dead: Vec<ItemIndex>,
    skipped: Vec<ItemIndex>,
    /// Ascending, without overlaps.
    out: Vec<Range<ItemIndex>>,
}

impl<'job> Fates<'job> {
    pub(super) fn new(job: &'job Job, stage: &StageName) -> Self {
        let tasks = job.out().filter(|(of, _)| *of == stage);
        let mut out: Vec<_> = tasks.map(|(_, task)| task.first..task.first.saturating_add(task.count)).collect();
        out.sort_unstable_by_key(|items| items.start);
        Self { job, stage: stage.clone(), dead: job.dead(stage), skipped: job.skipped(stage), out }
    }

    /// What became of an item.
    pub fn of(&self, item: ItemIndex) -> Fate {
        if self.job.is_ok(&self.stage, item) {
            return Fate::Committed;
        }
        let after = self.out.partition_point(|items| items.start <= item);
        let is_out = after.checked_sub(1).is_some_and(|place| self.out[place].contains(&item));
        match (is_out, self.dead.binary_search(&item), self.skipped.binary_search(&item)) {
            (true, _, _) => Fate::Out,
            (false, Ok(_), _) => Fate::Dead,
            (false, Err(_), Ok(_)) => Fate::Skipped,
            (false, Err(_), Err(_)) => Fate::Waiting,
        }
    }
}

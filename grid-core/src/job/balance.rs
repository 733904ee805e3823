//! The balance of a job: everything that went in has come out, or stands in the dead letters.

use super::stage::{StageBook, StageView};
use super::state::{Job, JobState};
use crate::ids::StageName;
use crate::limits::SHARD_ITEMS;
use crate::pipeline::ItemSource;
use crate::spending::Spending;

/// The balance of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// Of each stage, in the order of the pipeline.
    pub stages: Vec<StageBalance>,
    /// What does not balance, in words; empty when all is well.
    pub faults: Vec<String>,
}

/// The balance of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageBalance {
    /// The stage.
    pub stage: StageName,
    /// Its numbers.
    pub view: StageView,
    /// Items that were never run.
    pub not_run: u64,
}

impl Job {
    /// Notes what was asked of services for this job: in a row that is written anyway, if there is one.
    pub fn charge(&mut self, spending: &Spending) {
        if spending.is_empty() {
            return;
        }
        let dirty = |book: &StageBook| book.dirty_shards.first().copied();
        let (index, shard) =
            (self.stages.iter().enumerate()).find_map(|(index, book)| Some((index, dirty(book)?))).unwrap_or_default();
        if let Some(book) = self.stages.get_mut(index) {
            book.tally_mut(shard * SHARD_ITEMS).spending.add(spending);
        }
    }

    /// As [`Job::charge`], when a round has ended and nothing but the job's own row is to be written.
    pub fn charge_end(&mut self, spending: &Spending) {
        self.meta.spending.add(spending);
        self.dirty = true;
    }

    /// What was asked of services for this job, as far as it was told.
    pub fn spending(&self) -> Spending {
        let mut spending = self.meta.spending.clone();
        self.stages.iter().for_each(|book| spending.add(&book.total().spending));
        spending
    }

    /// Adds up the job. Every stage must have ok + skipped + dead = items (with those not run, in a job that ended early), and a stage that cuts an input must have read
    /// exactly the bytes that were planned.
    pub fn balance(&self) -> Balance {
        let mut faults = Vec::new();
        let mut stages = Vec::new();
        for (index, book) in self.stages.iter().enumerate() {
            let spec = self.spec(index);
            let view = book.view();
            let ended = view.ok + view.skipped + view.dead;
            let not_run = view.items.saturating_sub(ended);
            // A job that ended early owes nobody the items that it did not run: they are told as such.
            let is_owed = !self.meta.state.is_final() || self.meta.state == JobState::Succeeded;
            if is_owed && (!view.planned || ended != view.items) {
                faults.push(format!(
                    "{}: {} items were planned, {} ended ({} ok, {} skipped, {} dead)",
                    spec.name, view.items, ended, view.ok, view.skipped, view.dead
                ));
            }
            if matches!(spec.items, ItemSource::Split(_)) && not_run == 0 && view.bytes_in != view.bytes_planned {
                faults.push(format!(
                    "{}: {} bytes of input were planned, {} were read",
                    spec.name, view.bytes_planned, view.bytes_in
                ));
            }
            stages.push(StageBalance { stage: spec.name.clone(), view, not_run });
        }
        Balance { stages, faults }
    }
}

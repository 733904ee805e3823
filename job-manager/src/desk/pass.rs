//! One job's part of a pass: rows before messages, and rows before what says that the job has ended.

use grid_core::job::{Ending, JobState, TaskPhase};
use grid_core::random::Random;
use infra::Grid;
use tokio::time::Instant;

use super::Desk;
use crate::ManagerError;
use crate::accounts::Accounts;
use crate::finish::{finish, tombstone};
use crate::lease::check_lead;
use crate::table::{JobTable, Saved};

impl Desk {
    /// Writes what changed, sends what is due, and ends what has come to its end. `Ok(true)` when the job is over, and that is
    /// written.
    pub async fn pass(
        &mut self,
        grid: &Grid,
        epoch: u64,
        flush_due: bool,
        random: &mut Random,
        accounts: &Accounts,
    ) -> Result<bool, ManagerError> {
        self.is_eager = false;
        let has_ended = self.table.job.settle(grid.clock.now_ms()).is_some() || self.table.job.state().is_final();
        let has_due = self.table.job.out().any(|(_, task)| task.phase == TaskPhase::Due || task.is_copy_due);
        if !(has_ended || has_due || flush_due) {
            return Ok(false);
        }
        if !self.tell_others(grid).await? {
            return Ok(false);
        }
        // Again, since the job may have been read again.
        let ending = self.table.job.settle(grid.clock.now_ms());
        if self.table.job.is_dirty() {
            accounts.charge(&mut self.table.job);
        }
        if !self.save(grid, epoch).await? {
            return Ok(false);
        }
        if let Some(ending) = ending {
            self.end(grid, ending, accounts).await?;
            return self.save(grid, epoch).await;
        }
        let is_over = self.table.job.state().is_final();
        if has_due && !is_over {
            self.commit_reused(grid, random).await?;
            self.send_due(grid).await?;
        }
        Ok(is_over)
    }

    /// Writes what changed. `Ok(false)` when it is not known whether that was done: then the job was read again.
    async fn save(&mut self, grid: &Grid, epoch: u64) -> Result<bool, ManagerError> {
        if self.table.save(grid, epoch).await? == Saved::Unsure {
            check_lead(grid, epoch).await?;
            self.reload(grid).await?;
            return Ok(false);
        }
        self.unsaved_since = None;
        self.told.append(&mut self.acks);
        Ok(true)
    }

    /// Tells others what was committed. `Ok(false)` when they cannot be told now: then no row may say that it was.
    async fn tell_others(&mut self, grid: &Grid) -> Result<bool, ManagerError> {
        if self.notices.tell(grid, &self.table.job).await? {
            return Ok(true);
        }
        if self.table.job.state() == JobState::Cancelled {
            // Nobody waits for it any longer: what others were not told of does not count.
            self.reload(grid).await?;
            return Ok(true);
        }
        self.unsaved_since = Some(Instant::now());
        Ok(false)
    }

    /// The rows say how the job ends, and change no more: now workers and people are told. Whoever leads does the same, however
    /// often and however late; what was written first stands.
    async fn end(&mut self, grid: &Grid, ending: Ending, accounts: &Accounts) -> Result<(), ManagerError> {
        match ending {
            Ending::Commit | Ending::Over => {}
            Ending::Stop => tombstone(grid, &self.table.job).await?,
        }
        accounts.charge_end(&mut self.table.job);
        finish(grid, &mut self.table.job, &accounts.prices).await
    }

    /// Writes what changed, whether or not anything waits for it.
    pub async fn close(&mut self, grid: &Grid, epoch: u64, accounts: &Accounts) -> Result<(), ManagerError> {
        if !self.tell_others(grid).await? {
            return Ok(());
        }
        if self.table.job.is_dirty() {
            accounts.charge(&mut self.table.job);
        }
        if self.table.save(grid, epoch).await? == Saved::Unsure {
            return Ok(());
        }
        self.told.append(&mut self.acks);
        if let Some(ending) = self.table.job.owed() {
            self.end(grid, ending, accounts).await?;
            self.table.save(grid, epoch).await?;
        }
        Ok(())
    }

    /// Reads the job again: what it holds beyond its rows is not to be relied on.
    pub(super) async fn reload(&mut self, grid: &Grid) -> Result<(), ManagerError> {
        let id = self.job().submission().job.clone();
        let before = std::mem::replace(&mut self.table, JobTable::load(grid, &id).await?);
        self.table.job.remember(&before.job);
        self.planning.clear();
        // Their news may not be in the rows: they come again.
        self.acks.clear();
        self.notices.clear();
        self.unsaved_since = None;
        self.begin(grid);
        Ok(())
    }
}

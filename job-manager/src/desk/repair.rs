//! What should be happening, compared with what is: tasks of which nothing is heard, and those that kill their workers.

use grid_core::ids::{AttemptKey, StageName, WorkerId};
use grid_core::job::TaskPhase;
use grid_core::limits::{MAX_DEATHS, MAX_RESENDS};
use grid_core::pipeline::ItemSource;
use grid_core::random::Random;
use grid_core::split::Slice;
use grid_core::submission::Submission;
use infra::Grid;
use infra::plan::PlanReader;
use tokio::time::Instant;

use super::Desk;
use crate::ManagerError;
use crate::objects::read_manifest;
use crate::reconcile::Surroundings;

impl Desk {
    /// Gives up what kills its workers. Looks for the manifests of tasks of which nothing is known, and of those that are silent; where there is none,
    /// and no message can be left either, the task is sent again.
    pub async fn reconcile(
        &mut self,
        grid: &Grid,
        around: &Surroundings,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        self.give_up_poison(grid, random).await?;
        let job = self.job().submission().job.clone();
        let silent_since = |phase: TaskPhase| match phase {
            TaskPhase::Unknown => Some(self.taken_on_ms),
            TaskPhase::Sent { at_ms } => Some(at_ms).filter(|at_ms| *at_ms < around.silent_before_ms),
            TaskPhase::Waiting { .. } | TaskPhase::Due => None,
        };
        let silent: Vec<_> = (self.job().out())
            .filter_map(|(stage, task)| Some((stage.clone(), task.key(), task.phase, silent_since(task.phase)?)))
            .filter(|(stage, key, ..)| !around.running.contains(&(job.clone(), stage.clone(), *key)))
            .collect();
        for (stage, key, phase, sent_ms) in silent {
            let is_lost = around.is_caught_up || sent_ms < around.overtaken_before_ms;
            if let Some(manifest) = read_manifest(grid, &job, &stage, key).await? {
                self.hear_manifest(&manifest, None, grid.clock.now_ms(), random);
            } else if is_lost && phase == TaskPhase::Unknown {
                self.table.job.not_found(&stage, key);
            } else if is_lost {
                self.resend(grid, &stage, key, random).await?;
            }
        }
        Ok(())
    }

    async fn resend(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let resends = self.table.job.resend(stage, key);
        tracing::warn!(%stage, attempt = %key, resends, "nothing was heard of a task; sending it again");
        if resends <= MAX_RESENDS {
            return Ok(());
        }
        let why = format!("it was sent again {MAX_RESENDS} times, and nothing was ever heard of it");
        self.give_up(grid, stage, key, &why, random).await
    }

    /// A worker fell silent while it ran an attempt.
    pub fn worker_died(&mut self, stage: &StageName, key: AttemptKey, worker: &WorkerId) {
        self.table.job.worker_died(stage, key, worker);
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// Gives up the attempts under which too many workers died.
    async fn give_up_poison(&mut self, grid: &Grid, random: &mut Random) -> Result<(), ManagerError> {
        let is_poison = |died: usize| died >= MAX_DEATHS as usize;
        let poison: Vec<_> = (self.job().out())
            .filter(|(_, task)| is_poison(task.died.len()))
            .map(|(stage, task)| (stage.clone(), task.key(), task.died.len()))
            .collect();
        for (stage, key, deaths) in poison {
            let why = format!("{deaths} workers died or fell silent while they ran it");
            self.give_up(grid, &stage, key, &why, random).await?;
        }
        Ok(())
    }

    /// The queue has received an attempt's message so often that it keeps it no longer. That may be the doing of many
    /// drains: what becomes of the attempt is for its manifest to say, and for the deaths of workers.
    pub async fn queue_gave_up(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let job = self.job().submission().job.clone();
        match read_manifest(grid, &job, stage, key).await? {
            Some(manifest) => _ = self.hear_manifest(&manifest, None, grid.clock.now_ms(), random),
            None => self.resend(grid, stage, key, random).await?,
        }
        Ok(())
    }

    /// An attempt of which nobody will report anything: its failure is committed here, unless it did end after all.
    async fn give_up(
        &mut self,
        grid: &Grid,
        stage: &StageName,
        key: AttemptKey,
        why: &str,
        random: &mut Random,
    ) -> Result<(), ManagerError> {
        let bytes_in = self.bytes_in(grid, stage, key).await?;
        let Some(lost) = self.job().lost_manifest(stage, key, bytes_in, why) else { return Ok(()) };
        self.commit(grid, &lost, random).await
    }

    /// Bytes of the job's input in a task that is out: they count as read, whoever gives up on them.
    async fn bytes_in(&self, grid: &Grid, stage: &StageName, key: AttemptKey) -> Result<u64, ManagerError> {
        let Submission { job, pipeline, .. } = &**self.job().submission();
        let cuts_input = pipeline.stage(stage).is_some_and(|stage| matches!(stage.items, ItemSource::Split(_)));
        let Some(task) = self.job().out_task(stage, key).filter(|_| cuts_input) else { return Ok(0) };
        let plans = PlanReader::new(grid.objects.clone());
        let slices = plans.slices(job, stage, task.first, task.count).await?;
        Ok(slices.iter().map(Slice::bytes).sum())
    }
}

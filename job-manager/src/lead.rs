//! The leader: collects what the workers report, plans, hands out tasks, and looks again at what fell silent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_api::{JobStatus, StageStatus};
use grid_core::ids::{AttemptKey, JobId, StageName};
use grid_core::job::{Job, StageView, Tuning};
use grid_core::limits::{MAX_STAGES, QUEUE_BATCH};
use grid_core::random::Random;
use grid_core::rows::{ACTIVE, ActiveRow, LEADER, LeaderRow};
use grid_core::wire::{Completion, Report, RunningTask, TaskMessage};
use infra::queue::{Receipt, Received};
use infra::state::Expect;
use infra::{ErrorKind, Grid};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ManagerError;
use crate::desk::{Desk, PlanNews, read_manifest};
use crate::finish::rfc3339;
use crate::planning::{self, PlanWork};
use crate::submit::{deactivate, read_row, write};
use crate::table::{JobTable, all_rows};
use crate::workers::Workers;

/// How a manager goes about its work.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// Items in a bundle.
    pub tuning: Tuning,
    /// Tasks handed out for every slot in sight: enough that no slot waits, few enough that priorities act at once.
    pub window_per_slot: u32,
    /// News is written at the latest after this long.
    pub flush: Duration,
    /// Time between two looks at what should be happening.
    pub reconcile: Duration,
    /// A task is silent when nothing was heard of it for this long; a worker is gone.
    pub patience: Duration,
    /// How long a report is leased to this manager.
    pub report_lease: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            tuning: Tuning::default(),
            window_per_slot: 3,
            flush: Duration::from_millis(500),
            reconcile: Duration::from_secs(2),
            patience: Duration::from_secs(6),
            report_lease: Duration::from_secs(30),
            seed: 0,
        }
    }
}

/// What is going on, for those who watch.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Jobs that this manager has looked after.
    pub jobs: BTreeMap<JobId, JobStatus>,
    /// What runs on the workers.
    pub running: Vec<RunningTask>,
}

/// Leads until `stop`, or until the lead is lost.
pub async fn lead(
    grid: Grid,
    config: ManagerConfig,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<(), ManagerError> {
    let epoch = take_lead(&grid).await?;
    let (plan_news, mut plans) = mpsc::channel(MAX_STAGES);
    let (report_batches, mut reports) = mpsc::channel(4);
    let mut helpers = JoinSet::new();
    helpers.spawn(receive_reports(grid.clone(), config.report_lease, report_batches, stop.clone()));
    let mut leader = Leader::new(grid, config, epoch, progress, plan_news, helpers);
    leader.look_for_jobs().await?;
    loop {
        leader.survive_pass().await?;
        let wake = leader.next_wake();
        let event = tokio::select! {
            () = stop.cancelled() => Event::Stop,
            Some(batch) = reports.recv() => Event::Reports(batch),
            Some(news) = plans.recv() => Event::Plan(news),
            () = sleep_until(wake) => Event::Wake,
        };
        match event {
            Event::Stop => break,
            Event::Plan(news) => leader.hear_plan(news),
            Event::Wake => {}
            Event::Reports(batch) => {
                leader.hear_reports(batch).await;
                while let Ok(batch) = reports.try_recv() {
                    leader.hear_reports(batch).await;
                }
            }
        }
    }
    leader.stop().await
}

enum Event {
    Stop,
    Reports(Vec<Received>),
    Plan(PlanNews),
    Wake,
}

struct Leader {
    grid: Grid,
    config: ManagerConfig,
    epoch: u64,
    desks: BTreeMap<JobId, Desk>,
    workers: Workers,
    random: Random,
    progress: watch::Sender<Progress>,
    published: Option<Instant>,
    plan_news: mpsc::Sender<PlanNews>,
    helpers: JoinSet<()>,
    next_reconcile: Instant,
}

/// About how long to wait after a back end failed.
const AFTER_FAULT: Duration = Duration::from_millis(500);

/// Time between two pictures for those who watch.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

impl Leader {
    fn new(
        grid: Grid,
        config: ManagerConfig,
        epoch: u64,
        progress: watch::Sender<Progress>,
        plan_news: mpsc::Sender<PlanNews>,
        helpers: JoinSet<()>,
    ) -> Self {
        Self {
            workers: Workers::new(config.patience),
            random: Random::from_seed(config.seed),
            desks: BTreeMap::new(),
            published: None,
            next_reconcile: Instant::now(),
            grid,
            config,
            epoch,
            progress,
            plan_news,
            helpers,
        }
    }

    /// Takes on every job on the list of active ones.
    async fn look_for_jobs(&mut self) -> Result<(), ManagerError> {
        for row in all_rows(self.grid.state.as_ref(), ACTIVE).await? {
            let id = JobId::new(row.key.sort);
            if self.desks.contains_key(&id) {
                continue;
            }
            let wish: ActiveRow =
                serde_json::from_slice(&row.body).map_err(|error| ManagerError::damaged(format!("row {id}"), error))?;
            let mut table = JobTable::load(&self.grid, &id).await?;
            if wish.redrive {
                crate::redrive::redrive(&self.grid, &mut table.job).await?;
            }
            tracing::info!(job = %id, "taking on a job");
            self.desks.insert(id, Desk::take_on(&self.grid, table).await?);
        }
        Ok(())
    }

    /// A pass that a back end's bad moment cut short is made again: everything in it may happen twice.
    async fn survive_pass(&mut self) -> Result<(), ManagerError> {
        loop {
            match self.pass().await {
                Err(ManagerError::Store(error)) if error.is_transient() => {
                    let wait = AFTER_FAULT.mul_f64(0.5 + self.random.unit());
                    tracing::warn!(%error, "a back end failed; trying again");
                    sleep(wait).await;
                }
                done => return done,
            }
        }
    }

    /// Brings every job as far as it can go now.
    async fn pass(&mut self) -> Result<(), ManagerError> {
        let now = Instant::now();
        if now >= self.next_reconcile {
            self.next_reconcile = now + self.config.reconcile;
            self.look_for_jobs().await?;
            self.reconcile(now).await?;
        }
        self.begin_plans();
        for desk in self.desks.values_mut() {
            desk.look_for_results(&self.grid).await?;
        }
        self.dispatch(now);
        let mut over = Vec::new();
        for (id, desk) in &mut self.desks {
            let flush_due = desk.unsaved_since().is_some_and(|since| now.duration_since(since) >= self.config.flush);
            if desk.pass(&self.grid, self.epoch, flush_due, &mut self.random).await? {
                over.push(id.clone());
            }
        }
        self.publish(now, !over.is_empty());
        for id in over {
            deactivate(&self.grid, &id).await?;
            self.desks.remove(&id);
            self.progress.send_modify(|_| ());
        }
        Ok(())
    }

    fn begin_plans(&mut self) {
        for desk in self.desks.values_mut() {
            for stage in desk.plans_to_begin() {
                let work = PlanWork::of(desk.job(), &stage);
                self.helpers.spawn(planning::plan(self.grid.clone(), work, self.plan_news.clone()));
            }
        }
        while self.helpers.try_join_next().is_some() {}
    }

    /// Keeps the queue shallow: a few tasks for every slot.
    fn dispatch(&mut self, now: Instant) {
        let slots = self.workers.slots(now).max(1);
        let window = (slots * self.config.window_per_slot) as usize;
        let mut out: usize = self.desks.values().map(|desk| desk.job().handed_out()).sum();
        // Refilled in rounds, because every round is a durable write; never so late that a slot would wait.
        if window.saturating_sub(out) < slots as usize && out > 0 {
            return;
        }
        let tuning = Tuning { slots, ..self.config.tuning };
        let now_ms = self.grid.clock.now_ms();
        for desk in self.desks.values_mut() {
            out += desk.table.job.dispatch(now_ms, &tuning, window.saturating_sub(out));
        }
    }

    fn next_wake(&self) -> Instant {
        if self.desks.values().any(|desk| desk.is_eager) {
            return Instant::now();
        }
        let now_ms = self.grid.clock.now_ms();
        let in_ms = |until_ms: u64| Instant::now() + Duration::from_millis(until_ms.saturating_sub(now_ms));
        let flushes =
            self.desks.values().filter_map(|desk| desk.unsaved_since()).map(|since| since + self.config.flush);
        let retries =
            self.desks.values().filter_map(|desk| desk.job().next_wake_ms()).filter(|ms| *ms > now_ms).map(in_ms);
        flushes.chain(retries).chain([self.next_reconcile]).min().unwrap_or(self.next_reconcile)
    }

    fn hear_plan(&mut self, news: PlanNews) {
        if let Some(desk) = self.desks.get_mut(&news.job) {
            desk.hear_plan(&news.stage, news.what, self.grid.clock.now_ms());
        }
    }

    async fn hear_reports(&mut self, batch: Vec<Received>) {
        let mut heard = Vec::new();
        let mut completions = Vec::new();
        for received in batch {
            match serde_json::from_str(&received.body) {
                Ok(Report::Heartbeat(heartbeat)) => {
                    self.workers.saw(heartbeat, Instant::now());
                    heard.push(received.receipt);
                }
                Ok(Report::Completed(completion)) => completions.push((completion, received.receipt)),
                Err(error) => tracing::warn!(%error, "a report cannot be understood; leaving it for a newer manager"),
            }
        }
        let grid = &self.grid;
        let read = completions.into_iter().map(async |(completion, receipt)| {
            let Completion { job, stage, key, .. } = &completion;
            (read_manifest(grid, job, stage, *key).await, completion, receipt)
        });
        for (manifest, completion, receipt) in futures::future::join_all(read).await {
            match (manifest, self.desks.get_mut(&completion.job)) {
                (Ok(Some(manifest)), Some(desk)) => {
                    desk.hear_manifest(&manifest, Some(receipt), self.grid.clock.now_ms(), &mut self.random);
                }
                // Of a job that is over, or a lie.
                (Ok(_), _) => heard.push(receipt),
                (Err(error), _) => tracing::warn!(%error, "a manifest was not read; its report comes again"),
            }
        }
        self.forget(&heard).await;
    }

    async fn forget(&self, receipts: &[Receipt]) {
        for receipts in receipts.chunks(QUEUE_BATCH) {
            if let Err(error) = self.grid.reports.delete(receipts).await {
                tracing::debug!(%error, "reports were not deleted");
            }
        }
    }

    async fn reconcile(&mut self, now: Instant) -> Result<(), ManagerError> {
        self.bury_dead_tasks().await?;
        let depth = match self.grid.tasks.depth().await {
            Ok(depth) => depth,
            Err(error) => {
                tracing::warn!(%error, "the task queue does not say how deep it is; repairing nothing");
                return Ok(());
            }
        };
        let running: Vec<&RunningTask> = self.workers.running(now).collect();
        // Repair must not double the load: nothing is sent again while messages may still be on their way.
        let is_caught_up = depth.waiting == 0 && depth.in_flight <= running.len() as u64;
        let before_ms = self.grid.clock.now_ms().saturating_sub(self.config.patience.as_millis() as u64);
        for (id, desk) in &mut self.desks {
            let of_job: BTreeSet<(StageName, AttemptKey)> =
                running.iter().filter(|task| task.job == *id).map(|task| (task.stage.clone(), task.key)).collect();
            desk.reconcile(&self.grid, before_ms, &of_job, is_caught_up, &mut self.random).await?;
        }
        Ok(())
    }

    /// Tasks whose workers died again and again, according to the queue.
    async fn bury_dead_tasks(&mut self) -> Result<(), ManagerError> {
        loop {
            let batch = self.grid.dead_tasks.receive(QUEUE_BATCH, self.config.report_lease, Duration::ZERO).await?;
            if batch.is_empty() {
                return Ok(());
            }
            for received in batch {
                if let Ok(task) = serde_json::from_str::<TaskMessage>(&received.body)
                    && let Some(desk) = self.desks.get_mut(&task.job)
                {
                    desk.give_up(&self.grid, &task.stage, task.key(), &mut self.random).await?;
                }
                for answer in self.grid.dead_tasks.delete(&[received.receipt]).await? {
                    answer?;
                }
            }
        }
    }

    fn publish(&mut self, now: Instant, is_news: bool) {
        let is_fresh = self.published.is_some_and(|at| now.duration_since(at) < PUBLISH_EVERY);
        if is_fresh && !is_news {
            return;
        }
        self.published = Some(now);
        let jobs: Vec<(JobId, JobStatus)> =
            self.desks.iter().map(|(id, desk)| (id.clone(), status_of(desk.job()))).collect();
        let running = self.workers.running(now).cloned().collect();
        self.progress.send_modify(|progress| {
            progress.jobs.extend(jobs);
            progress.running = running;
        });
    }

    /// Takes in what has been reported, writes everything, and ends.
    async fn stop(mut self) -> Result<(), ManagerError> {
        self.helpers.shutdown().await;
        loop {
            let batch = self.grid.reports.receive(QUEUE_BATCH, self.config.report_lease, Duration::ZERO).await?;
            if batch.is_empty() {
                break;
            }
            self.hear_reports(batch).await;
        }
        for desk in self.desks.values_mut() {
            desk.save(&self.grid, self.epoch).await?;
        }
        self.publish(Instant::now(), true);
        Ok(())
    }
}

/// Receives reports, one batch ahead of the leader.
async fn receive_reports(grid: Grid, lease: Duration, batches: mpsc::Sender<Vec<Received>>, stop: CancellationToken) {
    const WAIT: Duration = Duration::from_secs(20);
    while !stop.is_cancelled() {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = grid.reports.receive(QUEUE_BATCH, lease, WAIT) => received,
        };
        match received {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => {
                if batches.send(batch).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "reports cannot be received; trying again");
                _ = timeout_at(Instant::now() + Duration::from_secs(1), stop.cancelled()).await;
            }
        }
    }
}

/// Becomes the leader: a higher epoch than any before. Writes of an earlier leader to rows that this one has written
/// are refused from then on.
async fn take_lead(grid: &Grid) -> Result<u64, ManagerError> {
    let found = read_row::<LeaderRow>(grid, LEADER, LEADER).await?;
    let epoch = found.as_ref().map_or(1, |(_, row)| row.epoch + 1);
    let expect = found.map_or(Expect::Absent, |(version, _)| Expect::Version(version));
    for answer in grid.state.write(vec![write(LEADER, LEADER, expect, &LeaderRow { epoch })]).await? {
        match answer {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Conflict => return Err(ManagerError::Fenced),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(epoch)
}

/// A job as people see it.
pub(crate) fn status_of(job: &Job) -> JobStatus {
    let submission = job.submission();
    let stages = submission.pipeline.stages.iter().zip(job.view());
    JobStatus {
        job: submission.job.clone(),
        pipeline: submission.pipeline.name.clone(),
        state: job.state(),
        message: job.message().map(str::to_owned),
        submitted: submission.submitted.to_string(),
        finished: job.finished_ms().map(rfc3339),
        stages: stages.map(|(stage, view)| stage_status(&stage.name, view)).collect(),
    }
}

fn stage_status(name: &StageName, view: StageView) -> StageStatus {
    StageStatus {
        name: name.clone(),
        items: view.items,
        planned: view.planned,
        ok: view.ok,
        reused: view.reused,
        skipped: view.skipped,
        dead: view.dead,
        running: view.running,
        attempts: view.attempts,
        failures: view.failures,
        bytes_planned: view.bytes_planned,
        bytes_in: view.bytes_in,
        bytes_out: view.bytes_out,
        busy_secs: view.busy_us as f64 / 1e6,
    }
}

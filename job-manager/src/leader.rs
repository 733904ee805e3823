//! The leader: plans, hands out tasks, and brings every job as far as it can go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grid_api::JobStatus;
use grid_core::ids::JobId;
use grid_core::limits::QUEUE_BATCH;
use grid_core::random::Random;
use grid_core::rows::{ACTIVE, ActiveRow};
use infra::Grid;
use infra::queue::Received;
use infra::state::Row;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ManagerError;
use crate::accounts::Accounts;
use crate::config::ManagerConfig;
use crate::desk::{Desk, PlanNews};
use crate::error::{Remedy, with_causes};
use crate::fleet::{self, Lookout};
use crate::lead::Term;
use crate::pause::{after_fault, pause};
use crate::planning::{self, PlanWork};
use crate::reconcile::{Surroundings, Turnover};
use crate::roster::Roster;
use crate::status::{Progress, status_of, unreadable};
use crate::submit::deactivate;
use crate::table::{JobTable, all_rows};
use crate::told::Told;
use crate::turns::Turns;
use crate::workers::Workers;

/// The manager that leads, with everything that it looks after.
pub(crate) struct Leader {
    pub grid: Grid,
    pub config: ManagerConfig,
    pub desks: BTreeMap<JobId, Desk>,
    pub workers: Workers,
    pub roster: Roster,
    pub random: Random,
    /// Somebody said so: the list of active jobs is read before its time.
    pub has_news_of_jobs: bool,
    /// Every active job was taken on once: one that is not in hand is over.
    pub knows_jobs: bool,
    /// Reports that are to be deleted.
    pub told: Told,
    accounts: Accounts,
    pub epoch: u64,
    pub turns: Turns,
    /// Since when no message of a task seems to be left that nobody works on.
    pub quiet_since: Option<Instant>,
    /// How far the queue has come.
    pub turnover: Turnover,
    /// Where the fleet is told how things stand.
    pub lookout: Option<Lookout>,
    /// When a task may turn out to be a straggler.
    pub stragglers_due: Option<Instant>,
    unreadable: BTreeSet<JobId>,
    progress: watch::Sender<Progress>,
    published: Option<Instant>,
    plan_news: mpsc::Sender<PlanNews>,
    helpers: JoinSet<()>,
    next_reconcile: Instant,
}

/// Passes of one job that may fail in a row.
const MAX_STRIKES: u32 = 3;

/// Time between two pictures for those who watch.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

impl Leader {
    pub fn new(
        grid: Grid,
        config: ManagerConfig,
        Term { epoch, roster, account }: Term,
        progress: watch::Sender<Progress>,
        plan_news: mpsc::Sender<PlanNews>,
        mut helpers: JoinSet<()>,
    ) -> Self {
        let lookout = config.fleet.clone().map(|fleet| {
            let (ledger, told) = watch::channel(None);
            let (hold, suspended) = watch::channel(BTreeSet::new());
            let (random, tick) = (Random::from_seed(config.seed ^ epoch), fleet.tick);
            let (tell_scaler, goes) = mpsc::channel(fleet::WAITING);
            let (tell_leader, gone) = mpsc::channel(fleet::WAITING);
            if let Some(queue) = fleet.events.clone() {
                helpers.spawn(account.of(async move { fleet::listen(&*queue, &[tell_scaler, tell_leader]).await }));
            }
            helpers.spawn(account.of(fleet::run(grid.clone(), fleet, epoch, (told, goes), hold, random)));
            Lookout::new(ledger, suspended, gone, tick)
        });
        Self {
            workers: Workers::new(config.patience),
            random: Random::from_seed(config.seed),
            desks: BTreeMap::new(),
            has_news_of_jobs: false,
            knows_jobs: false,
            turns: Turns::default(),
            told: Told::default(),
            accounts: Accounts::new(account, config.prices.clone()),
            quiet_since: None,
            turnover: Turnover::default(),
            stragglers_due: None,
            lookout,
            unreadable: BTreeSet::new(),
            published: None,
            next_reconcile: Instant::now(),
            grid,
            config,
            roster,
            epoch,
            progress,
            plan_news,
            helpers,
        }
    }

    /// Takes on the jobs on the list of active ones, and hears what is wished of those in hand.
    async fn look_for_jobs(&mut self) -> Result<(), ManagerError> {
        for row in all_rows(self.grid.state.as_ref(), ACTIVE).await? {
            let id = JobId::new(row.key.sort.clone());
            let is_ours = self.config.only.as_ref().is_none_or(|only| *only == id);
            if !is_ours || self.unreadable.contains(&id) {
                continue;
            }
            let heard = match self.desks.get_mut(&id) {
                Some(desk) => desk.hear_wish(&self.grid, row.version).await,
                None => take_on(&self.grid, &id, &row).await.map(|desk| _ = self.desks.insert(id.clone(), desk)),
            };
            match heard {
                Ok(()) => {}
                Err(error) if error.remedy() == Remedy::Blame => self.leave_alone(id, &error),
                Err(error) => return Err(error),
            }
        }
        self.knows_jobs = true;
        Ok(())
    }

    /// A job that cannot be read is nobody's to touch; the others go on.
    fn leave_alone(&mut self, id: JobId, error: &ManagerError) {
        let why = with_causes(error);
        tracing::error!(job = %id, why, "a job cannot be taken on");
        self.progress.send_modify(|progress| _ = progress.jobs.insert(id.clone(), unreadable(&id, why)));
        self.desks.remove(&id);
        self.unreadable.insert(id);
    }

    /// A pass that a back end's bad moment cut short is made again, as long as nobody says stop: everything in it may
    /// happen twice.
    pub async fn survive_pass(&mut self, stop: &CancellationToken) -> Result<(), ManagerError> {
        loop {
            match self.pass().await {
                Err(error) if error.remedy() == Remedy::Wait => {
                    tracing::warn!(error = with_causes(&error), "a back end failed; trying again");
                    pause(after_fault(&mut self.random), stop).await;
                    if stop.is_cancelled() {
                        return Ok(());
                    }
                }
                done => return done,
            }
        }
    }

    /// Brings every job as far as it can go now.
    async fn pass(&mut self) -> Result<(), ManagerError> {
        let now = Instant::now();
        if self.desks.is_empty() {
            self.accounts.is_idle();
        }
        self.roster.keep(&self.grid, self.epoch, &mut self.workers, now).await?;
        let is_reconcile_due = now >= self.next_reconcile;
        if is_reconcile_due || self.has_news_of_jobs {
            self.look_for_jobs().await?;
            self.has_news_of_jobs = false;
        }
        let silent = if is_reconcile_due {
            let silent = self.look_around(now).await?;
            self.next_reconcile = now + self.config.idle_reconcile;
            silent
        } else {
            None
        };
        if !self.desks.is_empty() {
            self.next_reconcile = self.next_reconcile.min(now + self.config.reconcile);
        }
        self.redrive_as_wished().await?;
        self.begin_plans();
        self.tell_fleet(now);
        self.dispatch(now).await?;
        self.copy_stragglers(now);
        let jobs: Vec<JobId> = self.desks.keys().cloned().collect();
        let mut over = Vec::new();
        for id in jobs {
            let tended = self.tend(&id, now, silent.as_ref()).await;
            if self.or_blame(&id, tended)? == Some(true) {
                over.push(id);
            }
        }
        self.publish(now, !over.is_empty());
        // Those of a job that is over go with it: it may run again.
        let told_patience = if over.is_empty() { self.config.flush } else { Duration::ZERO };
        for id in over {
            let Some(desk) = self.desks.remove(&id) else { continue };
            deactivate(&self.grid, &id, desk.listed, desk.job().round()).await?;
        }
        self.told.delete(&self.grid, now, told_patience).await;
        Ok(())
    }

    /// One job's part of a pass. `Ok(true)` when it is over and written.
    async fn tend(&mut self, id: &JobId, now: Instant, silent: Option<&Surroundings>) -> Result<bool, ManagerError> {
        let Some(desk) = self.desks.get_mut(id) else { return Ok(false) };
        if let Some(surroundings) = silent {
            desk.reconcile(&self.grid, surroundings, &mut self.random).await?;
        }
        let flush_due = desk.unsaved_since().is_some_and(|since| now.duration_since(since) >= self.config.flush);
        let is_over = desk.pass(&self.grid, self.epoch, flush_due, &mut self.random, &self.accounts).await?;
        desk.strikes = 0;
        self.told.add(desk.take_told());
        Ok(is_over)
    }

    /// What was done for a job; `None` where it could not be, and that is the job's own fault.
    pub(crate) fn or_blame<T>(&mut self, id: &JobId, done: Result<T, ManagerError>) -> Result<Option<T>, ManagerError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.remedy() == Remedy::Blame => {
                self.blame(id, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A job with which the leader cannot go on must not hold up the others.
    pub(crate) fn blame(&mut self, id: &JobId, error: &ManagerError) {
        let Some(desk) = self.desks.get_mut(id) else { return };
        desk.strikes += 1;
        let why = with_causes(error);
        tracing::error!(job = %id, why, strikes = desk.strikes, "a job cannot go on");
        if desk.strikes >= MAX_STRIKES {
            desk.table.job.quarantine(why, self.grid.clock.now_ms());
        }
    }

    /// Before tasks are handed out: what runs again waits its turn like all others.
    async fn redrive_as_wished(&mut self) -> Result<(), ManagerError> {
        let jobs: Vec<JobId> = self.desks.keys().cloned().collect();
        for id in jobs {
            let Some(desk) = self.desks.get_mut(&id) else { continue };
            let redriven = desk.redrive(&self.grid).await;
            self.or_blame(&id, redriven)?;
        }
        Ok(())
    }

    fn begin_plans(&mut self) {
        for desk in self.desks.values_mut() {
            for stage in desk.plans_to_begin() {
                let work = PlanWork::of(desk.job(), &stage);
                let planning = planning::plan(self.grid.clone(), work, self.plan_news.clone());
                self.helpers.spawn(self.accounts.of(planning));
            }
        }
        while self.helpers.try_join_next().is_some() {}
    }

    /// When something is to be done even if nobody reports anything.
    pub fn next_wake(&self) -> Instant {
        if self.desks.values().any(|desk| desk.is_eager) {
            return Instant::now();
        }
        let now_ms = self.grid.clock.now_ms();
        let in_ms = |until_ms: u64| Instant::now() + Duration::from_millis(until_ms.saturating_sub(now_ms));
        let flushes =
            self.desks.values().filter_map(|desk| desk.unsaved_since()).map(|since| since + self.config.flush);
        let retries =
            self.desks.values().filter_map(|desk| desk.job().next_wake_ms()).filter(|ms| *ms > now_ms).map(in_ms);
        let fleet = self.lookout.as_ref().map(|lookout| lookout.due);
        let others = [self.told.due(self.config.flush), self.roster.due(&self.workers), fleet, self.stragglers_due];
        let others = others.into_iter().flatten();
        flushes.chain(retries).chain(others).chain([self.next_reconcile]).min().unwrap_or(self.next_reconcile)
    }

    /// Takes in news of a plan.
    pub fn hear_plan(&mut self, news: PlanNews) {
        if let Some(desk) = self.desks.get_mut(&news.job) {
            desk.hear_plan(&news.stage, news.what, self.grid.clock.now_ms());
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
    pub async fn stop(mut self, under_way: &mut mpsc::Receiver<Vec<Received>>) -> Result<(), ManagerError> {
        while let Some(batch) = under_way.recv().await {
            self.hear_reports(batch).await;
        }
        self.helpers.shutdown().await;
        loop {
            let batch = self.grid.reports.receive(QUEUE_BATCH, self.config.report_lease, Duration::ZERO).await?;
            if batch.is_empty() {
                break;
            }
            self.hear_reports(batch).await;
        }
        for desk in self.desks.values_mut() {
            desk.close(&self.grid, self.epoch, &self.accounts).await?;
            self.told.add(desk.take_told());
        }
        self.told.delete(&self.grid, Instant::now(), Duration::ZERO).await;
        self.publish(Instant::now(), true);
        Ok(())
    }
}

/// Reads a job and finds out what earlier jobs have for it.
async fn take_on(grid: &Grid, id: &JobId, listed: &Row) -> Result<Desk, ManagerError> {
    let active: ActiveRow = serde_json::from_slice(&listed.body)
        .map_err(|error| ManagerError::damaged(format!("row {ACTIVE}/{id}"), error))?;
    let table = JobTable::load(grid, id).await?;
    tracing::info!(job = %id, "taking on a job");
    Desk::take_on(grid, table, (listed.version, active.asked)).await
}

//! To lead: one manager at a time looks after the jobs, and says so in the state table.

use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::Tuning;
use grid_core::limits::{MAX_STAGES, QUEUE_BATCH};
use grid_core::rows::{LEADER, LeaderRow};
use infra::queue::Received;
use infra::state::Expect;
use infra::{ErrorKind, Grid};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ManagerError;
use crate::desk::PlanNews;
use crate::leader::Leader;
use crate::status::Progress;
use crate::submit::{read_row, write};

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
    /// The one job to look after; all active ones without it.
    pub only: Option<JobId>,
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
            only: None,
            seed: 0,
        }
    }
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

/// Refuses to go on when another manager has taken the lead since.
pub(crate) async fn check_lead(grid: &Grid, epoch: u64) -> Result<(), ManagerError> {
    let found = read_row::<LeaderRow>(grid, LEADER, LEADER).await?;
    if found.is_some_and(|(_, row)| row.epoch == epoch) { Ok(()) } else { Err(ManagerError::Fenced) }
}

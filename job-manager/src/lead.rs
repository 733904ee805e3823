//! To lead: one manager at a time looks after the jobs.

use std::time::Duration;

use grid_core::limits::{MAX_STAGES, QUEUE_BATCH};
use infra::Grid;
use infra::queue::Received;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ManagerError;
use crate::config::ManagerConfig;
use crate::desk::PlanNews;
use crate::leader::Leader;
use crate::lease::Claim;
use crate::roster::Roster;
use crate::status::Progress;

/// Leads until `stop`, or until the lead is lost. Waits for no other manager: where several may be at work at the same
/// time, that is [`manage`](crate::manage).
pub async fn lead(
    grid: Grid,
    config: ManagerConfig,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<(), ManagerError> {
    let claim = Claim::without_lease(&grid, &config);
    match claim.take_at_once(&stop).await? {
        Some(epoch) => reign(grid, config, (epoch, Roster::Unwritten), progress, stop).await,
        None => Ok(()),
    }
}

/// Looks after the jobs under an epoch, until `stop` or until a later epoch is met. Dropping it in the middle is like the
/// death of the process: everything that is not written will be done again.
pub(crate) async fn reign(
    grid: Grid,
    config: ManagerConfig,
    lead: (u64, Roster),
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<(), ManagerError> {
    let (plan_news, mut plans) = mpsc::channel(MAX_STAGES);
    let (report_batches, mut reports) = mpsc::channel(4);
    let mut helpers = JoinSet::new();
    helpers.spawn(receive_reports(grid.clone(), config.report_lease, report_batches, stop.clone()));
    let mut leader = Leader::new(grid, config, lead, progress, plan_news, helpers);
    loop {
        leader.survive_pass(&stop).await?;
        let wake = leader.next_wake();
        // In this order, and never by chance: plans come to an end, reports do not.
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            Some(news) = plans.recv() => Event::Plan(news),
            Some(batch) = reports.recv() => Event::Reports(batch),
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
            biased;
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

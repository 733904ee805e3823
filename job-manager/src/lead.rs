//! To lead: one manager at a time looks after the jobs.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use grid_core::ids::JobId;
use grid_core::limits::{MAX_POLL, MAX_STAGES, QUEUE_BATCH};
use infra::Grid;
use infra::queue::Received;
use infra::requests::Account;
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
use crate::submit::hint;

/// Receives of reports that are under way while there is a backlog: each brings ten, so that some hundred a second are
/// taken in where a call takes tens of milliseconds.
const RECEIVES_AT_ONCE: usize = 8;

/// How long each of them waits: not at all if there is something, but all servers of the queue are asked.
const BACKLOG_POLL: Duration = Duration::from_secs(1);

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
        Some(epoch) => {
            let term = Term { epoch, roster: Roster::Unwritten, account: Account::default() };
            reign(grid, config, term, progress, stop).await
        }
        None => Ok(()),
    }
}

/// What a leader leads with.
#[derive(Debug)]
pub(crate) struct Term {
    pub epoch: u64,
    pub roster: Roster,
    /// What it asks of services.
    pub account: Account,
}

/// Looks after the jobs under an epoch, until `stop` or until a later epoch is met. Dropping it in the middle is like the
/// death of the process: everything that is not written will be done again.
pub(crate) async fn reign(
    grid: Grid,
    config: ManagerConfig,
    term: Term,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<(), ManagerError> {
    let (plan_news, mut plans) = mpsc::channel(MAX_STAGES);
    let (report_batches, mut reports) = mpsc::channel(4);
    let mut helpers = JoinSet::new();
    let account = term.account.clone();
    helpers.spawn(account.of(receive_reports(grid.clone(), config.report_lease, report_batches, stop.clone())));
    let leader = Leader::new(grid, config, term, progress, plan_news, helpers);
    account.of(rule(leader, (&mut plans, &mut reports), &stop)).await
}

async fn rule(
    mut leader: Leader,
    (plans, reports): (&mut mpsc::Receiver<PlanNews>, &mut mpsc::Receiver<Vec<Received>>),
    stop: &CancellationToken,
) -> Result<(), ManagerError> {
    loop {
        leader.survive_pass(stop).await?;
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
    leader.stop(reports).await
}

enum Event {
    Stop,
    Reports(Vec<Received>),
    Plan(PlanNews),
    Wake,
}

/// Receives reports, a little ahead of the leader. One call waits for them; while there are so many that calls come back
/// full, several are under way. What is under way at the stop is seen to its end: a service goes on with a call that is
/// dropped, and what it then leases would be nobody's until the leases end.
async fn receive_reports(grid: Grid, lease: Duration, batches: mpsc::Sender<Vec<Received>>, stop: CancellationToken) {
    let mut at_once = 1;
    while !stop.is_cancelled() {
        let wait = if at_once == 1 { MAX_POLL } else { BACKLOG_POLL };
        let calls = (0..at_once).map(|_| grid.reports.receive(QUEUE_BATCH, lease, wait));
        let mut calls: FuturesUnordered<_> = calls.collect();
        let mut are_full = true;
        let mut is_cut_short = false;
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled(), if !is_cut_short => {
                    if grid.reports.forgets_dropped_receives() {
                        return;
                    }
                    is_cut_short = true;
                    end_wait(&grid).await;
                    continue;
                }
                received = calls.next() => received,
            };
            let Some(received) = received else { break };
            are_full &= received.as_ref().is_ok_and(|batch| batch.len() == QUEUE_BATCH);
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
        at_once = if are_full { (at_once * 2).min(RECEIVES_AT_ONCE) } else { 1 };
    }
}

/// Ends the wait of a receive by giving it something: a call for a look at the list of jobs, which does no harm to whoever gets
/// it.
async fn end_wait(grid: &Grid) {
    let sent: infra::Result<()> =
        grid.reports.send(&[hint(&JobId::new(""))]).await.and_then(|answers| answers.into_iter().collect());
    if let Err(error) = sent {
        tracing::debug!(%error, "a receive that is under way is waited for");
    }
}

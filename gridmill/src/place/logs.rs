//! What the commands of a job wrote to standard error, entry by entry.

use std::collections::BTreeSet;
use std::time::Duration;

use grid_api::{JobStatus, LogEntry};
use grid_core::ids::StageName;
use job_manager::view::{FollowedLogs, ItemLog, JobView};
use tokio::time::{Instant, sleep};

use super::{Here, Place};
use crate::client::{Client, Route};
use crate::exit::Outcome;
use crate::local;

/// Whose logs are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of all items of all stages.
    All,
    /// Of all items of a stage.
    Stage(StageName),
    /// Of one item, by its name or as `#INDEX`.
    Item(StageName, String),
}

/// Between two looks for what is new.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A look takes at most this part of the time.
const LOOK_SHARE: u32 = 10;

/// Names an entry.
type Seen = (StageName, u32, u32);

impl Place {
    /// Visits the logs of a job, as many as there are by now.
    pub async fn each_log(
        &self,
        status: &JobStatus,
        whose: &Whose,
        mut visit: impl FnMut(LogEntry) -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Here(here) => {
                let view = JobView::open(&here.grid, &status.job).await?;
                let mut logs = of_here(&view, status, whose).await?;
                visit_new(&mut logs, &view, &mut visit).await
            }
            Self::There(client) => visit_lines(client, &route(status, whose), &mut visit).await,
        }
    }

    /// Visits what there is, and what comes, each once, until the job has ended.
    pub async fn each_log_to_come(
        &self,
        status: &JobStatus,
        whose: &Whose,
        visit: impl FnMut(LogEntry) -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Here(here) => follow_here(here, status, whose, visit).await,
            Self::There(client) => follow_there(client, status, whose, visit).await,
        }
    }
}

fn route(status: &JobStatus, whose: &Whose) -> Route {
    let root = ["jobs", status.job.as_str(), "logs"];
    let parts: Vec<&str> = match whose {
        Whose::All => Vec::new(),
        Whose::Stage(stage) => vec![stage.as_str()],
        Whose::Item(stage, item) => vec![stage.as_str(), item],
    };
    Route::v1(root.into_iter().chain(parts))
}

async fn visit_lines(client: &Client, route: &Route, visit: &mut impl FnMut(LogEntry) -> Outcome<()>) -> Outcome<()> {
    let mut lines = client.lines(route).await?;
    while let Some(entry) = lines.next().await? {
        visit(entry)?;
    }
    Ok(())
}

/// The manager tells what is new for as long as the connection stands; after that everything is told again, of which only
/// what is new is visited.
async fn follow_there(
    client: &Client,
    status: &JobStatus,
    whose: &Whose,
    mut visit: impl FnMut(LogEntry) -> Outcome<()>,
) -> Outcome<()> {
    let mut seen: BTreeSet<Seen> = BTreeSet::new();
    let mut visit_once = |entry: LogEntry| match seen.insert((entry.stage.clone(), entry.index, entry.attempt)) {
        true => visit(entry),
        false => Ok(()),
    };
    let route = route(status, whose).query_some("follow", Some("true"));
    loop {
        visit_lines(client, &route, &mut visit_once).await?;
        // It ends with the job, and with the manager, too.
        if client.status(&status.job).await?.state.is_final() {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn follow_here(
    here: &Here,
    status: &JobStatus,
    whose: &Whose,
    mut visit: impl FnMut(LogEntry) -> Outcome<()>,
) -> Outcome<()> {
    let mut view = JobView::open(&here.grid, &status.job).await?;
    let mut logs = of_here(&view, status, whose).await?;
    loop {
        let began = Instant::now();
        visit_new(&mut logs, &view, &mut visit).await?;
        // What ended before that look was in it.
        if view.status.state.is_final() {
            return Ok(());
        }
        sleep(LOOK_EVERY.max(began.elapsed() * LOOK_SHARE)).await;
        view = JobView::open(&here.grid, &status.job).await?;
    }
}

async fn of_here(view: &JobView, status: &JobStatus, whose: &Whose) -> Outcome<FollowedLogs> {
    let (stages, item) = match whose {
        Whose::All => (status.stages.iter().map(|stage| stage.name.clone()).collect(), None),
        Whose::Stage(stage) => (vec![stage.clone()], None),
        Whose::Item(stage, item) => (vec![stage.clone()], Some(local::find_item(view, stage, item).await?)),
    };
    Ok(FollowedLogs::new(stages, item))
}

async fn visit_new(
    logs: &mut FollowedLogs,
    view: &JobView,
    visit: &mut impl FnMut(LogEntry) -> Outcome<()>,
) -> Outcome<()> {
    let mut look = logs.look(view);
    while let Some(ItemLog { stage, index, item, attempt, head, tail, dropped_bytes }) = look.next().await? {
        visit(LogEntry { stage, index, item, attempt, head, tail, dropped_bytes })?;
    }
    Ok(())
}

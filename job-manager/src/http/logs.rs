//! What commands wrote to standard error.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use grid_api::LogEntry;
use grid_core::ids::{JobId, StageName};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use utoipa::IntoParams;

use super::Api;
use super::access::{Caller, Reader, shortened};
use super::document::{Asked, Guarded, OfJob};
use super::lines::{endless, lines};
use super::problem::Refusal;
use super::query::Query;
use crate::error::with_causes;
use crate::view::{FollowedLogs, ItemLog, JobView, find_item};

/// Between two looks for what is new.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A look takes at most this part of the time.
const LOOK_SHARE: u32 = 10;

/// Whether more is wanted than what there is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// Goes on with what is written from now on, until the job has ended; empty lines say that the connection stands.
    #[param(default = false)]
    follow: Option<bool>,
}

/// Gives the logs of all items, stage by stage, a line of JSON for each item and attempt. A client that follows hears nothing
/// twice within one answer.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs", tag = "outputs", params(("id" = String, Path, description = "the job"), LogsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Asked, Guarded, OfJob))]
pub(super) async fn of_job(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let (_, view) = open(&api, &caller, &id).await?;
    let stages = view.submission.pipeline.stages.iter().map(|stage| stage.name.clone()).collect();
    give(&api, view, FollowedLogs::new(stages, None), &query).await
}

/// Gives the logs of a stage.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs/{stage}", tag = "outputs",
    params(("id" = String, Path, description = "the job"), ("stage" = String, Path, description = "the stage"), LogsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Asked, Guarded, OfJob))]
pub(super) async fn of_stage(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path((id, stage)): Path<(String, String)>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let (job, view) = open(&api, &caller, &id).await?;
    let stage = known_stage(&job, &view, &stage)?;
    give(&api, view, FollowedLogs::new(vec![stage], None), &query).await
}

/// Gives the logs of one item.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs/{stage}/{item}", tag = "outputs",
    params(("id" = String, Path, description = "the job"), ("stage" = String, Path, description = "the stage"),
        ("item" = String, Path, description = "the item's name, or #INDEX"), LogsQuery),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Asked, Guarded, OfJob))]
pub(super) async fn of_item(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path((id, stage, item)): Path<(String, String, String)>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refusal> {
    let (job, view) = open(&api, &caller, &id).await?;
    let stage = known_stage(&job, &view, &stage)?;
    let unknown = || Refusal::not_found(format!("stage {stage} of job {job} has no item {}", shortened(&item)));
    let index = find_item(&view, &stage, &item).await?.ok_or_else(unknown)?;
    give(&api, view, FollowedLogs::new(vec![stage], Some(index)), &query).await
}

async fn open(api: &Api, caller: &Caller, id: &str) -> Result<(JobId, Arc<JobView>), Refusal> {
    let (job, _) = caller.job(api, id).await?;
    let view = Arc::new(JobView::open(&api.grid, &job).await?);
    Ok((job, view))
}

fn known_stage(job: &JobId, view: &JobView, name: &str) -> Result<StageName, Refusal> {
    let unknown = || Refusal::not_found(format!("job {job} has no stage {}", shortened(name)));
    view.submission.pipeline.stage(&StageName::new(name)).map(|stage| stage.name.clone()).ok_or_else(unknown)
}

async fn give(api: &Arc<Api>, view: Arc<JobView>, logs: FollowedLogs, query: &LogsQuery) -> Result<Response, Refusal> {
    let (give, take) = mpsc::channel(1);
    let teller = Teller { api: api.clone(), view, logs, give };
    if query.follow == Some(true) {
        tokio::spawn(teller.follow());
        return Ok(endless(take));
    }
    tokio::spawn(async move {
        let mut teller = teller;
        teller.look().await
    });
    lines(take).await
}

/// Tells the logs of a job, for as long as somebody reads them.
struct Teller {
    api: Arc<Api>,
    view: Arc<JobView>,
    logs: FollowedLogs,
    give: mpsc::Sender<infra::Result<LogEntry>>,
}

impl Teller {
    /// Tells what is new; answers whether somebody still reads.
    async fn look(&mut self) -> bool {
        let mut look = self.logs.look(&self.view);
        while let Some(log) = look.next().await.transpose() {
            let is_last = log.is_err();
            if self.give.send(log.map(entry)).await.is_err() || is_last {
                return false;
            }
        }
        true
    }

    /// Tells what there is and what comes, until the job has ended.
    async fn follow(mut self) {
        loop {
            let began = Instant::now();
            // What ended before that look is in it.
            if !self.look().await || self.view.status.state.is_final() {
                return;
            }
            let pause = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
            tokio::select! {
                () = self.api.stop.cancelled() => return,
                () = self.give.closed() => return,
                () = sleep(pause) => {}
            }
            match JobView::open(&self.api.grid, self.view.id()).await {
                Ok(view) => self.view = Arc::new(view),
                // A bad moment of a back end: what is new is told when it is over.
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::warn!(job = %self.view.id(), error, "a job cannot be looked at");
                }
            }
        }
    }
}

fn entry(log: ItemLog) -> LogEntry {
    let ItemLog { stage, index, item, attempt, head, tail, dropped_bytes } = log;
    LogEntry { stage, index, item, attempt, head, tail, dropped_bytes }
}

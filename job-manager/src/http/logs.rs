//! What commands wrote to standard error.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use grid_api::LogEntry;
use grid_core::ids::{ItemIndex, JobId, StageName};
use tokio::sync::mpsc;

use super::Api;
use super::access::{Caller, Reader, shortened};
use super::document::{Common, OfJob};
use super::lines::lines;
use super::problem::Refusal;
use crate::view::{ItemLog, JobView, Logs, find_item};

/// Gives the logs of all items, stage by stage, a line of JSON for each item and attempt.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs", tag = "outputs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Common, OfJob))]
pub(super) async fn of_job(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (_, view) = open(&api, &caller, &id).await?;
    let stages = view.submission.pipeline.stages.iter().map(|stage| stage.name.clone()).collect();
    lines(logs(view, stages, None)).await
}

/// Gives the logs of a stage.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs/{stage}", tag = "outputs",
    params(("id" = String, Path, description = "the job"), ("stage" = String, Path, description = "the stage")),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Common, OfJob))]
pub(super) async fn of_stage(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path((id, stage)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let (job, view) = open(&api, &caller, &id).await?;
    let stage = known_stage(&job, &view, &stage)?;
    lines(logs(view, vec![stage], None)).await
}

/// Gives the logs of one item.
#[utoipa::path(get, path = "/v1/jobs/{id}/logs/{stage}/{item}", tag = "outputs",
    params(("id" = String, Path, description = "the job"), ("stage" = String, Path, description = "the stage"),
        ("item" = String, Path, description = "the item's name, or #INDEX")),
    security(("token" = ["read"])),
    responses((status = 200, description = "lines of `LogEntry`", body = LogEntry, content_type = "application/x-ndjson"),
        Common, OfJob))]
pub(super) async fn of_item(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path((id, stage, item)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let (job, view) = open(&api, &caller, &id).await?;
    let stage = known_stage(&job, &view, &stage)?;
    let unknown = || Refusal::not_found(format!("stage {stage} of job {job} has no item {}", shortened(&item)));
    let index = find_item(&view, &stage, &item).await?.ok_or_else(unknown)?;
    lines(logs(view, vec![stage], Some(index))).await
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

/// The logs of some stages, or of one item, for as long as somebody reads them.
fn logs(
    view: Arc<JobView>,
    stages: Vec<StageName>,
    item: Option<ItemIndex>,
) -> mpsc::Receiver<infra::Result<LogEntry>> {
    let (give, take) = mpsc::channel(1);
    tokio::spawn(async move {
        for stage in stages {
            let mut logs = Logs::new(&view, stage, item);
            while let Some(log) = logs.next().await.transpose() {
                let is_last = log.is_err();
                if give.send(log.map(entry)).await.is_err() || is_last {
                    return;
                }
            }
        }
    });
    take
}

fn entry(log: ItemLog) -> LogEntry {
    let ItemLog { stage, index, item, attempt, head, tail, dropped_bytes } = log;
    LogEntry { stage, index, item, attempt, head, tail, dropped_bytes }
}

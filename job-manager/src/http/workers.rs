//! Workers and pools.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use grid_api::{Page, PoolStatus, WorkerStatus};
use grid_core::ids::JobId;

use super::Api;
use super::access::{Caller, Reader};
use super::document::{Asked, Guarded};
use super::problem::Refusal;
use crate::view;

/// Lists the workers that were heard of lately. A tenant sees what runs there of its own jobs.
#[utoipa::path(get, path = "/v1/workers", tag = "workers", security(("token" = ["read"])),
    responses((status = 200, description = "all of them", body = Page<WorkerStatus>), Asked, Guarded))]
pub(super) async fn workers(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
) -> Result<Json<Page<WorkerStatus>>, Refusal> {
    let mut entries = view::workers(&api.grid).await?;
    if caller.tenant.is_some() {
        hide_others(&api, &caller, &mut entries).await?;
    }
    Ok(Json(Page { entries, next_cursor: None }))
}

/// Lists the pools that have workers or a fleet, and what keeps them from growing.
#[utoipa::path(get, path = "/v1/pools", tag = "workers", security(("token" = ["read"])),
    responses((status = 200, description = "all of them", body = Page<PoolStatus>), Asked, Guarded))]
pub(super) async fn pools(_: Reader, State(api): State<Arc<Api>>) -> Result<Json<Page<PoolStatus>>, Refusal> {
    Ok(Json(Page { entries: view::pools(&api.grid).await?, next_cursor: None }))
}

/// Leaves out tasks of jobs that the caller may not know of.
async fn hide_others(api: &Api, caller: &Caller, workers: &mut [WorkerStatus]) -> Result<(), Refusal> {
    let mut known: BTreeMap<JobId, bool> = BTreeMap::new();
    for task in workers.iter().flat_map(|worker| &worker.running) {
        if !known.contains_key(&task.job) {
            known.insert(task.job.clone(), caller.may_see(api, &task.job).await?);
        }
    }
    for worker in workers {
        worker.running.retain(|task| known.get(&task.job).copied().unwrap_or(false));
    }
    Ok(())
}

//! Jobs: the list, where one stands, its stages, its balance.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use grid_api::{JobState, JobStatus, JobSummary, Page, Receipt, StageStatus};
use grid_core::ids::JobId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::access::{Reader, is_job_id};
use super::document::{Asked, Guarded, OfJob};
use super::problem::Refusal;
use super::query::{self, Query};
use crate::view::{Detail, JobFilter, JobView, list_jobs};

/// Which jobs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those in this state.
    #[param(value_type = Option<grid_api::JobStateSchema>, inline)]
    state: Option<JobState>,
    /// Only those of this tenant.
    tenant: Option<String>,
    /// Whether each entry says where the stages of the job stand, too.
    #[param(default = false)]
    stages: Option<bool>,
    /// `next_cursor` of the page before.
    #[param(format = "uuid")]
    cursor: Option<String>,
    /// Entries in a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Lists jobs, the newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(ListQuery), security(("token" = ["read"])),
    responses((status = 200, description = "a page of the list", body = Page<JobSummary>), Asked, Guarded))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<JobSummary>>, Refusal> {
    let limit = query::limit(query.limit)?;
    let before = match query.cursor {
        None => None,
        Some(cursor) if is_job_id(&cursor) => Some(JobId::new(cursor)),
        Some(_) => return Err(query::no_cursor()),
    };
    if query.tenant.as_deref().is_some_and(|tenant| !caller.acts_for(tenant)) {
        return Ok(Json(Page { entries: Vec::new(), next_cursor: None }));
    }
    let detail = if query.stages == Some(true) { Detail::Stages } else { Detail::State };
    let filter = JobFilter { state: query.state, tenant: caller.tenant.or(query.tenant), detail };
    let page = list_jobs(&api.grid, &filter, before.as_ref(), limit).await?;
    Ok(Json(Page { entries: page.jobs, next_cursor: page.next.map(|job| job.to_string()) }))
}

/// Shows where a job stands.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["read"])),
    responses((status = 200, description = "the job", body = JobStatus), Asked, Guarded, OfJob))]
pub(super) async fn show(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<JobStatus>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    Ok(Json(JobView::open(&api.grid, &job).await?.status))
}

/// Shows where the stages of a job stand, in the order of execution.
#[utoipa::path(get, path = "/v1/jobs/{id}/stages", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["read"])),
    responses((status = 200, description = "its stages", body = Vec<StageStatus>), Asked, Guarded, OfJob))]
pub(super) async fn stages(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Vec<StageStatus>>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    Ok(Json(JobView::open(&api.grid, &job).await?.status.stages))
}

/// Shows the balance of a job that has ended.
#[utoipa::path(get, path = "/v1/jobs/{id}/receipt", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["read"])),
    responses((status = 200, description = "its receipt", body = Receipt), Asked, Guarded, OfJob))]
pub(super) async fn receipt(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<Receipt>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let receipt = crate::view::receipt(&api.grid, &job).await?;
    let early = || Refusal::not_found(format!("job {job} has no receipt yet: it is written when the job has ended"));
    receipt.map(Json).ok_or_else(early)
}

//! What is wished of a job: cancel, pause, resume, redrive.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use grid_api::{JobStanding, JobState, Redrive, Redriven};
use grid_core::ids::JobId;

use super::Api;
use super::access::Submitter;
use super::body::OptionalBody;
use super::document::{Asked, Guarded, OfJob, OfWish, WithBody, WithDocument, Written};
use super::problem::Refusal;
use crate::control;

/// Ends a job: nothing more of it is handed out, and what runs is stopped. What is committed stays.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["submit"])),
    responses((status = 200, description = "where the job stands now", body = JobStanding), Asked, Guarded, OfJob, OfWish, Written))]
pub(super) async fn cancel(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<JobStanding>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let state = control::cancel(&api.grid, &job).await?;
    Ok(standing(job, state))
}

/// Hands out nothing more of a job; what runs goes on to its end, and counts.
#[utoipa::path(post, path = "/v1/jobs/{id}/pause", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["submit"])),
    responses((status = 200, description = "where the job stands now", body = JobStanding), Asked, Guarded, OfJob, OfWish, Written))]
pub(super) async fn pause(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<JobStanding>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let state = control::pause(&api.grid, &job).await?;
    Ok(standing(job, state))
}

/// Goes on with a job that is paused.
#[utoipa::path(post, path = "/v1/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["submit"])),
    responses((status = 200, description = "where the job stands now", body = JobStanding), Asked, Guarded, OfJob, OfWish, Written))]
pub(super) async fn resume(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Json<JobStanding>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let state = control::resume(&api.grid, &job).await?;
    Ok(standing(job, state))
}

/// Runs failed items again, of a job that has failed or has succeeded without them. Without a body, all of them.
#[utoipa::path(post, path = "/v1/jobs/{id}/redrive", tag = "jobs", params(("id" = String, Path, description = "the job")),
    security(("token" = ["submit"])), request_body = Option<Redrive>,
    responses((status = 200, description = "what runs again", body = Redriven), Asked, Guarded, OfJob, OfWish,
        WithBody, WithDocument, Written))]
pub(super) async fn redrive(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    OptionalBody(wish): OptionalBody<Redrive>,
) -> Result<Json<Redriven>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let control::Redriven { items, state } =
        control::redrive(&api.grid, &job, wish.filter.as_deref(), &wish.set).await?;
    Ok(Json(Redriven { items, state }))
}

fn standing(job: JobId, state: JobState) -> Json<JobStanding> {
    Json(JobStanding { job, state })
}

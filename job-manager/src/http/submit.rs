//! Submitting a job.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use grid_api::{JobSummary, SubmitJob};

use super::Api;
use super::access::{Caller, Submitter};
use super::body::Body;
use super::document::{Common, OfSubmission, WithBody};
use super::inputs::pin;
use super::problem::Refusal;
use super::submission::{Checked, tenant_of};
use crate::accept::{Accepted, NewJob, Once, accept, earlier, new_job_id};
use crate::control::head;
use crate::view;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 255;

/// Submits a job.
///
/// Every submission is a job of its own, unless it repeats the `Idempotency-Key` of an earlier one of the same tenant: then
/// the answer is the job of that one, for seven days.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = SubmitJob, security(("token" = ["submit"])),
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255, min_length = 1,
        description = "of the client's choice: the same key means the same job")),
    responses(
        (status = 201, description = "the job was accepted", body = JobSummary, headers(
            ("Location" = String, description = "where the job is shown"))),
        (status = 200, description = "it was accepted before, under the same key", body = JobSummary, headers(
            ("Location" = String, description = "where the job is shown"))),
        Common, WithBody, OfSubmission))]
pub(super) async fn submit(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Body(body): Body<SubmitJob>,
) -> Result<Response, Refusal> {
    let key = idempotency_key(&headers)?;
    accept_body(&api, &caller, body, key).await
}

async fn accept_body(api: &Api, caller: &Caller, body: SubmitJob, key: Option<&str>) -> Result<Response, Refusal> {
    let tenant = tenant_of(caller, body.tenant.as_deref())?;
    let once = key.map(|key| Once::new(&tenant, key, digest(&body)));
    if let Some(once) = &once
        && let Some(accepted) = earlier(&api.grid, once).await?
    {
        return answer(api, accepted).await;
    }
    let checked = Checked::of(body)?;
    let request = pin(api, &tenant, checked).await?;
    let new = NewJob { job: new_job_id(&*api.grid.clock), request, program_files: Vec::new(), tenant, once };
    answer(api, accept(&api.grid, new).await?).await
}

async fn answer(api: &Api, accepted: Accepted) -> Result<Response, Refusal> {
    let (status, job) = match accepted {
        Accepted::New(job) => (StatusCode::CREATED, job),
        Accepted::Before(job) => (StatusCode::OK, job),
        Accepted::OtherBody => return Err(Refusal::other_body()),
    };
    let summary = view::summary(&api.grid, &job, head(&api.grid, &job).await?).await?;
    Ok((status, [(LOCATION, format!("/v1/jobs/{job}"))], Json(summary)).into_response())
}

/// What makes two bodies the same: what they say, not how it is written.
fn digest(body: &SubmitJob) -> String {
    let text = serde_json::to_vec(body).expect("a body that was read has string keys and finite numbers");
    blake3::hash(&text).to_hex().to_string()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let is_right = |key: &&str| (1..=MAX_KEY_BYTES).contains(&key.len());
    let wrong = || {
        let words = format!("a key has from 1 to {MAX_KEY_BYTES} printable ASCII characters");
        Refusal::malformed("header:Idempotency-Key", words)
    };
    value.to_str().ok().filter(is_right).map(Some).ok_or_else(wrong)
}

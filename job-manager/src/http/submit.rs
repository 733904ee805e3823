//! Submitting a job.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use grid_api::{JobSummary, SubmitJob};
use grid_core::ids::JobId;
use infra::requests::Account;
use tracing::Instrument;
use utoipa::ToSchema;

use super::Api;
use super::access::{Caller, Submitter};
use super::body::{self, Body};
use super::document::{Asked, Guarded, WithBody, WithDocument, Written};
use super::files::{Form, Received};
use super::inputs::pin;
use super::multipart::boundary_of;
use super::problem::Refusal;
use super::submission::{Checked, named_tenant, tenant_of};
use crate::accept::{Accepted, NewJob, Once, accept, earlier, new_job_id};
use crate::control::head;
use crate::view;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 255;

/// A body of JSON and files, as the document shows it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is wanted")]
pub(super) struct SubmissionForm {
    /// What is run.
    job: SubmitJob,
    /// `input.NAME` is a file of an input, by its file name; several may come. `list.STAGE` is the list file of a stage.
    /// `program.PATH` is a file for the folder in which commands run, by its path there; it may be executed.
    #[schema(additional_properties, value_type = BTreeMap<String, Vec<u8>>)]
    files: BTreeMap<String, Vec<u8>>,
}

/// Submits a job.
///
/// Every submission is a job of its own, unless it repeats the `Idempotency-Key` of an earlier one of the same tenant: then
/// the answer is the job of that one, for seven days. Files that come along are streamed to the store; a client sends `job`
/// first, so that nothing is uploaded for a pipeline that cannot be right.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", security(("token" = ["submit"])),
    request_body(content((SubmitJob = "application/json"), (SubmissionForm = "multipart/form-data"))),
    params(("Idempotency-Key" = Option<String>, Header, max_length = 255, min_length = 1,
        description = "of the client's choice: the same key means the same job")),
    responses(
        (status = 201, description = "the job was accepted", body = JobSummary, headers(
            ("Location" = String, description = "where the job is shown"))),
        (status = 200, description = "it was accepted before, under the same key", body = JobSummary, headers(
            ("Location" = String, description = "where the job is shown"))),
        Asked, Guarded, WithBody, WithDocument, Written))]
pub(super) async fn submit(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Refusal> {
    let key = idempotency_key(request.headers())?;
    let job = new_job_id(&*api.grid.clock);
    let Some(boundary) = body::content_type(&request).and_then(boundary_of) else {
        let Body(body) = Body::<SubmitJob>::from_request(request, &()).await?;
        let new = NewBody { job, body, received: Received::default(), key };
        return Account::default().of(accept_body(&api, &caller, new)).await;
    };
    let mut form = Form::new(request.into_body().into_data_stream(), &boundary);
    // A client that goes away ends the request's future at any place; what it has uploaded is removed all the same.
    let taking = async move {
        let (body, received) = Received::take(&api.grid, &job, &mut form).await?;
        accept_body(&api, &caller, NewBody { job, body, received, key }).await
    };
    let task = tokio::spawn(Account::default().of(taking).in_current_span());
    task.await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
}

/// A submission that has arrived.
struct NewBody {
    job: JobId,
    body: SubmitJob,
    received: Received,
    key: Option<String>,
}

async fn accept_body(api: &Api, caller: &Caller, new: NewBody) -> Result<Response, Refusal> {
    match decide(api, caller, &new).await {
        Ok(accepted) => {
            if accepted != Accepted::New(new.job) {
                new.received.discard(&api.grid).await;
            }
            answer(api, accepted).await
        }
        // After an error of ours the job may have been accepted all the same, and its files be wanted.
        Err(refusal) if refusal.is_internal() => Err(refusal),
        Err(refusal) => {
            new.received.discard(&api.grid).await;
            Err(refusal)
        }
    }
}

async fn decide(api: &Api, caller: &Caller, new: &NewBody) -> Result<Accepted, Refusal> {
    let NewBody { job, body, received, key } = new;
    let tenant = tenant_of(caller, named_tenant(body).as_deref())?;
    let once = key.as_deref().map(|key| Once::new(&tenant, key, digest(body, received)));
    if let Some(once) = &once
        && let Some(accepted) = earlier(&api.grid, once).await?
    {
        return Ok(accepted);
    }
    let checked = Checked::of(api, &tenant, body.clone(), received).await?;
    let request = pin(api, &tenant, checked, received).await?;
    let program_files = received.programs.values().cloned().collect();
    let new = NewJob { job: job.clone(), request, program_files, tenant, once };
    Ok(accept(&api.grid, new).await?)
}

async fn answer(api: &Api, accepted: Accepted) -> Result<Response, Refusal> {
    let (status, job) = match accepted {
        Accepted::New(job) => (StatusCode::CREATED, job),
        Accepted::Before(job) => (StatusCode::OK, job),
        Accepted::OtherBody => return Err(Refusal::other_body()),
    };
    let summary = view::summary(&api.grid, &job, head(&api.grid, &job).await?, view::Detail::State).await?;
    Ok((status, [(LOCATION, format!("/v1/jobs/{job}"))], Json(summary)).into_response())
}

/// What makes two requests the same: what they say and which files they bring, not how it is written.
pub(super) fn digest(body: &SubmitJob, received: &Received) -> String {
    let text = serde_json::to_vec(body).expect("a body that was read has string keys and finite numbers");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(text.len() as u64).to_le_bytes()).update(&text).update(received.fingerprint().as_bytes());
    hasher.finalize().to_hex().to_string()
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            let words = format!("a key has from 1 to {MAX_KEY_BYTES} printable ASCII characters");
            Err(Refusal::malformed("header:Idempotency-Key", words))
        }
    }
}

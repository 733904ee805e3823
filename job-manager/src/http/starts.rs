//! Events that start jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use grid_api::{Event, Registered, StartedJobs, SubmitJob};
use grid_core::ids::JobId;
use infra::requests::Account;

use super::Api;
use super::access::{Submitter, shortened};
use super::body::OptionalBody;
use super::document::{Asked, Guarded, WithBody, WithDocument, Written};
use super::files::Received;
use super::inputs::pin;
use super::problem::{Refusal, fault};
use super::submission::{Checked, MAX_NAME_BYTES, is_plain_name};
use super::submit::{digest, idempotency_key};
use crate::accept::{Accepted, NewJob, Once, accept, earlier, new_job_id};
use crate::pipelines;

/// Starts a job of every pipeline whose newest version is bound to the event, each with the same parameters and inputs.
/// When one of them cannot be started with these, none is. With an `Idempotency-Key`, a repeat starts nothing.
#[utoipa::path(post, path = "/v1/events/{type}", tag = "pipelines", security(("token" = ["submit"])),
    params(("type" = String, Path, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length = 64, description = "1 to 64 letters, digits, `-`, `_` and `.`"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, min_length = 1,
            description = "of the client's choice: the same key means the same jobs")),
    request_body = Option<Event>,
    responses((status = 200, description = "the jobs; none where no pipeline is bound to the event", body = StartedJobs),
        Asked, Guarded, WithBody, WithDocument, Written))]
pub(super) async fn start(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(event): Path<String>,
    headers: HeaderMap,
    OptionalBody(with): OptionalBody<Event>,
) -> Result<Json<StartedJobs>, Refusal> {
    let key = idempotency_key(&headers)?;
    if !is_plain_name(&event) {
        let words = format!(
            "{} is no name of an event: 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`",
            shortened(&event)
        );
        return Err(Refusal::invalid(vec![fault("path:type", words)]));
    }
    let tenant = caller.tenant.unwrap_or_default();
    let jobs = Account::default().of(start_all(&api, &tenant, &event, &with, key.as_deref())).await?;
    Ok(Json(StartedJobs { jobs }))
}

/// What is asked for all of the jobs is the first one's.
async fn start_all(
    api: &Api,
    tenant: &str,
    event: &str,
    with: &Event,
    key: Option<&str>,
) -> Result<Vec<JobId>, Refusal> {
    let mut jobs = Vec::new();
    let mut ready = Vec::new();
    for kept in pipelines::bound_to(&api.grid, tenant, event).await? {
        let registered = Some(Registered { name: kept.name.clone(), version: Some(kept.version) });
        let body =
            SubmitJob { registered, params: with.params.clone(), inputs: with.inputs.clone(), ..SubmitJob::default() };
        let received = Received::default();
        // A new version of the pipeline is no new event.
        let said = SubmitJob { registered: None, ..body.clone() };
        let once = key
            .map(|key| Once::new(tenant, &format!("event\n{event}\n{}\n{key}", kept.name), digest(&said, &received)));
        let before = match &once {
            Some(once) => earlier(&api.grid, once).await?,
            None => None,
        };
        match before {
            Some(Accepted::New(job) | Accepted::Before(job)) => jobs.push(job),
            Some(Accepted::OtherBody) => return Err(Refusal::other_body()),
            None => {
                let checked = Checked::of(api, tenant, body, &received).await?;
                ready.push((pin(api, tenant, checked, &received).await?, once));
            }
        }
    }
    for (request, once) in ready {
        let (job, tenant) = (new_job_id(&*api.grid.clock), tenant.to_owned());
        let new = NewJob { job, request, program_files: Vec::new(), tenant, once };
        match accept(&api.grid, new).await? {
            Accepted::New(job) | Accepted::Before(job) => jobs.push(job),
            Accepted::OtherBody => return Err(Refusal::other_body()),
        }
    }
    jobs.sort_unstable();
    Ok(jobs)
}

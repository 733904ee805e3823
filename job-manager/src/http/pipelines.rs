//! Pipelines that are kept by name.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use grid_api::{PipelineVersion, ProblemError, PutPipeline};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::access::{Reader, Submitter, shortened};
use super::body::Body;
use super::document::{Asked, Guarded, OfJob, WithBody, WithDocument, Written};
use super::problem::{Refusal, fault};
use super::query::Query;
use super::submission::{MAX_NAME_BYTES, is_plain_name, parse, text_of};
use crate::finish::rfc3339;
use crate::pipelines::{self, Kept};

/// Events that a pipeline may be bound to.
const MAX_EVENTS: usize = 32;

/// Which version is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VersionQuery {
    /// Its number; the newest without it.
    #[param(minimum = 1)]
    version: Option<u32>,
}

/// Keeps a pipeline under a name, as a new version unless it is the newest one already.
#[utoipa::path(put, path = "/v1/pipelines/{name}", tag = "pipelines", security(("token" = ["submit"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length = 64, description = "1 to 64 letters, digits, `-`, `_` and `.`")), request_body = PutPipeline,
    responses((status = 201, description = "a new version", body = PipelineVersion),
        (status = 200, description = "the newest version is this already", body = PipelineVersion),
        Asked, Guarded, WithBody, WithDocument, Written))]
pub(super) async fn put(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Body(wanted): Body<PutPipeline>,
) -> Result<(StatusCode, Json<PipelineVersion>), Refusal> {
    let faults = names(&name, &wanted.on_events);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    parse(&wanted.pipeline)?;
    let (tenant, text) = (caller.tenant.unwrap_or_default(), text_of(&wanted.pipeline));
    let (kept, is_new) = pipelines::put(&api.grid, &tenant, &name, &text, wanted.on_events).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown(kept, text))))
}

/// Shows a version of a pipeline.
#[utoipa::path(get, path = "/v1/pipelines/{name}", tag = "pipelines", security(("token" = ["read"])),
    params(("name" = String, Path, description = "its name"), VersionQuery),
    responses((status = 200, description = "the version", body = PipelineVersion), Asked, Guarded, OfJob))]
pub(super) async fn get(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    Query(query): Query<VersionQuery>,
) -> Result<Json<PipelineVersion>, Refusal> {
    let tenant = caller.tenant.unwrap_or_default();
    let found = match (is_plain_name(&name), query.version) {
        (false, _) => None,
        (true, None) => pipelines::newest(&api.grid, &tenant, &name).await?,
        (true, Some(version)) => pipelines::version(&api.grid, &tenant, &name, version).await?,
    };
    let unknown = || Refusal::not_found(format!("there is no pipeline {} of that version", shortened(&name)));
    let kept = found.ok_or_else(unknown)?;
    let text = pipelines::text(&api.grid, &tenant, &kept).await?;
    Ok(Json(shown(kept, text)))
}

fn names(name: &str, events: &[String]) -> Vec<ProblemError> {
    let words = |it: &str| {
        format!("{} is no name: take 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`", shortened(it))
    };
    let mut faults = Vec::new();
    if !is_plain_name(name) {
        faults.push(fault("path:name", words(name)));
    }
    if events.len() > MAX_EVENTS {
        faults.push(fault("#/on_events", format!("a pipeline is bound to at most {MAX_EVENTS} events")));
    }
    let wrong = events.iter().enumerate().filter(|(_, event)| !is_plain_name(event));
    faults.extend(wrong.take(MAX_EVENTS).map(|(place, event)| fault(format!("#/on_events/{place}"), words(event))));
    faults
}

fn shown(kept: Kept, text: String) -> PipelineVersion {
    PipelineVersion {
        name: kept.name,
        version: kept.version,
        digest: kept.row.digest,
        created: rfc3339(kept.row.created_ms),
        on_events: kept.row.on_events,
        pipeline: text,
    }
}

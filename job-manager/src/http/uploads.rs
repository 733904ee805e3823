//! Uploads of files that are too large, or too many, to come with a submission.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use grid_api::{CompleteUpload, CreateUpload, PartUrl, Upload, UploadedFile};
use http_body_util::{LengthLimitError, Limited};
use infra::ErrorKind;
use infra::objects::UploadedPart;

use super::Api;
use super::access::{Caller, Submitter, is_job_id, shortened};
use super::body::{self, has_cause};
use super::document::{Asked, Guarded, OfJob, WithBody, WithDocument, Written};
use super::files::plain_path;
use super::problem::{Refusal, fault};
use super::submission::tenant_of;
use crate::finish::rfc3339;
use crate::uploads::{self, Begun, MAX_BYTES, URL_LIFE, UploadError};

/// Addresses that are signed at a time.
const SIGNED_AT_ONCE: usize = 32;

/// Begins an upload. Each part is then `PUT` to its address; parts that go to this manager need the token, others must not
/// have it.
#[utoipa::path(post, path = "/v1/uploads", tag = "uploads", security(("token" = ["submit"])), request_body = CreateUpload,
    responses((status = 201, description = "where the parts go", body = Upload, headers(
        ("Location" = String, description = "the upload"))), Asked, Guarded, WithBody, WithDocument, Written))]
pub(super) async fn create(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    body::Body(wanted): body::Body<CreateUpload>,
) -> Result<Response, Refusal> {
    let tenant = tenant_of(&caller, wanted.tenant.as_deref())?;
    let mut faults = Vec::new();
    if let Err(words) = plain_path(&wanted.name) {
        faults.push(fault("#/name", words));
    }
    if wanted.bytes > MAX_BYTES {
        faults.push(fault("#/bytes", format!("a file has at most {MAX_BYTES} bytes")));
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults));
    }
    let begun = uploads::begin(&api.grid, tenant, wanted.name, wanted.bytes).await?;
    let location = format!("/v1/uploads/{}", begun.id);
    let answer = shown(&api, begun).await?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(answer)).into_response())
}

/// Takes a part of an upload, where the store does not take it itself.
#[utoipa::path(put, path = "/v1/uploads/{id}/parts/{number}", tag = "uploads", security(("token" = ["submit"])),
    params(("id" = String, Path, description = "the upload"), ("number" = u32, Path, description = "the part, from 1")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "it is there", headers(("ETag" = String, description = "asked for at the end"))),
        Asked, Guarded, OfJob, WithBody, Written))]
pub(super) async fn put_part(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path((id, number)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let begun = find(&api, &caller, &id).await?;
    let number = number.parse().ok().filter(|number| (1..=begun.parts()).contains(number));
    let number =
        number.ok_or_else(|| Refusal::not_found(format!("the upload has the parts 1 to {}", begun.parts())))?;
    if begun.row.store_id.is_some() || begun.row.done {
        let words = "parts of this upload are not sent here: take the addresses that it was begun with";
        return Err(Refusal::not_found(words));
    }
    let limit = usize::try_from(begun.part_len(number)).unwrap_or(usize::MAX);
    let body = Body::new(Limited::new(request.into_body(), limit)).into_data_stream();
    let body = body.map_err(|error| infra::Error::caused(ErrorKind::Invalid, "a part did not arrive", error)).boxed();
    let etag = begun.put_part(&api.grid, number, body).await.map_err(not_arrived)?;
    let etag = HeaderValue::from_str(&etag).map_err(|error| Refusal::internal(&error))?;
    Ok((StatusCode::NO_CONTENT, [(ETAG, etag)]).into_response())
}

/// Makes the file out of its parts. May be repeated.
#[utoipa::path(post, path = "/v1/uploads/{id}/complete", tag = "uploads", security(("token" = ["submit"])),
    params(("id" = String, Path, description = "the upload")), request_body = CompleteUpload,
    responses((status = 200, description = "the file is there", body = UploadedFile), Asked, Guarded, OfJob, WithBody, WithDocument, Written))]
pub(super) async fn complete(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    body::Body(sent): body::Body<CompleteUpload>,
) -> Result<Json<UploadedFile>, Refusal> {
    let begun = find(&api, &caller, &id).await?;
    let file = UploadedFile { uri: begun.uri(), name: begun.row.name.clone(), bytes: begun.row.bytes };
    let parts: Vec<UploadedPart> =
        sent.parts.into_iter().map(|part| UploadedPart { number: part.number, etag: part.etag }).collect();
    match begun.complete(&api.grid, &parts).await {
        Ok(()) => Ok(Json(file)),
        Err(UploadError::Parts(words)) => Err(Refusal::invalid(vec![fault("#/parts", words)])),
        Err(UploadError::Aborted) => Err(unknown(&id)),
        Err(UploadError::Manager(error)) => Err(error.into()),
    }
}

/// Gives an upload up. A file that is complete stays.
#[utoipa::path(delete, path = "/v1/uploads/{id}", tag = "uploads", security(("token" = ["submit"])),
    params(("id" = String, Path, description = "the upload")),
    responses((status = 204, description = "nothing of it is kept"), Asked, Guarded, OfJob, Written))]
pub(super) async fn abort(
    Submitter(caller): Submitter,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let begun = find(&api, &caller, &id).await?;
    if begun.row.done {
        return Err(unknown(&id));
    }
    begun.abort(&api.grid).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(api: &Api, begun: Begun) -> Result<Upload, Refusal> {
    let urls = futures::stream::iter(1..=begun.parts()).map(|number| {
        let begun = &begun;
        async move {
            let url = begun.part_url(&api.grid, number).await?;
            let own = || format!("/v1/uploads/{}/parts/{number}", begun.id);
            Ok::<_, infra::Error>(PartUrl { number, url: url.unwrap_or_else(own) })
        }
    });
    let parts = urls.buffered(SIGNED_AT_ONCE).try_collect().await?;
    let expires_ms = begun.row.created_ms.saturating_add(URL_LIFE.as_millis() as u64);
    Ok(Upload { uri: begun.uri(), part_bytes: begun.row.part_bytes, parts, expires: rfc3339(expires_ms), id: begun.id })
}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Begun, Refusal> {
    if !is_job_id(id) {
        return Err(unknown(id));
    }
    let found = uploads::find(&api.grid, id).await?;
    found.filter(|begun| caller.acts_for(&begun.row.tenant)).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(format!("there is no upload {}", shortened(id)))
}

/// Why a part is not there: because of the client, or of the store.
fn not_arrived(error: infra::Error) -> Refusal {
    if has_cause::<LengthLimitError>(&error) {
        return Refusal::plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the part is longer than `part_bytes`, or than what is left",
        );
    }
    if has_cause::<axum::Error>(&error) {
        return body::unread(StatusCode::BAD_REQUEST, &error);
    }
    error.into()
}

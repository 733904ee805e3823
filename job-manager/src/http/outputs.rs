//! What a job has written: the list of its files, and each of them.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use grid_api::{OutputFile, Page};
use grid_core::ids::{JobId, StageName};
use grid_core::pipeline::Stage;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::Api;
use super::access::{Reader, shortened};
use super::document::{Asked, Guarded, OfJob};
use super::lines::{NDJSON, lines};
use super::lists::{Lists, Open};
use super::problem::{Refusal, fault};
use super::query::{self, Query};
use crate::view::JobView;
use crate::view::outputs::{
    Content, OutputEntry, OutputPlace, WalkError, content_of, content_of_entry, delivered_stages, list_outputs,
    shared_content,
};

/// How long the address of an output is good for.
const URL_LIFE: Duration = Duration::from_secs(15 * 60);

/// Items of a job in which a file is looked for by its bare path. What a file is called may hang on those before it, so that all
/// manifests are read.
const MAX_SEARCHED: u64 = 100_000;

/// All but the letters that mean nothing in any part of an address (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which part of the list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OutputsQuery {
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,10}[.][0-9]{1,10}[.][0-9]{1,10}$")]
    cursor: Option<String>,
    /// Entries in a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Where a file is, as its `href` says; without any of it the file is looked for by its path, which takes longer.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OutputQuery {
    /// The stage.
    stage: Option<String>,
    /// The item; without it, what all items of the stage have printed.
    item: Option<u32>,
    /// What the item called it; without it, its standard output.
    name: Option<String>,
}

/// Lists the files that a job has written so far: in pages, or all of them as lines with `Accept: application/x-ndjson`. Pages
/// that follow each other shortly show the job as it was at the first of them.
#[utoipa::path(get, path = "/v1/jobs/{id}/outputs", tag = "outputs",
    params(("id" = String, Path, description = "the job"), OutputsQuery), security(("token" = ["read"])),
    responses((status = 200, description = "a page of the list, or all of it", content(
        (Page<OutputFile> = "application/json"), (String = "application/x-ndjson"))), Asked, Guarded, OfJob, super::document::OfWish))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query<OutputsQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let limit = query::limit(query.limit)?;
    let after = query.cursor.map(|cursor| cursor.parse::<OutputPlace>()).transpose().map_err(|_| query::no_cursor())?;
    let (job, _) = caller.job(&api, &id).await?;
    if headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == NDJSON.as_bytes()) {
        let view = Arc::new(JobView::open(&api.grid, &job).await?);
        return lines(shown(job, list_outputs(view, after))).await;
    }
    let open = match after.and_then(|after| api.lists.take(&job, after)) {
        Some(open) => open,
        None => Open::new(&api, &job, after).await?,
    };
    let (entries, open) = open.page(after, limit).await?;
    let last = entries.last().map(|entry| entry.place);
    let next_cursor = last.filter(|_| open.is_some()).map(|last| last.to_string());
    if let (Some(open), Some(last)) = (open, last) {
        Lists::keep(&api, open, last);
    }
    let entries = entries.iter().map(|entry| file(&job, entry)).collect();
    Ok(Json(Page { entries, next_cursor }).into_response())
}

/// Gives a file that a job has written: a redirect to where it lies, or its bytes where it lies together with others.
#[utoipa::path(get, path = "/v1/jobs/{id}/outputs/{path}", tag = "outputs",
    params(("id" = String, Path, description = "the job"), OutputQuery,
        ("path" = String, Path, description = "its path below the output folder, with slashes as they are")),
    security(("token" = ["read"])),
    responses((status = 200, description = "its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 302, description = "it lies at `Location`, for 15 minutes"),
        (status = 422, description = "the job is too large to be searched: take the `href` of the list", body = grid_api::Problem,
            content_type = "application/problem+json"),
        Asked, Guarded, OfJob, super::document::OfWish))]
pub(super) async fn get(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path((id, path)): Path<(String, String)>,
    Query(query): Query<OutputQuery>,
) -> Result<Response, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let unknown = || Refusal::not_found(format!("job {job} has no output {}", shortened(&path)));
    let stage = query.stage.map(StageName::new);
    if let (Some(stage), Some(item)) = (&stage, query.item) {
        let view = JobView::open_around(&api.grid, &job, stage, item).await?.ok_or_else(unknown)?;
        let content = content_of(&view, stage, item, query.name.as_deref()).await?.ok_or_else(unknown)?;
        return give(&api, Arc::new(view), stage.clone(), content, &path).await;
    }
    let view = Arc::new(JobView::open(&api.grid, &job).await?);
    let (stage, content) = match stage {
        Some(stage) => {
            let is_known = view.submission.pipeline.stage(&stage).is_some();
            (stage, is_known.then_some(Content::Shared))
        }
        None => {
            check_searchable(&view)?;
            let entry = find(&view, &path).await?.ok_or_else(unknown)?;
            let content = content_of_entry(&view, &entry).await?;
            (entry.stage, content)
        }
    };
    give(&api, view, stage, content.ok_or_else(unknown)?, &path).await
}

/// Refuses a search that would take minutes, and the names of all files in memory.
fn check_searchable(view: &JobView) -> Result<(), Refusal> {
    let items = |stage: &Stage| view.output_items(&stage.name).len() as u64;
    let items: u64 = delivered_stages(view).map(items).sum();
    if items <= MAX_SEARCHED {
        return Ok(());
    }
    let words = format!(
        "the job has written for {items} items, and up to {MAX_SEARCHED} are searched for a path: take the file's `href` from \
         the list of outputs, which has `stage`, `item` and `name`"
    );
    Err(Refusal::invalid(vec![fault("query:stage", words)]))
}

/// Looks for a file by its path: from the beginning, since names depend on those given before.
async fn find(view: &Arc<JobView>, path: &str) -> Result<Option<OutputEntry>, Refusal> {
    let (mut found, wanted) = (list_outputs(view.clone(), None), PathBuf::from(path));
    while let Some(entry) = found.recv().await.transpose()? {
        if entry.path == wanted {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

async fn give(
    api: &Api,
    view: Arc<JobView>,
    stage: StageName,
    content: Content,
    path: &str,
) -> Result<Response, Refusal> {
    let (len, body) = match content {
        Content::Object(key) => match api.grid.objects.presign_get(&key, URL_LIFE).await? {
            Some(url) => return Ok((StatusCode::FOUND, [(LOCATION, url)]).into_response()),
            None => {
                let size = api.grid.objects.head(&key).await?.size;
                (Some(size), Body::from_stream(api.grid.objects.stream(&key, Some(0..size)).await?))
            }
        },
        Content::Piece(piece) => (Some(piece.len), Body::from_stream(view.outputs().stream(&[piece]))),
        Content::Empty => (Some(0), Body::empty()),
        Content::Shared => (None, Body::from_stream(shared_content(view, stage))),
    };
    let name = FilePath::new(path).file_name().unwrap_or_default().to_string_lossy();
    // A browser saves it, and runs nothing of it.
    let disposition = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(&name, RESERVED));
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, disposition)];
    let mut response = (headers, body).into_response();
    if let Some(len) = len {
        response.headers_mut().insert(CONTENT_LENGTH, len.into());
    }
    Ok(response)
}

/// The list as it is shown, for as long as somebody reads it.
fn shown(
    job: JobId,
    mut found: mpsc::Receiver<Result<OutputEntry, WalkError>>,
) -> mpsc::Receiver<Result<OutputFile, WalkError>> {
    let (give, take) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(entry) = found.recv().await {
            if give.send(entry.map(|entry| file(&job, &entry))).await.is_err() {
                return;
            }
        }
    });
    take
}

fn file(job: &JobId, entry: &OutputEntry) -> OutputFile {
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let path = entry.path.to_string_lossy().into_owned();
    let parts: Vec<String> = path.split('/').map(encoded).collect();
    let mut href = format!("/v1/jobs/{job}/outputs/{}?stage={}", parts.join("/"), encoded(entry.stage.as_str()));
    if !entry.is_shared {
        href.push_str(&format!("&item={}", entry.item));
    }
    if let Some(name) = &entry.name {
        href.push_str(&format!("&name={}", encoded(name)));
    }
    let (bytes, crc32, stage, item) = (entry.bytes, entry.crc32, entry.stage.clone(), entry.item);
    OutputFile { path, bytes, crc32, stage, item, href }
}

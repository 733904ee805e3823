//! Items: the list, those that were given up on, the story of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use grid_api::{DeadLetter, Item, ItemState, Page, Story};
use grid_core::ids::StageName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::access::{Reader, shortened};
use super::document::{Asked, Guarded, OfJob};
use super::problem::Refusal;
use super::query::{self, Query};
use crate::view::{self, ItemFilter, ItemPlace, JobView};

/// Which items are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ItemsQuery {
    /// Only those of this stage.
    stage: Option<String>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<ItemState>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,10}[.][0-9]{1,10}$")]
    cursor: Option<String>,
    /// Entries in a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Which dead letters are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadQuery {
    /// Only those of this stage.
    stage: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,10}[.][0-9]{1,10}$")]
    cursor: Option<String>,
    /// Entries in a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Which item is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhyQuery {
    /// `STAGE/ITEM`: the item by its name, or `STAGE/#INDEX`.
    #[param(pattern = r"^[^/]*/[\s\S]+$")]
    item: String,
}

/// Lists the items of a job, stage by stage.
#[utoipa::path(get, path = "/v1/jobs/{id}/items", tag = "items",
    params(("id" = String, Path, description = "the job"), ItemsQuery), security(("token" = ["read"])),
    responses((status = 200, description = "a page of the list", body = Page<Item>), Asked, Guarded, OfJob))]
pub(super) async fn items(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<Page<Item>>, Refusal> {
    let limit = query::limit(query.limit)?;
    let (job, _) = caller.job(&api, &id).await?;
    let view = JobView::open(&api.grid, &job).await?;
    let filter = ItemFilter { stage: stage(&view, query.stage.as_deref())?, state: query.state };
    let from = place(query.cursor.as_deref())?;
    let page = view::list_items(&view, &filter, from, limit).await?;
    Ok(Json(Page { entries: page.items, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// Lists the items that were given up on, with their reasons.
#[utoipa::path(get, path = "/v1/jobs/{id}/dead", tag = "items",
    params(("id" = String, Path, description = "the job"), DeadQuery), security(("token" = ["read"])),
    responses((status = 200, description = "a page of the list", body = Page<DeadLetter>), Asked, Guarded, OfJob))]
pub(super) async fn dead(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query<DeadQuery>,
) -> Result<Json<Page<DeadLetter>>, Refusal> {
    let limit = query::limit(query.limit)?;
    let (job, _) = caller.job(&api, &id).await?;
    let view = JobView::open(&api.grid, &job).await?;
    let only = stage(&view, query.stage.as_deref())?;
    let from = place(query.cursor.as_deref())?;
    let page = view::list_dead(&view, only.as_ref(), from, limit).await?;
    Ok(Json(Page { entries: page.letters, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// Tells what is known of one item: its attempts, and why its results were or were not taken from an earlier job.
#[utoipa::path(get, path = "/v1/jobs/{id}/why", tag = "items",
    params(("id" = String, Path, description = "the job"), WhyQuery), security(("token" = ["read"])),
    responses((status = 200, description = "its story", body = Story), Asked, Guarded, OfJob))]
pub(super) async fn why(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(query): Query<WhyQuery>,
) -> Result<Json<Story>, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let Some((stage_text, item)) = query.item.split_once('/').filter(|(_, item)| !item.is_empty()) else {
        return Err(Refusal::malformed("query:item", "write STAGE/ITEM, with the item's name or #INDEX"));
    };
    let view = JobView::open(&api.grid, &job).await?;
    let unknown = || Refusal::not_found(format!("job {job} has no item {}", shortened(&query.item)));
    let stage = known_stage(&view, stage_text).ok_or_else(unknown)?;
    let index = view::find_item(&view, &stage, item).await?.ok_or_else(unknown)?;
    Ok(Json(view::story(&api.grid, &view, &stage, index).await?))
}

/// The stage that a query names.
fn stage(view: &JobView, name: Option<&str>) -> Result<Option<StageName>, Refusal> {
    let Some(name) = name else { return Ok(None) };
    let unknown = || Refusal::malformed("query:stage", format!("the job has no stage {}", shortened(name)));
    known_stage(view, name).map(Some).ok_or_else(unknown)
}

fn known_stage(view: &JobView, name: &str) -> Option<StageName> {
    let stages = &view.submission.pipeline.stages;
    stages.iter().find(|stage| stage.name.as_str() == name).map(|stage| stage.name.clone())
}

/// Where a page begins: past the end of the list there is nothing.
fn place(cursor: Option<&str>) -> Result<ItemPlace, Refusal> {
    let Some(cursor) = cursor else { return Ok(ItemPlace::START) };
    cursor.parse().map_err(|_| query::no_cursor())
}

//! The HTTP API. Any manager serves it, whether it leads or not: everything that it says comes from the table and the
//! objects, and everything that is wished goes into them.
//!
//! Requests pass `envelope` (a request id, one line in the log, problems as JSON), then a route; a route's first
//! argument says what its caller must be allowed to do (`access`).

mod access;
mod body;
mod document;
mod envelope;
mod events;
mod files;
mod health;
mod inputs;
mod items;
mod jobs;
mod lines;
mod lists;
mod logs;
mod metrics;
pub mod multipart;
mod outputs;
mod page;
mod parameters;
mod pipelines;
mod problem;
mod query;
mod rest;
mod serve;
mod starting;
mod starts;
mod submission;
mod submit;
mod tokens;
mod uploads;
mod wishes;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use infra::Grid;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use access::{Access, Names};
pub use document::document;
pub use inputs::{InputPolicy, OwnBucket};
pub use serve::{Limits, serve};
pub use starting::Starting;

use events::Watchers;
use health::LastLook;
use lists::Lists;
use metrics::Metrics;
use problem::Refusal;

use crate::{Progress, Role};

/// Longest JSON body: a pipeline file of the longest kind, escaped, and as much again for the rest.
pub const MAX_JSON_BYTES: usize = 4 << 20;

/// What the API stands on, shared by all requests.
#[derive(Debug)]
pub struct Api {
    /// The grid.
    pub grid: Grid,
    /// Who may do anything at all.
    pub access: Access,
    /// What jobs may read.
    pub inputs: InputPolicy,
    /// Cancelled when the manager is to end: streams end, connections are closed after the answer in hand.
    pub stop: CancellationToken,
    progress: watch::Receiver<Progress>,
    role: watch::Receiver<Role>,
    last_look: LastLook,
    metrics: Metrics,
    lists: Lists,
    watchers: Watchers,
}

impl Api {
    /// An API over a grid.
    pub fn new(grid: Grid, access: Access, inputs: InputPolicy, stop: CancellationToken) -> Self {
        let (progress, role) = (watch::channel(Progress::default()).1, watch::channel(Role::default()).1);
        Self {
            grid,
            access,
            inputs,
            stop,
            progress,
            role,
            last_look: LastLook::default(),
            metrics: Metrics::default(),
            lists: Lists::default(),
            watchers: Watchers::default(),
        }
    }

    /// With what the manager in this process tells of itself and, while it leads, of the jobs.
    pub fn watching(self, progress: watch::Receiver<Progress>, role: watch::Receiver<Role>) -> Self {
        Self { progress, role, ..self }
    }
}

/// Every route, to be served by [`serve`].
pub fn router(api: Arc<Api>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/v1/jobs/{id}/outputs/{*path}", get(outputs::get))
        .route("/v1/jobs/{id}/logs/{stage}/{*item}", get(logs::of_item))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(api.clone(), envelope::envelope))
        .with_state(api)
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(submit::submit, jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::stages))
        .routes(routes!(items::items))
        .routes(routes!(items::dead))
        .routes(routes!(items::why))
        .routes(routes!(jobs::receipt))
        .routes(routes!(events::events))
        .routes(routes!(outputs::list))
        .routes(routes!(logs::of_job))
        .routes(routes!(logs::of_stage))
        .routes(routes!(wishes::cancel))
        .routes(routes!(wishes::pause))
        .routes(routes!(wishes::resume))
        .routes(routes!(wishes::redrive))
        .routes(routes!(uploads::create))
        .routes(routes!(uploads::put_part))
        .routes(routes!(uploads::complete))
        .routes(routes!(uploads::abort))
        .routes(routes!(pipelines::put, pipelines::get))
        .routes(routes!(starts::start))
        .routes(routes!(workers::workers))
        .routes(routes!(workers::pools))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(document::openapi_json))
        .routes(routes!(page::index))
}

async fn no_such_path() -> Refusal {
    Refusal::not_found("there is nothing at this path; /openapi.json lists what there is")
}

async fn no_such_method() -> Refusal {
    Refusal::plain(axum::http::StatusCode::METHOD_NOT_ALLOWED, "this path has other methods: see the header Allow")
}

//! Whether the manager lives, and whether what it stands on does.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use grid_api::{BackEnd, Readiness};
use grid_core::rows::LEADER;
use infra::state::RowKey;
use infra::{ErrorKind, Grid};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Api;

/// How long a look at the back ends is good for: anybody may ask, and every look costs four calls.
const FRESH: Duration = Duration::from_secs(2);

/// How long a back end may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An object that need not exist: a store that says so answers.
const PROBED: &str = "readiness";

/// The last look at the back ends, and when it was taken.
#[derive(Debug, Default)]
pub(super) struct LastLook(Mutex<Option<(Instant, Readiness)>>);

/// Says that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "it lives", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether every back end answers, and which does not.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "every back end answers", body = Readiness),
    (status = 503, description = "some back end does not answer", body = Readiness),
))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Readiness>) {
    let mut last = api.last_look.0.lock().await;
    let readiness = match last.take() {
        Some((at, readiness)) if at.elapsed() < FRESH => {
            *last = Some((at, readiness.clone()));
            readiness
        }
        _ => {
            let readiness = look(&api.grid).await;
            *last = Some((Instant::now(), readiness.clone()));
            readiness
        }
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn look(grid: &Grid) -> Readiness {
    let leader = RowKey { partition: LEADER.to_owned(), sort: LEADER.to_owned() };
    let (objects, tasks, dead_tasks, reports, state) = tokio::join!(
        timeout(PATIENCE, async {
            match grid.objects.head(PROBED).await {
                Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
                other => other.map(drop),
            }
        }),
        timeout(PATIENCE, async { grid.tasks.depth().await.map(drop) }),
        timeout(PATIENCE, async { grid.dead_tasks.depth().await.map(drop) }),
        timeout(PATIENCE, async { grid.reports.depth().await.map(drop) }),
        timeout(PATIENCE, async { grid.state.get(&leader).await.map(drop) }),
    );
    let looks =
        [("objects", objects), ("tasks", tasks), ("dead_tasks", dead_tasks), ("reports", reports), ("state", state)];
    let back_ends: Vec<BackEnd> = looks.into_iter().map(|(name, answer)| back_end(name, answer)).collect();
    Readiness { ready: back_ends.iter().all(|it| it.ready), back_ends }
}

fn back_end(name: &str, answer: Result<infra::Result<()>, tokio::time::error::Elapsed>) -> BackEnd {
    let fault = match answer {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(back_end = name, error = crate::error::with_causes(&error), "a back end is not ready");
            Some(error.kind.to_string())
        }
        Err(_) => Some(ErrorKind::Unavailable.to_string()),
    };
    BackEnd { name: name.to_owned(), ready: fault.is_none(), fault }
}

//! Whether the manager lives, and whether what it stands on does.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use grid_api::{BackEnd as Told, Readiness};
use grid_core::rows::LEADER;
use infra::state::RowKey;
use infra::{BackEnd, ErrorKind, Grid};
use tokio::sync::Mutex;
use tokio::time::error::Elapsed;
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
    let looks = [
        (BackEnd::Objects, objects),
        (BackEnd::Tasks, tasks),
        (BackEnd::DeadTasks, dead_tasks),
        (BackEnd::Reports, reports),
        (BackEnd::State, state),
    ];
    let back_ends: Vec<Told> = looks.into_iter().map(|(back_end, answer)| judge(back_end, answer)).collect();
    Readiness { ready: back_ends.iter().all(|it| it.ready), back_ends }
}

fn judge(back_end: BackEnd, answer: Result<infra::Result<()>, Elapsed>) -> Told {
    match answer {
        Ok(Ok(())) => ready(back_end),
        Ok(Err(error)) => {
            let error_words = crate::error::with_causes(&error);
            tracing::warn!(back_end = back_end.name(), error = error_words, "a back end is not ready");
            not_ready(back_end, error.kind)
        }
        Err(_) => not_ready(back_end, ErrorKind::Unavailable),
    }
}

/// A back end that answers.
pub(super) fn ready(back_end: BackEnd) -> Told {
    Told { name: back_end.name().to_owned(), ready: true, fault: None, detail: None }
}

/// A back end that does not. Who asks needs no token: settings are named, and not what they say.
pub(super) fn not_ready(back_end: BackEnd, kind: ErrorKind) -> Told {
    let (thing, service, setting) = (back_end.thing(), back_end.service(), back_end.setting());
    let (what, remedy) = match kind {
        ErrorKind::Unavailable => ("does not answer", "look at the network, and at AWS_ENDPOINT_URL where that is set"),
        ErrorKind::Throttled => ("has more to do than it takes", "it goes on by itself"),
        ErrorKind::Denied => ("refuses the manager's credentials", "grant their role what docs/OPERATIONS.md lists"),
        ErrorKind::NotFound => ("is not there", "create it, or correct the setting"),
        ErrorKind::Full => ("has no room left", "make room"),
        ErrorKind::Conflict | ErrorKind::Invalid => ("cannot be used", "correct the setting"),
    };
    let detail =
        format!("{thing} that {setting} names ({service}) {what}: {remedy}; `job-manager --check` looks closer");
    Told { name: back_end.name().to_owned(), ready: false, fault: Some(kind.to_string()), detail: Some(detail) }
}

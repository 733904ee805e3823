//! A job's progress as server-sent events. Each event tells all of where the job stands, so that none need be sent again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use grid_api::JobStatus;
use grid_core::ids::JobId;
use tokio::time::{Instant, sleep};

use super::Api;
use super::access::Reader;
use super::document::{Common, OfJob};
use super::problem::Refusal;
use crate::ManagerError;
use crate::error::with_causes;
use crate::view::JobView;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look takes at most this part of the time: a job of ten million items has a thousand rows to be read.
const LOOK_SHARE: u32 = 10;

/// Without any event something is sent after this time, so that whoever is in between keeps the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Sends where a job stands, whenever that changes: events `progress` and, as the last one, `end`, each with the job as
/// `GET /v1/jobs/{id}` shows it. A client that comes back with `Last-Event-ID` hears nothing twice, and gets 204 when it has
/// heard the end.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "the job"),
        ("Last-Event-ID" = Option<String>, Header, description = "`id` of the last event that the client has seen")),
    security(("token" = ["read"])),
    responses((status = 200, description = "the events", body = String, content_type = "text/event-stream"),
        (status = 204, description = "the client has heard the end: nothing will follow"), Common, OfJob))]
pub(super) async fn events(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    let status = api.status(&job).await?;
    let heard = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    if status.state.is_final() && heard == Some(event_id(&status)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let telling = Telling { api, job, next: Some(status), heard, pause: LOOK_EVERY, is_over: false };
    let events = stream::unfold(telling, |mut telling| async { telling.next().await.map(|event| (event, telling)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("")).into_response())
}

impl Api {
    /// Where a job stands: as this manager knows while it leads, else as the table has it.
    async fn status(&self, job: &JobId) -> Result<JobStatus, ManagerError> {
        let known = self.progress.borrow().jobs.get(job).filter(|status| !status.state.is_final()).cloned();
        match known {
            Some(status) => Ok(status),
            None => Ok(JobView::open(&self.grid, job).await?.status),
        }
    }
}

/// What one client is told.
struct Telling {
    api: Arc<Api>,
    job: JobId,
    /// What was found out and not told.
    next: Option<JobStatus>,
    /// The event that the client has.
    heard: Option<String>,
    pause: Duration,
    is_over: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        while !self.is_over {
            if let Some(status) = self.next.take() {
                let id = event_id(&status);
                self.is_over = status.state.is_final();
                if self.heard.as_ref() != Some(&id) {
                    self.heard = Some(id.clone());
                    let data = serde_json::to_string(&status).expect("our own types have string keys");
                    let name = if self.is_over { "end" } else { "progress" };
                    return Some(Ok(Event::default().id(id).event(name).data(data)));
                }
                continue;
            }
            tokio::select! {
                () = self.api.stop.cancelled() => return None,
                () = sleep(self.pause) => self.look().await,
            }
        }
        None
    }

    async fn look(&mut self) {
        let began = Instant::now();
        match self.api.status(&self.job).await {
            Ok(status) => self.next = Some(status),
            // A bad moment of a back end: the client hears of the job when it is over.
            Err(error) => tracing::warn!(job = %self.job, error = with_causes(&error), "a job cannot be looked at"),
        }
        self.pause = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
    }
}

/// Names what was told: the same progress has the same name, on every manager.
fn event_id(status: &JobStatus) -> String {
    let text = serde_json::to_vec(status).expect("our own types have string keys");
    blake3::hash(&text).to_hex()[..32].to_owned()
}

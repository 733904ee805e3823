//! A job's progress as server-sent events. Each event tells all of where the job stands, so that none need be sent again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use grid_api::JobStatus;
use grid_core::ids::JobId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::access::Reader;
use super::document::{Asked, Guarded, OfJob};
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
    responses((status = 200, description = "the events", body = serde_json::Value, content_type = "text/event-stream"),
        (status = 204, description = "the client has heard the end: nothing will follow"), Asked, Guarded, OfJob))]
pub(super) async fn events(
    Reader(caller): Reader,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (job, _) = caller.job(&api, &id).await?;
    // First listen, then look: what changes between the two is told.
    let later = Watchers::watch(&api, &job);
    let status = api.status(&job).await?;
    let heard = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
    if status.state.is_final() && heard == Some(event_id(&status)) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let next = Some(Arc::new(Told::of(&status)));
    let telling = Telling { stop: api.stop.clone(), next, heard, later: Some(later) };
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

/// What is told of a job, to everybody in the same words.
#[derive(Debug)]
struct Told {
    id: String,
    data: String,
    is_end: bool,
}

impl Told {
    fn of(status: &JobStatus) -> Self {
        let data = serde_json::to_string(status).expect("our own types have string keys");
        Self { id: event_id(status), data, is_end: status.state.is_final() }
    }

    fn event(&self) -> Event {
        Event::default().id(&self.id).event(if self.is_end { "end" } else { "progress" }).data(&self.data)
    }
}

/// Those who look at jobs for all that want to hear of them: one a job, for as long as somebody listens.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<JobId, watch::Sender<Option<Arc<Told>>>>>);

impl Watchers {
    /// What is told of a job from now on.
    fn watch(api: &Arc<Api>, job: &JobId) -> watch::Receiver<Option<Arc<Told>>> {
        let mut watchers = api.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = watchers.get(job) {
            return watcher.subscribe();
        }
        let (tell, listen) = watch::channel(None);
        watchers.insert(job.clone(), tell.clone());
        drop(watchers);
        let watcher = Watcher { api: api.clone(), job: job.clone(), tell, last: String::new(), pause: LOOK_EVERY };
        tokio::spawn(watcher.run());
        listen
    }
}

/// Looks at one job.
struct Watcher {
    api: Arc<Api>,
    job: JobId,
    tell: watch::Sender<Option<Arc<Told>>>,
    last: String,
    pause: Duration,
}

impl Watcher {
    async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.api.stop.cancelled() => return self.end(),
                () = sleep(self.pause) => {}
            }
            if self.is_alone() || self.look().await {
                return self.end();
            }
        }
    }

    /// Nobody listens any more, and nobody can begin to: whoever wants to gets another one.
    fn is_alone(&self) -> bool {
        let mut watchers = self.api.watchers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_alone = self.tell.receiver_count() == 0;
        if is_alone {
            watchers.remove(&self.job);
        }
        is_alone
    }

    /// Tells what has changed; answers whether that was the end.
    async fn look(&mut self) -> bool {
        let began = Instant::now();
        let mut is_end = false;
        match self.api.status(&self.job).await {
            Ok(status) => {
                let told = Told::of(&status);
                is_end = told.is_end;
                if told.id != self.last {
                    self.last.clone_from(&told.id);
                    self.tell.send_replace(Some(Arc::new(told)));
                }
            }
            // A bad moment of a back end: the clients hear of the job when it is over.
            Err(error) => tracing::warn!(job = %self.job, error = with_causes(&error), "a job cannot be looked at"),
        }
        self.pause = LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
        is_end
    }

    /// Those who listen get what was told last, and then the end.
    fn end(self) {
        self.api.watchers.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
    }
}

/// What one client is told.
struct Telling {
    stop: CancellationToken,
    /// What was found out and not told.
    next: Option<Arc<Told>>,
    /// The event that the client has.
    heard: Option<String>,
    /// What comes later; nothing after the end.
    later: Option<watch::Receiver<Option<Arc<Told>>>>,
}

impl Telling {
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        loop {
            if let Some(told) = self.next.take() {
                if told.is_end {
                    self.later = None;
                }
                if self.heard.as_ref() == Some(&told.id) {
                    continue;
                }
                self.heard = Some(told.id.clone());
                return Some(Ok(told.event()));
            }
            let later = self.later.as_mut()?;
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = later.changed() => match changed {
                    Ok(()) => self.next.clone_from(&later.borrow_and_update()),
                    Err(_) => return None,
                },
            }
        }
    }
}

/// Names what was told: the same progress has the same name, on every manager.
fn event_id(status: &JobStatus) -> String {
    let text = serde_json::to_vec(status).expect("our own types have string keys");
    blake3::hash(&text).to_hex()[..32].to_owned()
}

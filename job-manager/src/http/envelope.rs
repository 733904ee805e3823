//! What every request gets: an id, a line in the log, a problem where it is refused, and headers that keep browsers from
//! guessing.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::Instant;
use tracing::Instrument;

use super::Api;
use super::problem::{Refusal, complete};

/// Names a request, in the answer and in the log.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Around every route, and around what finds none.
pub(super) async fn envelope(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (method, started) = (request.method().clone(), Instant::now());
    // The path itself may be long, or hold what is nobody's business; its pattern is neither.
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", id, %method, path = path.as_str());
    let response = answer(request, next).instrument(span.clone()).await;
    let mut response = complete(response, &id);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from_str(&id).expect("hex digits are a header value"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let (status, time) = (response.status(), started.elapsed());
    api.metrics.answered(&method, &path, status, time);
    span.in_scope(|| tracing::info!(status = status.as_u16(), millis = time.as_millis() as u64, "answered"));
    response
}

/// A panic ends the request, not the connection's other requests.
async fn answer(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a request panicked");
            let detail = "the manager failed; its log has the cause under this request_id";
            Refusal::plain(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}

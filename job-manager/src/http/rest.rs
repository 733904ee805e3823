//! The rest of a body that nobody wanted: taken in before the answer if it is short. A server that answers and closes while
//! the client is still writing keeps it from reading the answer, and loses the connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Frame;

use super::MAX_JSON_BYTES;

/// Around every route: when it has answered, what it has left of a short body is read.
pub(super) async fn take_in(request: Request, next: Next) -> Response {
    if !is_short(request.headers()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(Some(body))));
    let response = next.run(Request::from_parts(parts, Body::new(shared.clone()))).await;
    let left = shared.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(mut body) = left {
        while let Some(Ok(_)) = body.frame().await {}
    }
    response
}

/// Whether a body is no longer than the documents that we take, and comes without being asked for.
fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| (1..=MAX_JSON_BYTES as u64).contains(&length)) && !headers.contains_key(EXPECT)
}

/// A body of which something may be left when its reader has gone; nothing after its end, or its fault.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Option<Body>>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = left.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            *left = None;
        }
        Poll::Ready(frame)
    }
}

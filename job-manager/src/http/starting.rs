//! What is served before the grid is open: that the process lives, and what it is waiting for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use grid_api::{BackEnd, Readiness};
use tower::ServiceExt;

use super::problem::{Refusal, complete};

/// Serves what there is: at first only health, then everything.
#[derive(Clone, Debug, Default)]
pub struct Starting(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    router: OnceLock<Router>,
    fault: Mutex<Option<String>>,
}

impl Starting {
    /// The routes of now, and of later.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// Says what is waited for, for whoever asks whether the manager is ready.
    pub fn waits_for(&self, fault: String) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// From now on, everything is served. Only the first call counts.
    pub fn is_open(&self, router: Router) {
        self.0.router.get_or_init(|| router);
    }

    fn readiness(&self) -> Readiness {
        let fault = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fault = fault.unwrap_or_else(|| "is being opened".to_owned());
        Readiness {
            ready: false,
            back_ends: vec![BackEnd { name: "grid".to_owned(), ready: false, fault: Some(fault) }],
        }
    }
}

async fn answer(State(starting): State<Starting>, request: Request) -> Response {
    if let Some(router) = starting.0.router.get() {
        return match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
    }
    match request.uri().path() {
        "/healthz" => "ok\n".into_response(),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, Json(starting.readiness())).into_response(),
        _ => complete(Refusal::not_ready().into_response(), ""),
    }
}

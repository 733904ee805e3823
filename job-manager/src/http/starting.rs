//! What is served before the grid is open: that the process lives, and what it is waiting for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use grid_api::{BackEnd as Told, Readiness};
use infra::{BackEnd, ErrorKind, NotOpen};
use tower::ServiceExt;

use super::health::{not_ready, ready};
use super::problem::{Refusal, complete};

/// What is wrong with which back end; none where not even a request could be made.
type Faults = Vec<(Option<BackEnd>, ErrorKind)>;

/// Serves what there is: at first only health, then everything.
#[derive(Clone, Debug, Default)]
pub struct Starting(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    router: OnceLock<Router>,
    faults: Mutex<Option<Faults>>,
}

impl Starting {
    /// The routes of now, and of later.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// Says what is waited for, for whoever asks whether the manager is ready.
    pub fn waits_for(&self, not_open: &NotOpen) {
        *self.0.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(not_open.faults().collect());
    }

    /// From now on, everything is served. Only the first call counts.
    pub fn is_open(&self, router: Router) {
        self.0.router.get_or_init(|| router);
    }

    fn readiness(&self) -> Readiness {
        let faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let back_ends = match faults {
            None => BackEnd::ALL.map(opening).to_vec(),
            Some(faults) if faults.iter().any(|(back_end, _)| back_end.is_none()) => vec![no_credentials()],
            Some(faults) => BackEnd::ALL.map(|back_end| look_up(back_end, &faults)).to_vec(),
        };
        Readiness { ready: false, back_ends }
    }
}

/// All back ends were asked: those without a fault have answered.
fn look_up(back_end: BackEnd, faults: &Faults) -> Told {
    let kind = faults.iter().find(|(faulty, _)| *faulty == Some(back_end)).map(|(_, kind)| *kind);
    kind.map_or_else(|| ready(back_end), |kind| not_ready(back_end, kind))
}

fn opening(back_end: BackEnd) -> Told {
    Told { name: back_end.name().to_owned(), ready: false, fault: Some("opening".to_owned()), detail: None }
}

/// Nothing can be asked without them.
fn no_credentials() -> Told {
    let detail = "the AWS SDK has no credentials, or no region, at the moment: see AWS_PROFILE, AWS_REGION and the role of \
                  this machine; `job-manager --check` looks closer";
    let fault = ErrorKind::Unavailable.to_string();
    Told { name: "credentials".to_owned(), ready: false, fault: Some(fault), detail: Some(detail.to_owned()) }
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

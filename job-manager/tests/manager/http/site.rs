//! A grid in memory with its API, asked without a network.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use grid_api::{Problem, Scope};
use grid_core::ids::JobId;
use infra::Grid;
use job_manager::http::{Access, Api, InputPolicy, Names, router};
use job_manager::tokens::{self, TokenRequest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::operations::meant;

/// A pipeline of two items.
pub const TWO: &str = "name: two\nstages:\n  work: {range: 1..2, run: [\"true\"]}\n";

/// A grid with its API.
pub struct Site {
    pub grid: Grid,
    pub router: Router,
    pub stop: CancellationToken,
    /// What it was asked that the document has, and answered.
    seen: Mutex<Vec<(String, u16)>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Site {
    /// One that asks nobody for a token as long as there is none.
    pub fn new() -> Self {
        Self::on(infra::memory::grid(), Self::this_machine())
    }

    pub fn this_machine() -> Access {
        Access::ThisMachine(Names::default())
    }

    /// One that only those with a token may ask.
    pub fn closed() -> Self {
        Self::on(infra::memory::grid(), Access::Tokens)
    }

    pub fn on(grid: Grid, access: Access) -> Self {
        let stop = CancellationToken::new();
        let api = Api::new(grid.clone(), access, InputPolicy::default(), stop.clone());
        Self { grid, router: router(Arc::new(api)), stop, seen: Mutex::default() }
    }

    /// The secret of a new token.
    pub async fn token(&self, scope: Scope, tenant: Option<&str>) -> String {
        let request = TokenRequest { scope, tenant: tenant.map(str::to_owned), note: String::new(), expires_ms: None };
        tokens::create(&self.grid, request).await.unwrap().secret
    }

    /// What it was asked that the document has, and answered.
    pub fn seen(&self) -> Vec<(String, u16)> {
        self.seen.lock().unwrap().clone()
    }

    /// Asks. An answer that the document does not promise fails the test.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let operation = meant(request.method(), request.uri().path());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(operation) = operation {
            let (name, status) = (operation.name(), parts.status.as_u16());
            assert!(
                operation.statuses.contains(&status),
                "{name} answers {status}, of which the document says nothing"
            );
            self.seen.lock().unwrap().push((name, status));
        }
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request of this machine without a body.
    pub async fn call(&self, method: Method, path: &str) -> Answer {
        self.send(request(method, path, None).body(Body::empty()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(json_request(path, None, body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        let request = request(Method::PUT, path, None).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Submits a pipeline and answers its job.
    pub async fn submit(&self, token: Option<&str>, pipeline: &str) -> JobId {
        let answer = self.send(json_request("/v1/jobs", token, &json!({"pipeline": pipeline}))).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        JobId::new(answer.json::<Value>()["job"].as_str().unwrap())
    }
}

/// A request of this machine, with a token or without.
pub fn request(method: Method, path: &str, token: Option<&str>) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path).header("host", "localhost:8470");
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

pub fn json_request(path: &str, token: Option<&str>, body: &Value) -> Request<Body> {
    let request = request(Method::POST, path, token).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The problem that it is; everything that all problems have in common is checked.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status.as_u16(), "{self:?}");
        assert_eq!(problem.request_id.as_deref(), self.headers["x-request-id"].to_str().ok());
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{self:?}");
        problem
    }

    /// The places of the faults of a problem.
    pub fn pointers(&self) -> Vec<String> {
        self.problem().errors.into_iter().map(|error| error.pointer).collect()
    }
}

//! The HTTP API, asked in process on a grid in memory: whatever is asked, the answer is none of 5xx, what is refused is refused as a
//! problem, and nothing panics. An input is one request or several, of text:
//!
//! ```text
//! POST /v1/jobs
//! content-type: application/json
//!
//! {"pipeline": ".."}
//! %%
//! GET /v1/jobs/{new}
//! ```
//!
//! `{done}` and `{live}` stand for a job that has ended and for one that has not, `{new}` for what the last answer has made.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use grid_api::Problem;
use job_manager::http::{Access, Api, InputPolicy, Names, router};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::site::{Made, Site};

pub(super) const WORDS: [&str; 24] = [
    "GET /v1/jobs/{done}/",
    "POST /v1/jobs/{live}/",
    "PUT /v1/pipelines/",
    "DELETE /v1/",
    "HEAD /",
    "{done}",
    "{live}",
    "{new}",
    "\n%%\n",
    "content-type: application/json\n",
    "content-type: multipart/form-data; boundary=b\n",
    "content-length: ",
    "accept: application/x-ndjson\n",
    "authorization: Bearer grd_",
    "idempotency-key: k\n",
    "last-event-id: ",
    "?cursor=0.4294967296&limit=1000",
    "&stage=work&item=4294967295&name=",
    "%00",
    "%2e%2e%2f",
    "{\"pipeline\": \"name: a\\nstages:\\n  b: {range: 1..2, run: 'true'}\\n\"}",
    "--b\r\ncontent-disposition: form-data; name=\"job\"\r\n\r\n",
    "{\"parts\": [{\"number\": 1, \"etag\": \"x\"}]}",
    "18446744073709551616",
];

/// Requests of one input.
const MAX_REQUESTS: usize = 8;

/// How long an answer may go on: one that tells of what comes does not end.
const LISTENS_FOR: Duration = Duration::from_millis(20);

pub(super) fn run(bytes: &[u8]) {
    static MADE: OnceLock<Made> = OnceLock::new();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = MADE.get_or_init(|| runtime.block_on(Made::make()));
    runtime.block_on(async {
        let site = made.copy().await;
        let router = open(&site);
        let mut new = String::new();
        let separator = b"\n%%\n";
        let mut rest = Some(bytes);
        for _ in 0..MAX_REQUESTS {
            let Some(input) = rest else { return };
            let end = input.windows(separator.len()).position(|window| window == separator);
            rest = end.map(|end| &input[end + separator.len()..]);
            let Some(request) = request(&input[..end.unwrap_or(input.len())], made, &new) else { continue };
            if let Some(made) = ask(&router, request).await {
                new = made;
            }
        }
    });
}

fn open(site: &Site) -> Router {
    let access = Access::ThisMachine(Names::default());
    router(Arc::new(Api::new(site.grid.clone(), access, InputPolicy::default(), CancellationToken::new())))
}

/// A request as it is written; nothing where no client could send it.
fn request(text: &[u8], made: &Made, new: &str) -> Option<Request<Body>> {
    let (head, body) = match text.windows(2).position(|window| window == b"\n\n") {
        Some(end) => (&text[..end], &text[end + 2..]),
        None => (text, &[][..]),
    };
    let head = String::from_utf8_lossy(head);
    let head = head.replace("{done}", made.done.as_str()).replace("{live}", made.live.as_str()).replace("{new}", new);
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).ok()?).uri(path);
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?);
    }
    headers.entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    *request.headers_mut()? = headers;
    request.body(Body::from(Bytes::copy_from_slice(body))).ok()
}

/// Asks, and looks at the answer; what it has made, if it says so.
async fn ask(router: &Router, request: Request<Body>) -> Option<String> {
    let asked = format!("{} {}", request.method(), request.uri());
    let wants_lines = request.headers().contains_key(ACCEPT);
    let is_head = request.method() == Method::HEAD;
    let response = router.clone().oneshot(request).await.expect("a router answers everything");
    let (parts, body) = response.into_parts();
    let status = parts.status;
    assert!(!status.is_server_error(), "{asked} is answered {status}");
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    assert!(id.is_some(), "{asked}: the answer has no name");
    let body = timeout(LISTENS_FOR, to_bytes(body, usize::MAX)).await.ok()?;
    if is_head {
        return None;
    }
    if status.is_client_error() {
        assert_eq!(kind, "application/problem+json", "{asked} is answered {status}");
        let problem: Problem = serde_json::from_slice(&body.expect("a problem is told to its end")).expect("a problem");
        assert_eq!((problem.status, problem.request_id), (status.as_u16(), id), "{asked}");
        return None;
    }
    let Ok(body) = body else {
        assert!(wants_lines || kind != "application/json", "{asked}: the answer breaks off");
        return None;
    };
    if kind != "application/json" {
        return None;
    }
    let answer: Value = serde_json::from_slice(&body).expect("what says that it is JSON is JSON");
    let name = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    (status == StatusCode::CREATED || status == StatusCode::OK)
        .then(|| name("job").or_else(|| name("upload")).or_else(|| name("id")))?
}

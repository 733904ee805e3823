//! Every answer that the document promises is given to somebody. That none is given that it does not promise, every test of
//! this folder sees to (`site`).

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use grid_api::{Scope, Upload};
use http_body_util::StreamBody;
use infra::ErrorKind;
use job_manager::http::Access;
use serde_json::{Value, json};
use tower_http::timeout::TimeoutBody;

use super::jobs::half_dead;
use super::moods::{Mood, Moods};
use super::operations::{Operation, operations};
use super::outputs::{PIPELINE, done, waiting};
use super::site::{Answer, Site, TWO, request};
use crate::yard::Yard;

/// An operation and what it has answered.
type Seen = BTreeSet<(String, u16)>;

/// The id of nothing.
pub const UNKNOWN: &str = "0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e";

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_document_is_given() {
    let mut seen = callers().await;
    for more in [back_ends().await, nothing_there().await, unreadable().await, bodies().await, full().await] {
        seen.extend(more);
    }
    seen.extend(conflicts().await);
    seen.extend(what_is_asked_for().await);
    seen.extend(files_and_pipelines().await);
    seen.extend(tokens().await);
    seen.extend(too_large().await);
    let promised = operations().iter().flat_map(|it| it.statuses.iter().map(|status| (it.name(), *status)));
    let never: Vec<(String, u16)> = promised.filter(|pair| !seen.contains(pair)).collect();
    assert!(never.is_empty(), "nobody was ever answered so, although the document says it: {never:#?}");
}

/// Asks without a body.
async fn ask(site: &Site, operation: &Operation, id: &str) -> Answer {
    let query = if operation.path.ends_with("/why") { "?item=work/1" } else { "" };
    site.call(operation.method.clone(), &format!("{}{query}", operation.filled(id, "work"))).await
}

async fn send(site: &Site, operation: &Operation, id: &str, kind: &str, body: Body) -> Answer {
    let request = request(operation.method.clone(), &operation.filled(id, "work"), None).header("content-type", kind);
    site.send(request.body(body).unwrap()).await
}

fn takes_json(operation: &&Operation) -> bool {
    operation.takes.contains("application/json")
}

async fn callers() -> Seen {
    let (closed, open) = (Site::closed(), Site::new());
    for operation in operations() {
        ask(&closed, operation, UNKNOWN).await;
        let request = request(operation.method.clone(), &operation.filled(UNKNOWN, "work"), None);
        open.send(request.header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap()).await;
    }
    [closed.seen(), open.seen()].concat().into_iter().collect()
}

async fn back_ends() -> Seen {
    let mut seen = Seen::new();
    for kind in [ErrorKind::Denied, ErrorKind::Unavailable] {
        let moods = Moods::default();
        let site = Site::on(moods.grid(), Site::this_machine());
        moods.are(Mood::Refusing(kind));
        for operation in operations() {
            ask(&site, operation, UNKNOWN).await;
        }
        seen.extend(site.seen());
    }
    seen
}

async fn nothing_there() -> Seen {
    let site = Site::new();
    for operation in operations().iter().filter(|it| it.has_places()) {
        match operation.path.as_str() {
            "/v1/uploads/{id}/complete" => {
                send(&site, operation, UNKNOWN, "application/json", r#"{"parts": []}"#.into()).await
            }
            _ => ask(&site, operation, UNKNOWN).await,
        };
    }
    site.seen().into_iter().collect()
}

async fn unreadable() -> Seen {
    let site = Site::new();
    for operation in operations() {
        if operation.has_places() {
            ask(&site, operation, "%ff").await;
        } else {
            site.call(operation.method.clone(), &format!("{}?nobody_knows_this=x", operation.path)).await;
        }
    }
    for operation in operations().iter().filter(takes_json) {
        send(&site, operation, UNKNOWN, "application/json", "{".into()).await;
    }
    site.seen().into_iter().collect()
}

/// A body of which nothing ever comes.
fn silent() -> Body {
    let nothing = futures::stream::pending::<Result<axum::body::Bytes, std::convert::Infallible>>();
    let frames = futures::StreamExt::map(nothing, |piece| piece.map(hyper::body::Frame::data));
    Body::new(TimeoutBody::new(Duration::from_secs(1), StreamBody::new(frames)))
}

/// Bodies that are of another kind, too long, do not arrive, or say what cannot be.
async fn bodies() -> Seen {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    for operation in operations().iter().filter(takes_json) {
        let at = async |kind: &str, body: Body| send(&site, operation, job.as_str(), kind, body).await;
        at("text/plain", "x".into()).await;
        at("application/json", vec![b' '; (4 << 20) + 1].into()).await;
        at("application/json", silent()).await;
        at("application/json", r#"{"nobody_knows_this": 1}"#.into()).await;
    }
    let upload = site.post("/v1/uploads", &json!({"name": "a", "bytes": 2})).await.json::<Upload>();
    for body in [Body::from("longer"), silent()] {
        site.send(request(Method::PUT, &upload.parts[0].url, None).body(body).unwrap()).await;
    }
    site.seen().into_iter().collect()
}

/// Looks for a file in a job of too many.
async fn too_large() -> Seen {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = waiting(&yard, &site, 100_001).await;
    site.get(&format!("/v1/jobs/{job}/outputs/work/1.txt")).await;
    site.seen().into_iter().collect()
}

/// Sends what is right to stores without room.
async fn full() -> Seen {
    let moods = Moods::default();
    let site = Site::on(moods.grid(), Site::this_machine());
    site.put("/v1/pipelines/kept", &json!({"pipeline": TWO, "on_events": ["e"]})).await;
    let [begun, sent] = [begin(&site).await, begin(&site).await];
    let parts = put_parts(&site, &sent).await;
    moods.are(Mood::Full);
    site.post("/v1/jobs", &json!({"pipeline": TWO})).await;
    site.post("/v1/uploads", &json!({"name": "a", "bytes": 1})).await;
    put_parts(&site, &begun).await;
    site.post(&format!("/v1/uploads/{}/complete", sent.id), &parts).await;
    site.put("/v1/pipelines/other", &json!({"pipeline": TWO})).await;
    site.post("/v1/events/e", &json!({})).await;
    site.post("/v1/tokens", &json!({"scope": "read"})).await;
    site.call(Method::DELETE, &format!("/v1/uploads/{}", begun.id)).await;
    [site.seen(), full_of_jobs().await, full_of_tokens().await].concat().into_iter().collect()
}

/// Wishes of jobs in stores that have become full.
async fn full_of_jobs() -> Vec<(String, u16)> {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let half = half_dead(&yard, &site).await;
    let [running, paused] = [site.submit(None, TWO).await, site.submit(None, TWO).await];
    site.call(Method::POST, &format!("/v1/jobs/{paused}/pause")).await;
    moods.are(Mood::Full);
    for (job, wish) in [(&running, "cancel"), (&running, "pause"), (&paused, "resume"), (&half, "redrive")] {
        site.call(Method::POST, &format!("/v1/jobs/{job}/{wish}")).await;
    }
    site.seen()
}

async fn full_of_tokens() -> Vec<(String, u16)> {
    let moods = Moods::default();
    let site = Site::on(moods.grid(), Access::Tokens);
    let admin = site.token(Scope::Admin, None).await;
    let id = admin.split('_').nth(1).unwrap();
    moods.are(Mood::Full);
    let revoke = request(Method::DELETE, &format!("/v1/tokens/{id}"), Some(&admin));
    site.send(revoke.body(Body::empty()).unwrap()).await;
    site.seen()
}

async fn begin(site: &Site) -> Upload {
    site.post("/v1/uploads", &json!({"name": "a", "bytes": 1})).await.json()
}

/// Sends the one part of an upload, and answers what is asked for at the end.
async fn put_parts(site: &Site, upload: &Upload) -> Value {
    let sent = site.send(request(Method::PUT, &upload.parts[0].url, None).body("x".into()).unwrap()).await;
    let etag = sent.headers.get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    json!({"parts": [{"number": 1, "etag": etag}]})
}

async fn conflicts() -> Seen {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let ended = done(&yard, &site, PIPELINE).await;
    for wish in ["cancel", "pause", "resume"] {
        site.call(Method::POST, &format!("/v1/jobs/{ended}/{wish}")).await;
    }
    let running = site.submit(None, TWO).await;
    site.call(Method::POST, &format!("/v1/jobs/{running}/redrive")).await;
    // No file has so long a name.
    let long = format!("{{matrix: {{system: [{}, us]}}, output: {{name: '${{{{ key.system }}}}'}},", "x".repeat(300));
    let unnamed = done(&yard, &site, &PIPELINE.replace("{matrix: {system: [eu/de, us]},", &long)).await;
    for path in ["outputs", "outputs/work/x"] {
        site.get(&format!("/v1/jobs/{unnamed}/{path}")).await;
    }
    site.seen().into_iter().collect()
}

/// What is there is given.
async fn what_is_asked_for() -> Seen {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = done(&yard, &site, PIPELINE).await;
    for path in ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/jobs", "/v1/workers", "/v1/pools"] {
        site.get(path).await;
    }
    let root = format!("/v1/jobs/{job}");
    let of_job =
        ["", "/stages", "/items", "/dead", "/why?item=work/%230", "/receipt", "/outputs", "/logs", "/logs/work"];
    for path in of_job.into_iter().chain(["/logs/work/%230", "/outputs/work/us/a%20b%3F.txt"]) {
        site.get(&format!("{root}{path}")).await;
    }
    moods.are(Mood::Signing);
    let given = site.get(&format!("{root}/outputs/work/eu%252Fde.txt?stage=work&item=0")).await;
    let place = given.headers.get("location").map(|place| place.to_str().unwrap()).unwrap_or_default();
    assert!(place.starts_with("https://store.example/jobs/"), "{given:?}");
    let events = String::from_utf8(site.get(&format!("{root}/events")).await.body).unwrap();
    let id = events.lines().filter_map(|line| line.strip_prefix("id:")).next_back().unwrap().trim().to_owned();
    let again = request(Method::GET, &format!("{root}/events"), None).header("last-event-id", id);
    site.send(again.body(Body::empty()).unwrap()).await;
    let other = site.submit(None, TWO).await;
    for wish in ["pause", "resume", "cancel"] {
        site.call(Method::POST, &format!("/v1/jobs/{other}/{wish}")).await;
    }
    let half = half_dead(&yard, &site).await;
    site.call(Method::POST, &format!("/v1/jobs/{half}/redrive")).await;
    site.seen().into_iter().collect()
}

async fn files_and_pipelines() -> Seen {
    let site = Site::new();
    let [kept, given_up] = [begin(&site).await, begin(&site).await];
    let parts = put_parts(&site, &kept).await;
    site.post(&format!("/v1/uploads/{}/complete", kept.id), &parts).await;
    site.call(Method::DELETE, &format!("/v1/uploads/{}", given_up.id)).await;
    for _ in 0..2 {
        site.put("/v1/pipelines/kept", &json!({"pipeline": TWO, "on_events": ["e"]})).await;
        let once = request(Method::POST, "/v1/jobs", None).header("idempotency-key", "k");
        let once: Request<Body> =
            once.header("content-type", "application/json").body(json!({"pipeline": TWO}).to_string().into()).unwrap();
        site.send(once).await;
    }
    site.get("/v1/pipelines/kept").await;
    site.post("/v1/events/e", &json!({})).await;
    site.seen().into_iter().collect()
}

async fn tokens() -> Seen {
    let site = Site::closed();
    let admin = site.token(Scope::Admin, None).await;
    let ask = async |method: Method, path: &str, body: &'static str| {
        let request = request(method, path, Some(&admin)).header("content-type", "application/json");
        site.send(request.body(body.into()).unwrap()).await
    };
    let made = ask(Method::POST, "/v1/tokens", r#"{"scope": "read"}"#).await.json::<Value>();
    ask(Method::GET, "/v1/tokens", "").await;
    ask(Method::DELETE, &format!("/v1/tokens/{}", made["id"].as_str().unwrap()), "").await;
    site.seen().into_iter().collect()
}

//! Pipelines that are kept by name, and the events that start them.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use grid_api::{JobSummary, PipelineVersion, Scope, StartedJobs};
use serde_json::{Value, json};

use super::site::{Answer, Site, TWO, json_request, request};

const TAKES: &str = "name: t\nparams: {year: {type: integer}}\nstages:\n  work: {range: 1..2, run: [\"true\"]}\n";

async fn put(site: &Site, name: &str, text: &str, events: &[&str]) -> (u16, PipelineVersion) {
    let body = json!({"pipeline": text, "on_events": events});
    let answer = site.put(&format!("/v1/pipelines/{name}"), &body).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_is_kept_version_by_version() {
    let site = Site::new();
    let (status, first) = put(&site, "p", TWO, &[]).await;
    assert_eq!((status, first.version, first.pipeline.as_str()), (201, 1, TWO));
    assert_eq!(put(&site, "p", TWO, &[]).await, (200, first.clone()));
    let (status, second) = put(&site, "p", TAKES, &[]).await;
    assert_eq!((status, second.version), (201, 2));
    let (status, third) = put(&site, "p", TAKES, &["e"]).await;
    assert_eq!((status, third.version, third.on_events.len()), (201, 3, 1));
    put(&site, "p-2", TWO, &[]).await;
    let shown = async |path: &str| site.get(path).await.json::<PipelineVersion>();
    assert_eq!(shown("/v1/pipelines/p").await, third);
    assert_eq!(shown("/v1/pipelines/p?version=1").await, first);
    for path in ["/v1/pipelines/q", "/v1/pipelines/p?version=4", "/v1/pipelines/p?version=0", "/v1/pipelines/p%23"] {
        assert_eq!(site.get(path).await.problem().status, 404, "{path}");
    }
    assert_eq!(site.get("/v1/pipelines/p?version=x").await.pointers(), ["query:version"]);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_with_faults_is_not_kept() {
    let site = Site::new();
    let refused = async |name: &str, body: Value| site.put(&format!("/v1/pipelines/{name}"), &body).await.pointers();
    assert_eq!(refused("p", json!({"pipeline": "name: x\n"})).await, ["#/pipeline"]);
    assert_eq!(
        refused("a%20b", json!({"pipeline": TWO, "on_events": ["ok", "a/b"]})).await,
        ["path:name", "#/on_events/1"]
    );
    assert_eq!(refused("p", json!({"pipeline": TWO, "on_events": vec!["e"; 33]})).await, ["#/on_events"]);
    assert_eq!(site.get("/v1/pipelines/p").await.problem().status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_kept_pipeline_is_submitted_by_its_name() {
    let site = Site::new();
    put(&site, "p", TWO, &[]).await;
    put(&site, "p", TAKES, &[]).await;
    let submit = async |registered: Value, params: Value| {
        site.post("/v1/jobs", &json!({"registered": registered, "params": params})).await
    };
    let name = |answer: Answer| answer.json::<JobSummary>().pipeline;
    assert_eq!(name(submit(json!({"name": "p"}), json!({"year": 1})).await), "t");
    assert_eq!(name(submit(json!({"name": "p", "version": 1}), json!({})).await), "two");
    assert_eq!(submit(json!({"name": "p"}), json!({})).await.pointers(), ["#/params/year"]);
    assert_eq!(submit(json!({"name": "p", "version": 3}), json!({})).await.pointers(), ["#/registered"]);
    assert_eq!(submit(json!({"name": "p#"}), json!({})).await.pointers(), ["#/registered"]);
}

async fn fire(site: &Site, event: &str, key: Option<&str>, body: &Value) -> Answer {
    let builder =
        request(Method::POST, &format!("/v1/events/{event}"), None).header("content-type", "application/json");
    let builder = key.into_iter().fold(builder, |builder, key| builder.header("idempotency-key", key));
    site.send(builder.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn an_event_starts_the_pipelines_whose_newest_version_is_bound_to_it() {
    let site = Site::new();
    put(&site, "one", TAKES, &["arrived"]).await;
    put(&site, "two", TAKES, &["other", "arrived"]).await;
    put(&site, "three", TAKES, &["arrived"]).await;
    put(&site, "three", TAKES, &[]).await;
    let body = json!({"params": {"year": 2025}});
    let started = fire(&site, "arrived", Some("k"), &body).await.json::<StartedJobs>();
    assert_eq!(started.jobs.len(), 2);
    assert_eq!(fire(&site, "arrived", Some("k"), &body).await.json::<StartedJobs>(), started);
    let other = fire(&site, "arrived", Some("k"), &json!({"params": {"year": 2026}})).await;
    assert_eq!(other.problem().kind, "urn:gridmill:problem:idempotency-key");
    assert_eq!(fire(&site, "nobody", None, &json!({})).await.json::<StartedJobs>().jobs, vec![]);
    assert_eq!(fire(&site, "arrived", None, &json!({})).await.pointers(), ["#/params/year"]);
    assert_eq!(fire(&site, "a%2Fb", None, &json!({})).await.pointers(), ["path:type"]);
    let listed = site.get("/v1/jobs").await.json::<grid_api::Page<JobSummary>>();
    assert_eq!(listed.entries.len(), 2, "what cannot be started starts nothing");
    assert_eq!(site.call(Method::POST, "/v1/events/nobody").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn kept_pipelines_are_their_tenants() {
    let site = Site::closed();
    let (one, other) = (site.token(Scope::Submit, Some("one")).await, site.token(Scope::Submit, Some("other")).await);
    let put = request(Method::PUT, "/v1/pipelines/p", Some(&one)).header("content-type", "application/json");
    let body = json!({"pipeline": TWO, "on_events": ["e"]}).to_string();
    assert_eq!(site.send(put.body(body.into()).unwrap()).await.status, StatusCode::CREATED);
    let get = request(Method::GET, "/v1/pipelines/p", Some(&other)).body(Body::empty()).unwrap();
    assert_eq!(site.send(get).await.problem().status, 404);
    let submit = site.send(json_request("/v1/jobs", Some(&other), &json!({"registered": {"name": "p"}}))).await;
    assert_eq!(submit.pointers(), ["#/registered"]);
    let fired = async |token: &str| {
        site.send(json_request("/v1/events/e", Some(token), &json!({}))).await.json::<StartedJobs>().jobs.len()
    };
    assert_eq!((fired(&other).await, fired(&one).await), (0, 1));
}

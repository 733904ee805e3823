//! Whatever is refused is refused in one form.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use grid_api::Scope;
use grid_core::ids::JobId;
use grid_core::rows::{JOBS, JobRow};
use infra::faults::{FaultyState, StoreFaults};
use infra::state::{Expect, RowKey, Write};
use serde_json::json;

use super::moods::{Mood, Moods};
use super::operations::operations;
use super::site::{Site, TWO, request};

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_a_problem() {
    let site = Site::new();
    let unknown = "/v1/jobs/0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e";
    for path in ["/v2", "/v1", "/v1/", "/v1/jobs/", unknown, "/v1/jobs/x", "/v1/jobs/%00", "/v1/jobs/..%2f..", "//"] {
        let problem = site.get(path).await.problem();
        assert_eq!((problem.status, problem.kind.as_str()), (404, "about:blank"), "{path}");
    }
    assert_eq!(site.get("/v1/jobs/%ff").await.problem().status, 400);
    let method = site.call(Method::DELETE, "/v1/jobs").await;
    assert_eq!(method.problem().status, 405);
    assert_eq!(method.headers["allow"], "POST,GET,HEAD");
}

#[tokio::test(start_paused = true)]
async fn queries_that_cannot_be_read_name_the_parameter() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    let cases = [
        ("/v1/jobs?limit=0".to_owned(), "query:limit"),
        ("/v1/jobs?limit=1001".to_owned(), "query:limit"),
        ("/v1/jobs?limit=x".to_owned(), "query:limit"),
        ("/v1/jobs?state=done".to_owned(), "query:state"),
        ("/v1/jobs?cursor=x".to_owned(), "query:cursor"),
        ("/v1/jobs?stat=x".to_owned(), "query:stat"),
        (format!("/v1/jobs/{job}/items?stage=x"), "query:stage"),
        (format!("/v1/jobs/{job}/items?cursor=0"), "query:cursor"),
        (format!("/v1/jobs/{job}/items?cursor=0.x"), "query:cursor"),
        (format!("/v1/jobs/{job}/dead?cursor=-"), "query:cursor"),
        ("/v1/jobs?limit=1&limit=2".to_owned(), "query:limit"),
        ("/v1/jobs?limit=1&%6cimit=1".to_owned(), "query:limit"),
        (format!("/v1/jobs/{job}?limit"), "query:limit"),
        (format!("/v1/jobs/{job}/outputs/work/1.txt?download=1"), "query:download"),
        (format!("/v1/jobs/{job}/why"), "query:item"),
    ];
    for (path, pointer) in cases {
        let answer = site.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.pointers()), (400, vec![pointer.to_owned()]), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_route_refuses_parameters_that_it_does_not_have() {
    let site = Site::new();
    let admin = site.token(Scope::Admin, None).await;
    for operation in operations().iter().filter(|it| it.scope.is_some()) {
        let path = format!("{}?one=1&limit=1&one=2&limit=1&%00", operation.filled("x", "y"));
        let request = request(operation.method.clone(), &path, Some(&admin)).body(Body::empty()).unwrap();
        let answer = site.send(request).await;
        let pointers = answer.pointers();
        assert_eq!((answer.status.as_u16(), &pointers[0]), (400, &"query:\\0".to_owned()), "{}", operation.name());
        assert!(pointers.contains(&"query:one".to_owned()), "{}", operation.name());
        assert!(pointers.contains(&"query:limit".to_owned()), "{}", operation.name());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_token_hears_of_that_before_the_query_is_read() {
    let site = Site::closed();
    for operation in operations().iter().filter(|it| it.scope.is_some()) {
        let path = format!("{}?one=1", operation.filled("x", "y"));
        let answer = site.call(operation.method.clone(), &path).await;
        assert_eq!(answer.problem().status, 401, "{}", operation.name());
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_cannot_be_read_are_told_apart() {
    let site = Site::new();
    let send = async |kind: Option<&str>, body: Vec<u8>| {
        let builder = request(Method::POST, "/v1/jobs", None);
        let builder = kind.into_iter().fold(builder, |builder, kind| builder.header("content-type", kind));
        site.send(builder.body(Body::from(body)).unwrap()).await.problem().status
    };
    let json = Some("application/json");
    assert_eq!(send(None, b"{}".to_vec()).await, 415);
    assert_eq!(send(Some("text/plain"), b"{}".to_vec()).await, 415);
    for malformed in ["", "{", "{}{}", "\u{0}", "nul"] {
        assert_eq!(send(json, malformed.into()).await, 400, "{malformed:?}");
    }
    assert_eq!(send(json, vec![b'[', 0xff, b']']).await, 400);
    assert_eq!(send(json, "[".repeat(100_000).into()).await, 400);
    assert_eq!(send(json, b"{\"params\": {\"a\": null}}".to_vec()).await, 422);
    assert_eq!(send(json, b"[]".to_vec()).await, 422);
    assert_eq!(send(json, b"null".to_vec()).await, 422);
    assert_eq!(send(json, vec![b' '; (4 << 20) + 1]).await, 413);
}

#[tokio::test(start_paused = true)]
async fn a_back_end_that_fails_is_named_as_such_and_told_in_our_words() {
    let mut grid = infra::memory::grid();
    let rate = StoreFaults { fail_before: 1.0, ..StoreFaults::default() };
    grid.state = Arc::new(FaultyState::new(grid.state.clone(), rate));
    let site = Site::on(grid, Site::this_machine());
    let answer = site.get("/v1/jobs").await;
    let problem = answer.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (503, "urn:gridmill:problem:back-end"));
    assert_eq!(answer.headers["retry-after"], "2");
    let ready = site.get("/readyz").await;
    assert_eq!(ready.status.as_u16(), 503);
    let readiness: grid_api::Readiness = ready.json();
    let down: Vec<&str> = readiness.back_ends.iter().filter(|it| !it.ready).map(|it| it.name.as_str()).collect();
    assert_eq!((readiness.ready, down), (false, vec!["state"]));
    let state = readiness.back_ends.last().unwrap();
    assert_eq!(state.fault.as_deref(), Some("unavailable"));
    assert!(state.detail.as_ref().is_some_and(|detail| detail.contains("GRIDMILL_TABLE")), "{state:?}");
    assert_eq!(site.get("/healthz").await.status.as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_is_told_apart_from_one_that_does_not_answer() {
    let moods = Moods::default();
    let site = Site::on(moods.grid(), Site::this_machine());
    moods.are(Mood::Full);
    let problem = site.post("/v1/jobs", &json!({"pipeline": TWO})).await.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (507, "urn:gridmill:problem:back-end"));
    assert_eq!(site.get("/v1/jobs").await.status.as_u16(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_an_error_of_ours_and_its_cause_stays_in_the_log() {
    let site = Site::new();
    let job = JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e");
    let row = JobRow { pipeline: "p".into(), digest: String::new(), submitted: String::new(), tenant: String::new() };
    let key = RowKey { partition: JOBS.into(), sort: job.to_string() };
    let write = Write {
        key,
        expect: Expect::Absent,
        epoch: 0,
        body: Some(serde_json::to_vec(&row).unwrap()),
        expires_ms: None,
    };
    site.grid.state.transact(vec![write]).await.unwrap();
    let problem = site.get(&format!("/v1/jobs/{job}")).await.problem();
    assert_eq!(problem.status, 500);
    assert!(!problem.detail.contains("job.json"), "{problem:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ready_manager_says_so() {
    let site = Site::new();
    let ready = site.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.json::<grid_api::Readiness>().ready), (200, true));
    assert_eq!(site.get("/healthz").await.body, b"ok\n");
    assert_eq!(site.post("/healthz", &json!({})).await.problem().status, 405);
}

#[tokio::test(start_paused = true)]
async fn a_stage_whose_pool_nobody_serves_is_refused() {
    let site = Site::new();
    let pipeline = TWO.replace("run:", "pool: big, run:");
    let refused = site.post("/v1/jobs", &json!({"pipeline": pipeline})).await.problem();
    let message =
        "stage work wants workers of the pool `big`, and this grid has the pool `default` only: leave `pool` out";
    assert_eq!((refused.status, refused.errors[0].pointer.as_str()), (422, "#/pipeline"));
    assert_eq!(refused.errors[0].message, message);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_the_grid_may_not_notify_is_refused() {
    let site = Site::new();
    let pipeline = "name: told\nstages:\n  good: {range: 1..2, run: [\"true\"], notify: {queue: done}}\n  \
                    bad: {all: good, run: [\"true\"], notify: {queue: forbidden}}\n";
    let refused = site.post("/v1/jobs", &json!({"pipeline": pipeline})).await.problem();
    assert_eq!((refused.status, refused.errors.len(), refused.errors[0].pointer.as_str()), (422, 1, "#/pipeline"));
    let words = "stage bad cannot notify: no pipeline may name the queue `forbidden`";
    assert_eq!(refused.errors[0].message, words);
    let listed = site.get("/v1/jobs").await.json::<serde_json::Value>();
    assert_eq!(listed["entries"], json!([]), "no job was made of it");
}

#[tokio::test(start_paused = true)]
async fn the_page_brings_all_that_it_needs_and_lets_nothing_else_in() {
    let site = Site::closed();
    let page = site.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        !text.contains("http:") && !text.contains("https:") && !text.contains("<script>") && !text.contains("style=")
    );
    for (path, kind) in [("/page.js", "text/javascript; charset=utf-8"), ("/page.css", "text/css; charset=utf-8")] {
        assert!(text.contains(path));
        assert_eq!(site.get(path).await.headers["content-type"], kind);
    }
    let script = String::from_utf8(site.get("/page.js").await.body).unwrap();
    assert!(!script.contains("innerHTML") && !script.contains("eval("));
}

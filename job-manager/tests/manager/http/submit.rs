//! Submitting a job as JSON.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use grid_api::{JobState, JobSummary, Scope};
use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::submission::Submission;
use serde_json::{Value, json};

use super::site::{Answer, Site, TWO, request};

async fn stored(site: &Site, job: &JobId) -> Submission {
    let body = site.grid.objects.get(&layout::submission(job), None).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

async fn refused(site: &Site, body: Value) -> Vec<String> {
    let answer = site.post("/v1/jobs", &body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer:?}");
    answer.pointers()
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_as_text_or_as_json_becomes_a_job() {
    let site = Site::new();
    let text = "name: p\nparams: {year: {type: integer}, label: {default: x}}\nstages:\n  a: {range: 1..2, run: 'echo ${{ params.year }}'}\n";
    let as_json = json!({"name": "p", "params": {"year": {"type": "integer"}, "label": {"default": "x"}},
        "stages": {"a": {"range": "1..2", "run": "echo ${{ params.year }}"}}});
    let mut pipelines = Vec::new();
    for pipeline in [json!(text), as_json] {
        let answer = site.post("/v1/jobs", &json!({"pipeline": pipeline, "params": {"year": 2025}})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let summary: JobSummary = answer.json();
        assert_eq!(answer.headers["location"], format!("/v1/jobs/{}", summary.job));
        assert_eq!((summary.pipeline.as_str(), summary.state), ("p", JobState::Running));
        let submission = stored(&site, &summary.job).await;
        assert_eq!((submission.params["year"].as_str(), submission.params["label"].as_str()), ("2025", "x"));
        assert_eq!((submission.workdir.as_str(), submission.tenant.as_str()), ("", ""));
        pipelines.push(submission.pipeline);
    }
    assert_eq!(pipelines[0], pipelines[1]);
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_submission_comes_with_its_place() {
    let site = Site::new();
    assert_eq!(refused(&site, json!({})).await, ["#/pipeline"]);
    assert_eq!(refused(&site, json!({"pipeline": TWO, "registered": {"name": "x"}})).await, ["#/pipeline"]);
    assert_eq!(refused(&site, json!({"registered": {"name": "x"}})).await, ["#/registered"]);
    assert_eq!(refused(&site, json!({"pipeline": "name: x\nstags: {}\n"})).await.len(), 2);
    assert_eq!(refused(&site, json!({"pipeline": TWO, "pipelin": 1})).await, ["#/pipelin"]);
    assert_eq!(refused(&site, json!({"pipeline": TWO, "tenant": "a/b"})).await, ["#/tenant"]);
    assert_eq!(refused(&site, json!([])).await, ["#"]);
    assert_eq!(refused(&site, json!({"pipeline": "x".repeat(2 << 20)})).await, ["#/pipeline"]);
    let pipeline = "name: p\nparams: {a: {type: integer}, b: {}}\ninputs: {i: {}, j: {}, k: {default: [k.txt]}}\nstages:\n  \
        s: {split: {input: i, by: lines, count: 1}, run: cat}\n  t: {split: {input: j, by: lines, count: 1}, run: cat}\n  \
        u: {split: {input: k, by: lines, count: 1}, run: cat}\n  l: {list: names.txt, run: cat}\n";
    let body = json!({"pipeline": pipeline, "params": {"a": "x", "c": 1}, "inputs": {"j": "file:///etc/passwd", "x/y": []},
        "lists": {"s": "s3://a/b"}});
    let pointers = refused(&site, body).await;
    assert_eq!(pointers, ["#/params/a", "#/params/c", "#/params/b", "#/inputs/x~1y", "#/inputs/i", "#/lists/s"]);
    let body = json!({"pipeline": pipeline, "params": {"a": 1, "b": true}, "inputs": {"i": ["s3://b/x", "a.txt"],
        "j": "file:///etc/passwd"}});
    assert_eq!(refused(&site, body).await, ["#/inputs/i", "#/inputs/j", "#/inputs/k", "#/lists/l"]);
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_for_before_a_job_is_accepted() {
    let site = Site::new();
    let pipeline = "name: p\ninputs: {i: {}}\nstages:\n  s: {split: {input: i, by: lines, count: 1}, run: cat}\n  \
        l: {list: names.txt, run: cat}\n";
    let upload = |file: &str| layout::early_upload("", "1", file);
    site.grid.objects.put(&upload("a.txt"), "a\nb\n".into()).await.unwrap();
    site.grid.objects.put(&upload("names.txt"), "x\ny\n".into()).await.unwrap();
    let uri = |file: &str| format!("grid://{}", upload(file));
    let missing = json!({"pipeline": pipeline, "inputs": {"i": uri("b.txt")}, "lists": {"l": uri("c.txt")}});
    assert_eq!(refused(&site, missing).await, ["#/inputs/i", "#/lists/l"]);
    let body = json!({"pipeline": pipeline, "inputs": {"i": uri("a.txt")}, "lists": {"l": uri("names.txt")}});
    let answer = site.post("/v1/jobs", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let submission = stored(&site, &answer.json::<JobSummary>().job).await;
    assert_eq!((submission.inputs["i"][0].name.as_str(), submission.inputs["i"][0].size), ("a.txt", 4));
    assert_eq!(submission.lists["l"].uri, uri("names.txt"));
}

async fn submit_once(site: &Site, key: &str, token: Option<&str>, pipeline: &str) -> Answer {
    let request = request(Method::POST, "/v1/jobs", token).header("content-type", "application/json; charset=utf-8");
    let body = json!({"pipeline": pipeline}).to_string();
    site.send(request.header("idempotency-key", key).body(Body::from(body)).unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_makes_one_job_of_many_requests() {
    let site = Site::closed();
    let (one, other) = (site.token(Scope::Submit, Some("one")).await, site.token(Scope::Submit, Some("other")).await);
    let first = submit_once(&site, "k", Some(&one), TWO).await;
    let again = submit_once(&site, "k", Some(&one), TWO).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!((first.json::<JobSummary>(), &first.headers["location"]), (again.json(), &again.headers["location"]));
    let body = TWO.replace("1..2", "1..3");
    let refused = submit_once(&site, "k", Some(&one), &body).await.problem();
    assert_eq!((refused.status, refused.kind.as_str()), (422, "urn:gridmill:problem:idempotency-key"));
    let others = submit_once(&site, "k", Some(&other), TWO).await;
    assert_eq!(others.status, StatusCode::CREATED, "a key is its tenant's");
    assert_ne!(others.json::<JobSummary>().job, first.json::<JobSummary>().job);
    for wrong in ["", &"x".repeat(256), "\u{fc}"] {
        let answer = submit_once(&site, wrong, Some(&one), TWO).await;
        assert_eq!(
            (answer.status, answer.pointers()),
            (StatusCode::BAD_REQUEST, vec!["header:Idempotency-Key".into()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_tenant_submits_for_that_tenant() {
    let site = Site::closed();
    let (bound, free) = (site.token(Scope::Submit, Some("one")).await, site.token(Scope::Submit, None).await);
    let submit = async |token: &str, tenant: Option<&str>| {
        let body = json!({"pipeline": TWO, "tenant": tenant});
        site.send(super::site::json_request("/v1/jobs", Some(token), &body)).await
    };
    assert_eq!(submit(&bound, None).await.json::<JobSummary>().tenant, "one");
    assert_eq!(submit(&bound, Some("one")).await.json::<JobSummary>().tenant, "one");
    assert_eq!(submit(&bound, Some("other")).await.problem().status, 403);
    assert_eq!(submit(&free, Some("other")).await.json::<JobSummary>().tenant, "other");
    assert_eq!(submit(&free, None).await.json::<JobSummary>().tenant, "");
}

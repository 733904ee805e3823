//! Uploads of files before the jobs that read them, on a store that has no uploads of its own.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures::stream;
use grid_api::{JobSummary, Scope, Upload, UploadedFile};
use grid_core::limits::{IDEMPOTENCY_KEPT, UPLOAD_KEPT};
use grid_core::rows::upload_partition;
use serde_json::json;

use super::site::{Answer, Site, json_request, request};

const PART: usize = 16 << 20;

async fn begin(site: &Site, name: &str, bytes: usize) -> Upload {
    let answer = site.post("/v1/uploads", &json!({"name": name, "bytes": bytes})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let upload: Upload = answer.json();
    assert_eq!(answer.headers["location"], format!("/v1/uploads/{}", upload.id));
    upload
}

async fn put(site: &Site, url: &str, body: Body) -> Answer {
    site.send(request(Method::PUT, url, None).body(body).unwrap()).await
}

/// Sends all parts of a text, and answers what is asked for at the end.
async fn send_all(site: &Site, upload: &Upload, content: &[u8]) -> serde_json::Value {
    let mut sent = Vec::new();
    let pieces: Vec<&[u8]> = if content.is_empty() { vec![content] } else { content.chunks(PART).collect() };
    assert_eq!(pieces.len(), upload.parts.len());
    for (part, piece) in upload.parts.iter().zip(pieces) {
        let answer = put(site, &part.url, Body::from(piece.to_vec())).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
        sent.push(json!({"number": part.number, "etag": answer.headers["etag"].to_str().unwrap()}));
    }
    json!({"parts": sent})
}

async fn keys(site: &Site) -> Vec<String> {
    site.grid.objects.list("", None, 100).await.unwrap().into_iter().map(|meta| meta.key).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_is_sent_in_parts_and_read_by_a_job() {
    let site = Site::new();
    let content = [vec![b'a'; PART], b"\nlast".to_vec()].concat();
    let upload = begin(&site, "2025/a b.txt", content.len()).await;
    assert_eq!(
        (upload.part_bytes, upload.parts.len(), upload.expires.as_str()),
        (PART as u64, 2, "2026-01-01T06:00:00Z")
    );
    let sent = send_all(&site, &upload, &content).await;
    let complete = format!("/v1/uploads/{}/complete", upload.id);
    let file = site.post(&complete, &sent).await.json::<UploadedFile>();
    assert_eq!((file.uri.as_str(), file.bytes), (upload.uri.as_str(), content.len() as u64));
    assert_eq!(site.post(&complete, &sent).await.json::<UploadedFile>(), file, "it may be repeated");
    assert_eq!(keys(&site).await.len(), 1, "parts are removed");
    let pipeline = "name: p\ninputs: {i: {}}\nstages:\n  s: {split: {input: i, by: lines, count: 1}, run: cat}\n";
    let answer = site.post("/v1/jobs", &json!({"pipeline": pipeline, "inputs": {"i": file.uri}})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let (store, key) = site.grid.sources.locate(&file.uri).unwrap();
    assert_eq!(store.get(key, None).await.unwrap(), content);
    assert_eq!(site.call(Method::DELETE, &format!("/v1/uploads/{}", upload.id)).await.problem().status, 404);
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_has_one_part() {
    let site = Site::new();
    let upload = begin(&site, "e", 0).await;
    let sent = send_all(&site, &upload, b"").await;
    let answer = site.post(&format!("/v1/uploads/{}/complete", upload.id), &sent).await;
    assert_eq!(answer.json::<UploadedFile>().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_as_announced_is_no_file() {
    let site = Site::new();
    let upload = begin(&site, "a", PART + 4).await;
    let complete = format!("/v1/uploads/{}/complete", upload.id);
    let refused = async |body: serde_json::Value| {
        let answer = site.post(&complete, &body).await;
        (answer.status.as_u16(), answer.pointers())
    };
    let at = |pointer: &str| (422, vec![pointer.to_owned()]);
    let first = put(&site, &upload.parts[0].url, vec![b'a'; PART].into()).await;
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    let part = |number: u32, etag: &str| json!({"number": number, "etag": etag});
    assert_eq!(refused(json!({"parts": []})).await, at("#/parts"));
    assert_eq!(refused(json!({"parts": [part(1, &etag)]})).await, at("#/parts"));
    assert_eq!(refused(json!({"parts": [part(2, "x"), part(1, &etag)]})).await, at("#/parts"));
    assert_eq!(refused(json!({"parts": [part(1, &etag), part(2, "x")]})).await, at("#/parts"));
    let long = put(&site, &upload.parts[1].url, "12345".into()).await;
    assert_eq!(long.problem().status, 413);
    let short = put(&site, &upload.parts[1].url, "123".into()).await;
    let short = short.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(refused(json!({"parts": [part(1, &etag), part(2, "x")]})).await, at("#/parts"));
    assert_eq!(refused(json!({"parts": [part(1, &etag), part(2, &short)]})).await, at("#/parts"));
    let broken = stream::iter([Ok(Bytes::from("1")), Err(std::io::Error::other("reset"))]);
    assert_eq!(put(&site, &upload.parts[1].url, Body::from_stream(broken)).await.problem().status, 400);
    for number in ["0", "3", "x", "-1"] {
        let answer = put(&site, &format!("/v1/uploads/{}/parts/{number}", upload.id), "1".into()).await;
        assert_eq!(answer.problem().status, 404, "{number}");
    }
    assert_eq!(site.call(Method::DELETE, &format!("/v1/uploads/{}", upload.id)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(keys(&site).await, Vec::<String>::new());
    assert_eq!(site.post(&complete, &json!({"parts": []})).await.problem().status, 404);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_cannot_be_right_is_not_begun() {
    let site = Site::new();
    let refused = async |body: serde_json::Value| site.post("/v1/uploads", &body).await.pointers();
    assert_eq!(refused(json!({"name": "../x", "bytes": (5u64 << 40) + 1})).await, ["#/name", "#/bytes"]);
    assert_eq!(refused(json!({"name": "x", "bytes": -1})).await, ["#/bytes"]);
    assert_eq!(refused(json!({"name": "x"})).await, ["#"]);
    let largest = begin(&site, "x", 5 << 40).await;
    assert_eq!((largest.parts.len(), largest.part_bytes), (1_024, 5 << 30));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_complete_in_time_is_given_up_however_late_the_table_is() {
    let site = Site::new();
    let [late, kept] = [begin(&site, "late", 3).await, begin(&site, "kept", 3).await];
    let [of_late, of_kept] = [send_all(&site, &late, b"abc").await, send_all(&site, &kept, b"abc").await];
    let complete = |upload: &Upload| format!("/v1/uploads/{}/complete", upload.id);
    assert_eq!(site.post(&complete(&kept), &of_kept).await.status, StatusCode::OK);
    tokio::time::advance(UPLOAD_KEPT).await;
    // A manager that was started since; the table in memory never forgets a row by itself.
    let restarted = Site::on(site.grid.clone(), Site::this_machine());
    assert_eq!(restarted.post(&complete(&late), &of_late).await.problem().status, 404);
    assert_eq!(restarted.post(&complete(&kept), &of_kept).await.status, StatusCode::OK, "a repeat is known for a week");
    let rows = site.grid.state.query(&upload_partition(&late.id), "", None, 10).await.unwrap();
    assert_eq!((rows.len(), keys(&site).await.len()), (0, 1), "neither its row nor its parts are left");
    tokio::time::advance(IDEMPOTENCY_KEPT).await;
    assert_eq!(restarted.post(&complete(&kept), &of_kept).await.problem().status, 404);
    assert_eq!(keys(&site).await.len(), 1, "the file itself stays");
}

#[tokio::test(start_paused = true)]
async fn uploads_are_their_tenants() {
    let site = Site::closed();
    let (one, other) = (site.token(Scope::Submit, Some("one")).await, site.token(Scope::Submit, Some("other")).await);
    let body = json!({"name": "a", "bytes": 1});
    let upload = site.send(json_request("/v1/uploads", Some(&one), &body)).await.json::<Upload>();
    let put = async |token: &str| {
        site.send(request(Method::PUT, &upload.parts[0].url, Some(token)).body("a".into()).unwrap()).await
    };
    assert_eq!(put(&other).await.problem().status, 404);
    let etag = put(&one).await.headers["etag"].to_str().unwrap().to_owned();
    let path = format!("/v1/uploads/{}/complete", upload.id);
    let parts = json!({"parts": [{"number": 1, "etag": etag}]});
    assert_eq!(site.send(json_request(&path, Some(&other), &parts)).await.problem().status, 404);
    assert_eq!(site.send(json_request(&path, Some(&one), &parts)).await.status, StatusCode::OK);
    let pipeline = "name: p\ninputs: {i: {}}\nstages:\n  s: {split: {input: i, by: lines, count: 1}, run: cat}\n";
    let job = json!({"pipeline": pipeline, "inputs": {"i": upload.uri}});
    let stolen = site.send(json_request("/v1/jobs", Some(&other), &job)).await;
    assert_eq!((stolen.status.as_u16(), stolen.pointers()), (422, vec!["#/inputs/i".to_owned()]));
    let own = site.send(json_request("/v1/jobs", Some(&one), &job)).await;
    assert_eq!(own.json::<JobSummary>().tenant, "one");
}

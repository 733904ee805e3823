//! Files on their way to a manager.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use grid_api::{CompleteUpload, UploadedPart};
use hyper::header::HeaderValue;
use serde_json::Value;

use super::client;
use super::scripted::{Act, Scripted, answer, json};
use crate::client::{Form, OnBytes, Route};
use crate::exit::{Exit, Fault};

struct File {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(content: &[u8]) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, content).unwrap();
    File { _dir: dir, path }
}

fn form(path: &Path, len: u64) -> Form {
    let mut form = Form::new();
    form.json("job", "{}".into());
    form.file("input.a", "f", path, len);
    form
}

fn counted() -> (OnBytes, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    (Arc::new(move |bytes| _ = counter.fetch_add(bytes, Ordering::Relaxed)), count)
}

#[tokio::test]
async fn a_form_that_was_cut_off_is_sent_again_under_the_same_key() {
    let content: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let file = file(&content);
    let server = Scripted::start([Act::HangUp, json(201, "{}")]).await;
    let key = HeaderValue::from_static("k-1");
    let (on_bytes, count) = counted();
    let form = form(&file.path, content.len() as u64);
    let _: Value = client(&server).post_form(&Route::v1(["jobs"]), form, &key, &on_bytes).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0], asked[1]);
    assert_eq!((asked[1].line.as_str(), asked[1].header("idempotency-key")), ("POST /v1/jobs", Some("k-1")));
    assert_eq!(asked[1].header("content-length"), Some(asked[1].body.len().to_string().as_str()));
    assert!(asked[1].body.windows(content.len()).any(|window| window == content));
    assert_eq!(count.load(Ordering::Relaxed), 2 * asked[1].body.len() as u64);
}

#[tokio::test]
async fn a_file_that_became_shorter_is_not_sent_and_named() {
    let file = file(b"0123");
    let server = Scripted::start([]).await;
    let key = HeaderValue::from_static("k-1");
    let form = form(&file.path, 5);
    let sent = client(&server).post_form::<Value>(&Route::v1(["jobs"]), form, &key, &counted().0).await;
    let fault = Fault::from(sent.unwrap_err());
    assert!(fault.exit == Exit::Usage && fault.to_string().contains("became shorter"), "{fault}");
}

#[tokio::test]
async fn a_large_file_goes_in_parts_each_tried_again_by_itself() {
    let file = file(b"0123456789");
    let etag = || answer(200, &[("etag", "\"e\"")], "");
    let store = Scripted::start([Act::HangUp, etag(), etag(), etag()]).await;
    let part = |number: u32| format!(r#"{{"number":{number},"url":"{}/b/k?part={number}"}}"#, store.address());
    let upload = format!(
        r#"{{"id":"u/1","uri":"grid://u","part_bytes":4,"parts":[{},{},{}],"expires":""}}"#,
        part(1),
        part(2),
        part(3)
    );
    let server = Scripted::start([json(201, &upload), json(200, "{}")]).await;
    let (on_bytes, _) = counted();
    assert_eq!(client(&server).upload("a\"b", &file.path, 10, &on_bytes).await.unwrap(), "grid://u");
    let asked = server.asked();
    assert_eq!(asked[0].body, br#"{"name":"a\"b","bytes":10}"#);
    assert_eq!(asked[1].line, "POST /v1/uploads/u%2F1/complete");
    let complete: CompleteUpload = serde_json::from_slice(&asked[1].body).unwrap();
    let parts = [1, 2, 3].map(|number| UploadedPart { number, etag: "\"e\"".into() });
    assert_eq!(complete.parts, parts);
    let mut bodies: Vec<(String, Vec<u8>)> = store.asked().into_iter().map(|asked| (asked.line, asked.body)).collect();
    bodies.sort();
    bodies.dedup();
    let expected = [(1, &b"0123"[..]), (2, b"4567"), (3, b"89")];
    assert_eq!(bodies, expected.map(|(number, body)| (format!("PUT /b/k?part={number}"), body.to_vec())));
    assert!(store.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

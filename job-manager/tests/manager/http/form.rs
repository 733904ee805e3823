//! Submitting a job with its files.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures::stream;
use grid_api::JobSummary;
use grid_core::layout;
use grid_core::submission::{Compression, ProgramFile, Submission};
use serde_json::{Value, json};

use super::site::{Answer, Site, TWO, request};

const READS: &str = "name: p\ninputs: {claims: {format: text}}\nstages:\n  \
    work: {split: {input: claims, by: lines, count: 1}, run: ./clean --x}\n  names: {list: names.txt, run: 'python3 lib/a.py'}\n";

/// A part: its name, the name of its file, its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        let head = format!("--XYZ\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend_from_slice(b"--XYZ--\r\n");
    body
}

async fn send(site: &Site, key: Option<&str>, body: Body) -> Answer {
    let builder = request(Method::POST, "/v1/jobs", None).header("content-type", "multipart/form-data; boundary=XYZ");
    let builder = key.into_iter().fold(builder, |builder, key| builder.header("idempotency-key", key));
    site.send(builder.body(body).unwrap()).await
}

async fn submit(site: &Site, parts: &[Part<'_>]) -> Answer {
    send(site, None, form(parts).into()).await
}

fn job(pipeline: &str) -> Vec<u8> {
    json!({"pipeline": pipeline}).to_string().into_bytes()
}

/// The keys of all objects of all jobs.
async fn objects(site: &Site) -> Vec<String> {
    site.grid.objects.list("jobs/", None, 1_000).await.unwrap().into_iter().map(|meta| meta.key).collect()
}

async fn refused(site: &Site, parts: &[Part<'_>]) -> Vec<String> {
    let answer = submit(site, parts).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
    assert_eq!(objects(site).await, Vec::<String>::new(), "what was uploaded is removed");
    answer.pointers()
}

#[tokio::test(start_paused = true)]
async fn files_come_with_a_job_by_their_names() {
    let site = Site::new();
    let job_part = job(READS);
    let parts: Vec<Part<'_>> = vec![
        ("job", None, &job_part),
        ("input.claims", Some("a b.csv"), b"1\r\n2\r\n"),
        ("input.claims", Some("2025/ü %.gz"), b"\x1f\x8b\x08rest"),
        ("list.names", Some("n.txt"), b"x\ny\n"),
        ("program.clean", Some("whatever"), b"#!/bin/sh\ncat\n"),
        ("program.lib/a.py", None, b""),
    ];
    let answer = submit(&site, &parts).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let job = answer.json::<JobSummary>().job;
    let stored = site.grid.objects.get(&layout::submission(&job), None).await.unwrap();
    let submission: Submission = serde_json::from_slice(&stored).unwrap();
    let claims = &submission.inputs["claims"];
    let seen: Vec<_> = claims.iter().map(|it| (it.name.as_str(), it.size, it.compression)).collect();
    assert_eq!(seen, [("a b.csv", 6, Compression::None), ("2025/ü %.gz", 7, Compression::Gzip)]);
    assert_eq!(claims[0].digest, format!("blake3:{}", blake3::hash(b"1\r\n2\r\n").to_hex()));
    assert_eq!(claims[0].uri, format!("grid://{}", layout::upload(&job, "claims", "a b.csv")));
    let (store, key) = site.grid.sources.locate(&claims[0].uri).unwrap();
    assert_eq!(store.get(key, None).await.unwrap(), "1\r\n2\r\n");
    assert_eq!(store.head(key).await.unwrap().version, claims[0].version);
    assert_eq!(submission.lists["names"].name, "n.txt");
    let program = |path: &str, content: &[u8]| ProgramFile {
        path: path.into(),
        size: content.len() as u64,
        digest: format!("blake3:{}", blake3::hash(content).to_hex()),
        executable: true,
    };
    assert_eq!(submission.program_files, [program("clean", b"#!/bin/sh\ncat\n"), program("lib/a.py", b"")]);
    assert_eq!(submission.programs.keys().collect::<Vec<_>>(), ["./clean", "lib/a.py"]);
    assert_eq!(submission.programs["lib/a.py"], blake3::hash(b"").to_hex()[..32]);
    assert_eq!(site.grid.objects.get(&layout::program(&job, "clean"), None).await.unwrap(), "#!/bin/sh\ncat\n");
}

#[tokio::test(start_paused = true)]
async fn parts_that_cannot_be_right_are_refused_by_their_names() {
    let site = Site::new();
    let (job, two) = (job(READS), job(TWO));
    let (input, list): (Part<'_>, Part<'_>) = (("input.claims", Some("a"), b"a"), ("list.names", Some("b"), b"b"));
    assert_eq!(refused(&site, &[input]).await, ["part:job"]);
    assert_eq!(refused(&site, &[("job", None, &job), ("job", None, &job)]).await, ["part:job"]);
    assert_eq!(refused(&site, &[("job", None, &job), input, input, list]).await, ["part:input.claims"]);
    assert_eq!(refused(&site, &[("job", None, &two), input]).await, ["part:input.claims"]);
    assert_eq!(refused(&site, &[("job", None, &two), list]).await, ["part:list.names"]);
    assert_eq!(refused(&site, &[("job", None, &job), list]).await, ["#/inputs/claims"]);
    assert_eq!(refused(&site, &[input, list, ("claims", None, b"x"), ("job", None, &job)]).await, ["part:claims"]);
    let escapes: Part<'_> = ("program.../x", None, b"x");
    assert_eq!(refused(&site, &[("job", None, &job), input, list, escapes]).await, ["part:program.../x"]);
    let both = json!({"pipeline": READS, "inputs": {"claims": "s3://b/x"}}).to_string();
    assert_eq!(refused(&site, &[("job", None, both.as_bytes()), input, list]).await, ["part:input.claims"]);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_with_faults_is_refused_before_the_files_are_sent() {
    let site = Site::new();
    let wrong = json!({"pipeline": "name: x\n"}).to_string();
    let mut start = form(&[("job", None, wrong.as_bytes())]);
    start.truncate(start.len() - 4);
    start.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"input.x\"; filename=\"x\"\r\n\r\n");
    // The rest never comes.
    let body = stream::StreamExt::chain(stream::iter([Ok::<_, std::io::Error>(Bytes::from(start))]), stream::pending());
    let answer = send(&site, None, Body::from_stream(body)).await;
    assert_eq!((answer.status.as_u16(), &*answer.pointers()[0]), (422, "#/pipeline"));
}

#[tokio::test(start_paused = true)]
async fn what_an_upload_that_breaks_off_has_brought_is_removed() {
    let site = Site::new();
    let whole =
        form(&[("job", None, &job(READS)), ("input.claims", Some("a"), b"abc"), ("list.names", Some("b"), b"abc")]);
    for cut in [whole.len() - 3, whole.len() - 20, 340, 100] {
        let part = Bytes::from(whole[..cut].to_vec());
        assert_eq!(send(&site, None, part.clone().into()).await.problem().status, 400, "{cut}");
        let broken = stream::iter([Ok(part), Err(std::io::Error::other("reset"))]);
        assert_eq!(send(&site, None, Body::from_stream(broken)).await.problem().status, 400, "{cut}");
        assert_eq!(objects(&site).await, Vec::<String>::new());
    }
    assert_eq!(send(&site, None, "no form at all".into()).await.problem().status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_form_is_the_same_job_and_leaves_no_second_copy() {
    let site = Site::new();
    let with = |claims: &'static [u8]| {
        let parts: Vec<Part<'static>> = vec![("input.claims", Some("a"), claims), ("list.names", Some("n"), b"x")];
        let job = job(READS);
        let parts: Vec<Part<'_>> = parts.into_iter().chain([("job", None, &*job)]).collect();
        form(&parts)
    };
    let first = send(&site, Some("k"), with(b"1").into()).await;
    let before = objects(&site).await;
    let again = send(&site, Some("k"), with(b"1").into()).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!((again.json::<Value>(), objects(&site).await), (first.json(), before.clone()));
    let other = send(&site, Some("k"), with(b"2").into()).await;
    assert_eq!((other.problem().kind.as_str(), objects(&site).await), ("urn:gridmill:problem:idempotency-key", before));
}

#[tokio::test(start_paused = true)]
async fn a_form_may_be_longer_than_a_json_body_but_its_job_may_not() {
    let site = Site::new();
    let long = vec![b'x'; 5 << 20];
    let job = job(READS);
    let parts: [Part<'_>; 3] =
        [("job", None, &job), ("input.claims", Some("a"), &long), ("list.names", Some("n"), b"x")];
    assert_eq!(submit(&site, &parts).await.status, StatusCode::CREATED);
    assert_eq!(submit(&site, &[("job", None, &long)]).await.problem().status, 413);
}

//! What a job has written, and its progress.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures::StreamExt;
use grid_api::{JobState, JobStatus, LogEntry, OutputFile, Page};
use grid_core::ids::JobId;
use grid_core::layout;
use grid_core::wire::{Manifest, OutputFile as Packed, Outputs, Pack, TaskMessage};
use tokio::time::{Duration, sleep};

use super::site::{Site, TWO, request};
use crate::yard::{Leader, Yard, manifest_of};

/// Two items in one task each; the first prints, the second leaves two files.
pub const PIPELINE: &str = "name: p\nstages:\n  work: {matrix: {system: [eu/de, us]}, run: [\"true\"]}\n";

pub fn crc(text: &str) -> u32 {
    crc32fast::hash(text.as_bytes())
}

/// Commits a task with these outputs; each of its items has said "to err is human".
pub async fn commit(yard: &Yard, task: &TaskMessage, outputs: Outputs) {
    let log = layout::log(&task.job, &task.stage, task.key(), "n");
    let line = |item: u32| {
        serde_json::json!({"item": item, "name": format!("item {item}"), "head": "to err is human"}).to_string() + "\n"
    };
    let lines: String = (task.first..task.first + task.count).map(line).collect();
    yard.grid.objects.put(&log, lines.into()).await.unwrap();
    yard.write(&Manifest { outputs, log: Some(log), ..manifest_of(task, None) }).await;
    yard.completed(task).await;
}

/// A job with outputs: one in an object of its own, two in a manifest.
pub async fn done(yard: &Yard, site: &Site, pipeline: &str) -> JobId {
    let job = site.submit(None, pipeline).await;
    let leader = Leader::start(&yard.grid);
    for _ in 0..50 {
        for task in yard.tasks().await {
            assert_eq!(task.count, 1);
            let outputs = if task.first == 0 {
                let key = layout::data(&task.job, &task.stage, task.key(), "n");
                yard.grid.objects.put(&key, "printed".into()).await.unwrap();
                let pack = Pack::Object { key, start: 0, len: 7 };
                Outputs { pack, stdout: vec![(7, crc("printed"))], files: Vec::new(), bundled: false }
            } else {
                let file = |name: &str, text: &str| Packed {
                    item: task.first,
                    name: name.into(),
                    len: text.len() as u64,
                    crc32: crc(text),
                };
                let files = vec![file("a b?.txt", "one"), file("deep/c", "two")];
                Outputs { pack: Pack::Text("onetwo".into()), stdout: vec![(0, 0)], files, bundled: false }
            };
            commit(yard, &task, outputs).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    leader.stop().await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Succeeded);
    job
}

#[tokio::test(start_paused = true)]
async fn outputs_are_listed_and_given_by_their_paths() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = done(&yard, &site, PIPELINE).await;
    let root = format!("/v1/jobs/{job}/outputs");
    let all = site.get(&root).await.json::<Page<OutputFile>>();
    let seen: Vec<(&str, u64, u32)> = all.entries.iter().map(|it| (it.path.as_str(), it.bytes, it.item)).collect();
    assert_eq!(seen, [("work/eu%2Fde.txt", 7, 0), ("work/us/a b?.txt", 3, 1), ("work/us/deep/c", 3, 1)]);
    for (file, text) in all.entries.iter().zip(["printed", "one", "two"]) {
        let by_href = site.get(&file.href).await;
        assert_eq!((by_href.status, &*by_href.body), (StatusCode::OK, text.as_bytes()), "{file:?}");
        assert_eq!(
            (by_href.headers["content-length"].to_str().unwrap(), file.crc32),
            (&*file.bytes.to_string(), crc(text))
        );
        assert_eq!(by_href.headers["content-type"], "application/octet-stream");
        let path = file.href.split('?').next().unwrap();
        assert_eq!(site.get(path).await.body, text.as_bytes(), "without a hint it is looked for");
    }
    let disposition = site.get(&all.entries[1].href).await.headers["content-disposition"].clone();
    assert_eq!(disposition, "attachment; filename*=UTF-8''a%20b%3F.txt");
    let lines = request(Method::GET, &root, None).header("accept", "application/x-ndjson").body(Body::empty()).unwrap();
    let lines = String::from_utf8(site.send(lines).await.body).unwrap();
    let read: Vec<OutputFile> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, all.entries);
}

#[tokio::test(start_paused = true)]
async fn outputs_are_listed_page_by_page() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = done(&yard, &site, PIPELINE).await;
    let first = site.get(&format!("/v1/jobs/{job}/outputs?limit=2")).await.json::<Page<OutputFile>>();
    let cursor = first.next_cursor.unwrap();
    let rest = site.get(&format!("/v1/jobs/{job}/outputs?limit=2&cursor={cursor}")).await.json::<Page<OutputFile>>();
    assert_eq!((first.entries.len(), rest.entries.len(), rest.next_cursor), (2, 1, None));
    assert_eq!(site.get(&format!("/v1/jobs/{job}/outputs?cursor=x")).await.pointers(), ["query:cursor"]);
}

/// A job of so many items, none of which has been executed.
pub async fn waiting(yard: &Yard, site: &Site, items: u32) -> JobId {
    let job = site.submit(None, &format!("name: p\nstages:\n  work: {{range: 1..{items}, run: [\"true\"]}}\n")).await;
    let leader = Leader::start(&yard.grid);
    while yard.tasks().await.is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    leader.stop().await;
    job
}

#[tokio::test(start_paused = true)]
async fn a_large_job_is_not_searched_for_a_path() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    for (items, status, pointers) in [(100_000, 404, &[][..]), (100_001, 422, &["query:stage"])] {
        let job = waiting(&yard, &site, items).await;
        let path = format!("/v1/jobs/{job}/outputs/work/7.txt");
        let by_path = site.get(&path).await;
        assert_eq!(by_path.problem().status, status);
        assert_eq!(by_path.pointers(), pointers);
        let by_href = site.get(&format!("{path}?stage=work&item=7")).await;
        assert_eq!(by_href.problem().status, 404, "it is not written yet, and nothing is searched");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_written_is_not_found() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = done(&yard, &site, PIPELINE).await;
    let paths = [
        "x",
        "work",
        "work/us",
        "../x",
        "work/us/x",
        "x?stage=work&item=9",
        "x?stage=none&item=0",
        "x?stage=none",
        "x?stage=work&item=1&name=no",
        "x?stage=work&item=4294967295",
    ];
    for path in paths {
        let answer = site.get(&format!("/v1/jobs/{job}/outputs/{path}")).await;
        assert_eq!(answer.problem().status, 404, "{path}");
    }
    for path in ["logs/none", "logs/work/none", "logs/work/%239"] {
        assert_eq!(site.get(&format!("/v1/jobs/{job}/{path}")).await.problem().status, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_items_of_a_stage_printed_is_one_file() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = site.submit(None, "name: p\nstages:\n  work: {range: 1..2, run: cat, per: bundle}\n").await;
    let leader = Leader::start(&yard.grid);
    for _ in 0..50 {
        for task in yard.tasks().await {
            let text = format!("<{}>", task.first);
            let stdout = vec![(3, crc(&text))];
            commit(&yard, &task, Outputs { pack: Pack::Text(text), stdout, files: Vec::new(), bundled: true }).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    leader.stop().await;
    let all = site.get(&format!("/v1/jobs/{job}/outputs")).await.json::<Page<OutputFile>>();
    assert_eq!((all.entries.len(), all.entries[0].path.as_str(), all.entries[0].bytes), (1, "work.txt", 6));
    assert_eq!(all.entries[0].crc32, crc("<0><1>"), "of both together");
    assert_eq!(site.get(&all.entries[0].href).await.body, b"<0><1>");
}

#[tokio::test(start_paused = true)]
async fn logs_are_given_for_a_job_a_stage_or_an_item() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = done(&yard, &site, PIPELINE).await;
    let logs = async |path: &str| -> Vec<(u32, String)> {
        let answer = site.get(&format!("/v1/jobs/{job}/logs{path}")).await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson", "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        let entry = |line: &str| serde_json::from_str::<LogEntry>(line).unwrap();
        text.lines().map(entry).map(|it| (it.index, it.head)).collect()
    };
    let said = |index| (index, "to err is human".to_owned());
    assert_eq!(logs("").await, [said(0), said(1)]);
    assert_eq!(logs("/work").await, [said(0), said(1)]);
    assert_eq!(logs("/work/us").await, [said(1)]);
    assert_eq!(logs("/work/eu%252Fde").await, [said(0)]);
    assert_eq!(logs("/work/%230").await, [said(0)]);
    let empty = site.submit(None, TWO).await;
    assert_eq!(site.get(&format!("/v1/jobs/{empty}/logs")).await.body, b"");
}

/// The events of an answer: their ids, names and data.
pub fn events(text: &str) -> Vec<(String, String, JobStatus)> {
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(": ").to_owned()
    };
    let real = text.split("\n\n").filter(|event| event.contains("data: "));
    real.map(|it| (field(it, "id"), field(it, "event"), serde_json::from_str(&field(it, "data")).unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_until_the_job_ends_and_nothing_twice() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    let path = format!("/v1/jobs/{job}/events");
    let cancel = async {
        sleep(Duration::from_secs(40)).await;
        site.call(Method::POST, &format!("/v1/jobs/{job}/cancel")).await;
    };
    let (heard, ()) = tokio::join!(site.get(&path), cancel);
    assert_eq!(heard.headers["content-type"], "text/event-stream");
    let text = String::from_utf8(heard.body).unwrap();
    let told = events(&text);
    let seen: Vec<(&str, JobState)> = told.iter().map(|(_, name, status)| (name.as_str(), status.state)).collect();
    assert_eq!(seen, [("progress", JobState::Running), ("end", JobState::Cancelled)]);
    assert_eq!(text.lines().filter(|line| line.starts_with(':')).count(), 2, "a heartbeat every 15 s: {text}");
    let again = async |id: &str| {
        site.send(request(Method::GET, &path, None).header("last-event-id", id).body(Body::empty()).unwrap()).await
    };
    let end = again(&told[0].0).await;
    assert_eq!(events(std::str::from_utf8(&end.body).unwrap()).len(), 1);
    let nothing = again(&told[1].0).await;
    assert_eq!((nothing.status, nothing.body.len()), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_the_manager_does() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    let request = request(Method::GET, &format!("/v1/jobs/{job}/events"), None).body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(site.router.clone(), request).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().await.is_some());
    site.stop.cancel();
    assert!(body.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn metrics_count_requests_by_route_and_not_by_what_clients_send() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    for path in [format!("/v1/jobs/{job}"), "/v1/jobs/x".to_owned(), "/nowhere".to_owned()] {
        site.get(&path).await;
    }
    site.call(Method::from_bytes(b"FOO").unwrap(), "/v1/jobs").await;
    let answer = site.get("/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.body).unwrap();
    for line in [
        "gridmill_http_requests_total{method=\"POST\",path=\"/v1/jobs\",status=\"201\"} 1",
        "gridmill_http_requests_total{method=\"GET\",path=\"/v1/jobs/{id}\",status=\"200\"} 1",
        "gridmill_http_requests_total{method=\"GET\",path=\"/v1/jobs/{id}\",status=\"404\"} 1",
        "gridmill_http_requests_total{method=\"GET\",path=\"-\",status=\"404\"} 1",
        "gridmill_http_requests_total{method=\"other\",path=\"/v1/jobs\",status=\"405\"} 1",
        "gridmill_leader 0",
        "gridmill_queue_messages{queue=\"reports\",phase=\"waiting\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && !text.contains(job.as_str()) && !text.contains("FOO"));
}

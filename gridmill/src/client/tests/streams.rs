//! Answers that arrive bit by bit.

use grid_api::{JobState, JobStatus, LogEntry};

use super::client;
use super::scripted::{Act, Scripted, answer};
use crate::client::{ClientError, Route};

fn log(index: u32) -> String {
    format!(r#"{{"stage":"a","index":{index},"item":"i","attempt":1,"head":"h\n","tail":"","dropped_bytes":0}}"#)
}

#[tokio::test]
async fn lines_are_read_to_their_end() {
    let body = format!("{}\n{}\n", log(0), log(1));
    let server = Scripted::start([Act::HangUp, answer(200, &[], &body)]).await;
    let client = client(&server);
    let mut lines = client.lines::<LogEntry>(&Route::v1(["jobs", "0190", "logs"])).await.unwrap();
    let mut seen = Vec::new();
    while let Some(entry) = lines.next().await.unwrap() {
        seen.push((entry.index, entry.head));
    }
    assert_eq!(seen, [(0, "h\n".to_owned()), (1, "h\n".to_owned())]);
    assert_eq!(server.asked()[1].header("accept"), Some("application/x-ndjson"));
}

#[tokio::test]
async fn lines_that_break_off_do_not_pass_for_the_whole() {
    let cut = Act::Say(format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\n\r\n",
        log(0).len() + 1,
        log(0)
    ));
    let server = Scripted::start([cut]).await;
    let client = client(&server);
    let mut lines = client.lines::<LogEntry>(&Route::v1(["jobs", "0190", "logs"])).await.unwrap();
    assert_eq!(lines.next().await.unwrap().map(|entry| entry.index), Some(0));
    let error = lines.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    server.asked();
}

#[tokio::test]
async fn events_are_told_apart_and_known_by_their_ids() {
    let status =
        |state: &str| format!(r#"{{"job":"0190","pipeline":"p","state":"{state}","submitted":"","stages":[]}}"#);
    let (running, done) = (status("running"), status("succeeded"));
    let (first, second) = running.split_at(running.find(',').unwrap() + 1);
    // A comment, two lines that are one document, line ends of either kind, and an event that is cut off.
    let body = format!(
        ":\n\nid: 1\nevent: progress\ndata: {running}\n\n: \n\nid:2\r\ndata:{first}\r\ndata: {second}\r\n\r\nid: 3\ndata: {done}\n"
    );
    let server = Scripted::start([answer(200, &[], &body), answer(204, &[], "")]).await;
    let client = client(&server);
    let route = Route::v1(["jobs", "0190", "events"]);
    let mut events = client.events::<JobStatus>(&route, None).await.unwrap().unwrap();
    for id in ["1", "2"] {
        assert_eq!(events.next().await.unwrap().unwrap().state, JobState::Running);
        assert_eq!(events.last_id.as_deref(), Some(id));
    }
    assert!(events.next().await.unwrap().is_none() && events.last_id.as_deref() == Some("2"));
    assert!(client.events::<JobStatus>(&route, events.last_id.clone()).await.unwrap().is_none());
    let asked = server.asked();
    assert_eq!((asked[0].header("last-event-id"), asked[1].header("last-event-id")), (None, Some("2")));
}

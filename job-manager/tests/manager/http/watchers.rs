//! Those who want to hear of a job are many, and one looks at it for all of them; what was told once is not read again.

use std::pin::pin;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use grid_api::{JobState, LogEntry};
use grid_core::ids::JobId;
use grid_core::wire::Outputs;
use tokio::time::{Duration, sleep};
use tower::ServiceExt;

use super::moods::Moods;
use super::outputs::{commit, events};
use super::site::{Site, request};
use crate::yard::{Leader, Yard};

const TEN: &str = "name: ten\nstages:\n  work: {range: 1..10, run: [\"true\"]}\n";

/// The answer to a request as it arrives.
async fn stream_of(site: &Site, path: &str) -> impl Stream<Item = Bytes> + use<> {
    let response = site.router.clone().oneshot(request(Method::GET, path, None).body(Body::empty()).unwrap());
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream().map(|piece| piece.unwrap())
}

async fn text_of(stream: impl Stream<Item = Bytes>) -> String {
    String::from_utf8(stream.collect::<Vec<_>>().await.concat()).unwrap()
}

/// Ends one task that was handed out.
async fn end_one(yard: &Yard) {
    loop {
        if let Some(task) = yard.tasks().await.into_iter().next() {
            let stdout = vec![(0, 0); task.count as usize];
            return commit(yard, &task, Outputs { stdout, ..Outputs::default() }).await;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn end_all(yard: &Yard, job: &JobId) {
    while yard.meta(job).await.is_none_or(|meta| !meta.state.is_final()) {
        for task in yard.tasks().await {
            let stdout = vec![(0, 0); task.count as usize];
            commit(yard, &task, Outputs { stdout, ..Outputs::default() }).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_looks_at_a_job_for_all_that_listen() {
    let moods = Moods::default();
    let site = Site::on(moods.grid(), Site::this_machine());
    let job = site.submit(None, TEN).await;
    let path = format!("/v1/jobs/{job}/events");
    let minute = async |listeners: usize| {
        let mut open = Vec::new();
        for _ in 0..listeners {
            open.push(tokio::spawn(text_of(stream_of(&site, &path).await)));
        }
        moods.row_reads();
        sleep(Duration::from_secs(60)).await;
        let reads = moods.row_reads();
        open.iter().for_each(|one| one.abort());
        // The one who looked finds nobody left.
        sleep(Duration::from_secs(5)).await;
        moods.row_reads();
        sleep(Duration::from_secs(60)).await;
        assert_eq!(moods.row_reads(), 0, "nobody listens, and nobody looks");
        reads
    };
    let (for_one, for_twenty) = (minute(1).await, minute(20).await);
    assert!(for_one > 0 && for_twenty <= for_one + for_one / 10, "{for_one} reads for one, {for_twenty} for twenty");
}

#[tokio::test(start_paused = true)]
async fn all_that_listen_hear_the_end_and_nothing_twice() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = site.submit(None, TEN).await;
    let path = format!("/v1/jobs/{job}/events");
    let leader = Leader::start(&yard.grid);
    let early = [(); 3].map(|()| stream_of(&site, &path));
    let early: Vec<_> =
        futures::future::join_all(early).await.into_iter().map(|it| tokio::spawn(text_of(it))).collect();
    end_one(&yard).await;
    sleep(Duration::from_secs(3)).await;
    let late = tokio::spawn(text_of(stream_of(&site, &path).await));
    end_all(&yard, &job).await;
    for listener in early.into_iter().chain([late]) {
        let heard = events(&listener.await.unwrap());
        let names: Vec<&str> = heard.iter().map(|(_, name, _)| name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| **name == "end").count(), 1, "{names:?}");
        assert_eq!(
            heard.last().map(|(_, name, status)| (name.as_str(), status.state)),
            Some(("end", JobState::Succeeded))
        );
        let mut ids: Vec<&str> = heard.iter().map(|(id, ..)| id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), heard.len(), "nothing is told twice in a row");
    }
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn logs_are_followed_and_nothing_is_read_again() {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = site.submit(None, TEN).await;
    let leader = Leader::start(&yard.grid);
    let mut lines = pin!(stream_of(&site, &format!("/v1/jobs/{job}/logs?follow=true")).await);
    end_one(&yard).await;
    // Lines may be empty while nothing comes.
    let first = loop {
        let piece = lines.next().await.unwrap();
        if piece.len() > 1 {
            break piece;
        }
    };
    assert_eq!(serde_json::from_slice::<LogEntry>(&first).unwrap().head, "to err is human");
    sleep(Duration::from_secs(10)).await;
    leader.stop().await;
    moods.object_reads();
    let idle = tokio::time::timeout(Duration::from_secs(600), async {
        while let Some(piece) = lines.next().await {
            assert_eq!(&piece[..], b"\n", "nothing new was written");
        }
    });
    assert!(idle.await.is_err(), "the job has not ended, and so has not the answer");
    // Ten minutes, a look every two seconds: each reads the submission, and no manifest and no log.
    let looks = 600 / 2;
    let reads = moods.object_reads();
    assert!(reads <= looks + 2, "{reads} objects were read in {looks} looks");
    let leader = Leader::start(&yard.grid);
    end_all(&yard, &job).await;
    leader.stop().await;
    let rest = text_of(lines).await;
    let items =
        rest.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str::<LogEntry>(line).unwrap());
    let seen: std::collections::BTreeSet<u32> = items.map(|entry| entry.index).collect();
    assert!(seen.len() >= 8 && !seen.contains(&0), "each once, those before not again: {seen:?}");
}

//! Jobs: listed, shown, wished of.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use grid_api::{
    DeadLetter, Item, ItemState, JobStanding, JobState, JobStatus, JobSummary, Page, Receipt, Redriven, Story,
};
use grid_core::ids::JobId;
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::site::{Site, TWO};
use crate::yard::{Leader, Yard};

async fn page<T: serde::de::DeserializeOwned>(site: &Site, path: &str) -> Page<T> {
    let answer = site.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

fn ids(page: &Page<JobSummary>) -> Vec<&JobId> {
    page.entries.iter().map(|entry| &entry.job).collect()
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_newest_first_and_page_by_page() {
    let site = Site::new();
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(site.submit(None, TWO).await);
    }
    jobs.reverse();
    let mut listed = Vec::new();
    let mut path = "/v1/jobs?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = page::<JobSummary>(&site, &path).await;
        listed.extend(page.entries.into_iter().map(|entry| entry.job));
        pages += 1;
        match page.next_cursor {
            Some(cursor) => path = format!("/v1/jobs?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((listed, pages), (jobs, 3));
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_by_their_state() {
    let site = Site::new();
    let (running, cancelled) = (site.submit(None, TWO).await, site.submit(None, TWO).await);
    let standing = site.call(Method::POST, &format!("/v1/jobs/{cancelled}/cancel")).await;
    let expected = JobStanding { job: cancelled.clone(), state: JobState::Cancelled };
    assert_eq!((standing.status, standing.json::<JobStanding>()), (StatusCode::OK, expected));
    assert_eq!(ids(&page(&site, "/v1/jobs?state=running").await), [&running]);
    let found = page::<JobSummary>(&site, "/v1/jobs?state=cancelled").await;
    assert_eq!(ids(&found), [&cancelled]);
    assert_eq!(found.entries[0].finished.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(ids(&page(&site, "/v1/jobs?state=failed").await), Vec::<&JobId>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_shown_from_submission_to_receipt() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = site.submit(None, TWO).await;
    let shown = |path: &str| format!("/v1/jobs/{job}{path}");
    let status = site.get(&shown("")).await.json::<JobStatus>();
    assert_eq!((status.state, status.stages.len()), (JobState::Running, 1));
    assert_eq!(site.get(&shown("/receipt")).await.problem().status, 404);
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    let status = site.get(&shown("")).await.json::<JobStatus>();
    assert_eq!((status.state, status.stages[0].ok), (JobState::Succeeded, 2));
    assert_eq!(site.get(&shown("/stages")).await.json::<Vec<grid_api::StageStatus>>(), status.stages);
    let receipt = site.get(&shown("/receipt")).await.json::<Receipt>();
    assert!(receipt.balanced);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_is_paused_resumed_and_cancelled_in_an_order_that_makes_sense() {
    let site = Site::new();
    let job = site.submit(None, TWO).await;
    let wish = async |what: &str| {
        let answer = site.call(Method::POST, &format!("/v1/jobs/{job}/{what}")).await;
        (answer.status.as_u16(), serde_json::from_slice::<JobStanding>(&answer.body).ok().map(|it| it.state))
    };
    assert_eq!(wish("pause").await, (200, Some(JobState::Paused)));
    assert_eq!(wish("pause").await, (200, Some(JobState::Paused)));
    assert_eq!(wish("resume").await, (200, Some(JobState::Running)));
    assert_eq!(wish("redrive").await, (409, None));
    assert_eq!(wish("cancel").await, (200, Some(JobState::Cancelled)));
    assert_eq!(wish("resume").await, (409, None));
    let late = site.call(Method::POST, &format!("/v1/jobs/{job}/pause")).await.problem();
    assert_eq!((late.kind.as_str(), late.status), ("urn:gridmill:problem:job-state", 409));
}

/// Items 1 to 4, of which 2 and 4 are dead.
pub async fn half_dead(yard: &Yard, site: &Site) -> JobId {
    const SOME: &str =
        "name: some\nstages:\n  work: {range: 1..4, run: [\"true\"], retry: {attempts: 1}, skip: {limit: 2}}\n";
    let job = site.submit(None, SOME).await;
    let leader = Leader::start(&yard.grid);
    for _ in 0..100 {
        for task in yard.tasks().await {
            let is_bad = (task.first..task.first + task.count).any(|item| item % 2 == 1);
            yard.end(&task, is_bad.then_some(grid_core::reason::Reason::Exit)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    leader.stop().await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Succeeded);
    job
}

#[tokio::test(start_paused = true)]
async fn items_are_listed_with_what_became_of_them() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = half_dead(&yard, &site).await;
    let all = page::<Item>(&site, &format!("/v1/jobs/{job}/items")).await;
    let seen: Vec<(u32, &str, ItemState)> =
        all.entries.iter().map(|item| (item.index, item.item.as_str(), item.state)).collect();
    let (ok, dead) = (ItemState::Committed, ItemState::Dead);
    assert_eq!(seen, [(0, "1", ok), (1, "2", dead), (2, "3", ok), (3, "4", dead)]);
    assert_eq!(all.entries[1].failure.as_ref().unwrap().exit, Some(3));
    assert_eq!(all.entries[1].key, BTreeMap::from([("item".to_owned(), "2".to_owned())]));
    let first = page::<Item>(&site, &format!("/v1/jobs/{job}/items?stage=work&state=dead&limit=1")).await;
    let cursor = first.next_cursor.unwrap();
    let second = page::<Item>(&site, &format!("/v1/jobs/{job}/items?stage=work&state=dead&cursor={cursor}")).await;
    assert_eq!([&first.entries[..], &second.entries[..]].concat(), [all.entries[1].clone(), all.entries[3].clone()]);
    assert_eq!(second.next_cursor, None);
    let letters = page::<DeadLetter>(&site, &format!("/v1/jobs/{job}/dead?limit=1")).await;
    let cursor = letters.next_cursor.unwrap();
    let rest = page::<DeadLetter>(&site, &format!("/v1/jobs/{job}/dead?cursor={cursor}")).await;
    assert_eq!((letters.entries[0].index, rest.entries[0].index, rest.next_cursor), (1, 3, None));
}

#[tokio::test(start_paused = true)]
async fn the_story_of_an_item_is_told() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = half_dead(&yard, &site).await;
    let by_index = site.get(&format!("/v1/jobs/{job}/why?item=work/%231")).await.json::<Story>();
    assert_eq!(by_index.outcome, "dead: it was given up on");
    assert_eq!(site.get(&format!("/v1/jobs/{job}/why?item=work/2")).await.json::<Story>(), by_index);
    for unknown in ["work/9", "work/%239", "other/1"] {
        let answer = site.get(&format!("/v1/jobs/{job}/why?item={unknown}")).await;
        assert_eq!(answer.problem().status, 404, "{unknown}");
    }
    for wrong in ["item=work", "item=", "item=work/", "", "item=work/1&item=work/2", "x=1"] {
        assert_eq!(site.get(&format!("/v1/jobs/{job}/why?{wrong}")).await.problem().status, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_items_run_again_as_the_body_says() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = half_dead(&yard, &site).await;
    let path = format!("/v1/jobs/{job}/redrive");
    let wrong = site.post(&path, &json!({"where": "reason=", "set": {"nothing": "1"}})).await;
    assert_eq!(
        (wrong.status, wrong.pointers()),
        (StatusCode::UNPROCESSABLE_ENTITY, vec!["#/where".into(), "#/set/nothing".into()])
    );
    assert_eq!(site.post(&path, &json!({"wher": "x"})).await.problem().status, 422);
    let none = site.post(&path, &json!({"where": "reason=oom"})).await.json::<Redriven>();
    assert_eq!(none, Redriven { items: 0, state: JobState::Succeeded });
    let all = site.call(Method::POST, &path).await.json::<Redriven>();
    assert_eq!(all, Redriven { items: 2, state: JobState::Running });
}

//! The state table made again from the bucket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::layout;
use grid_core::reason::Reason;
use grid_core::rows::{ACTIVE, JOBS, job_partition};
use grid_core::wire::to_ascii_json;
use infra::Grid;
use infra::state::{MemoryState, Row};
use job_manager::control;
use job_manager::rebuild::{Existing, RebuildConfig, RebuildError, RebuildNews, Rebuilt, Unfinished, rebuild};
use tokio::time::{sleep, timeout};

use crate::yard::{Leader, Manager, Yard};

const CONFIG: RebuildConfig =
    RebuildConfig { existing: Existing::Refuse, unfinished: Unfinished::Run, poll: Duration::from_secs(1) };

const CHAIN: &str = "
name: chain
stages:
  a: {range: 1..20, run: [\"true\"], skip: {limit: 5}, retry: {attempts: 2, backoff: {initial: 1s, max: 1s}}}
  b: {each: a, run: [\"true\"]}
  c: {group: b, by: [item], run: [\"true\"]}
  d: {all: c, fan_in: 4, run: [\"true\"]}
";

fn simple(name: &str, items: u32) -> String {
    format!("name: {name}\nstages:\n  work: {{range: 1..{items}, run: [\"true\"], retry: {{attempts: 1}}}}\n")
}

/// A grid whose state table is lost.
fn without_table(grid: &Grid) -> Grid {
    Grid { state: Arc::new(MemoryState::new()), ..grid.clone() }
}

async fn rows(grid: &Grid, partition: &str) -> BTreeMap<String, serde_json::Value> {
    let rows: Vec<Row> = grid.state.query(partition, "", None, 1_000).await.unwrap();
    rows.into_iter().map(|row| (row.key.sort, timeless(serde_json::from_slice(&row.body).unwrap()))).collect()
}

/// A row without what depends on the order in which news came.
fn timeless(mut row: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = row.as_object_mut() {
        fields.remove("pace");
    }
    row
}

async fn assert_same_rows(before: &Grid, after: &Grid, jobs: &[JobId]) {
    for partition in [JOBS.to_owned(), ACTIVE.to_owned()].into_iter().chain(jobs.iter().map(job_partition)) {
        assert_eq!(rows(after, &partition).await, rows(before, &partition).await, "{partition}");
    }
}

async fn calmly(grid: &Grid, config: &RebuildConfig) -> (Rebuilt, Vec<RebuildNews>) {
    let mut news = Vec::new();
    let rebuilt = rebuild(grid, config, |heard| news.push(heard)).await.unwrap();
    (rebuilt, news)
}

/// Runs a job of which the items that `fails` says fail.
async fn run_failing(yard: &Yard, text: &str, fails: impl Fn(&str, u32) -> bool) -> JobId {
    let job = yard.submit(text).await;
    let leader = Leader::start(&yard.grid);
    loop {
        for task in yard.tasks().await {
            let is_bad = (task.first..task.first + task.count).any(|item| fails(task.stage.as_str(), item));
            yard.end(&task, is_bad.then_some(Reason::Exit)).await;
        }
        if yard.meta(&job).await.is_some_and(|meta| meta.state.is_final() && meta.owed.is_none()) {
            leader.stop().await;
            return job;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_that_have_ended_are_as_they_were() {
    let yard = Yard::new();
    let with_dead = run_failing(&yard, CHAIN, |stage, item| stage == "a" && item % 7 == 3).await;
    let failed = run_failing(&yard, &simple("failed", 3), |_, item| item == 1).await;
    let redriven = run_failing(&yard, &simple("redriven", 5), |_, item| item == 4).await;
    control::redrive(&yard.grid, &redriven, None, &BTreeMap::new()).await.unwrap();
    let leader = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&redriven).await, JobState::Succeeded);
    let cancelled = yard.submit(&simple("cancelled", 9)).await;
    sleep(Duration::from_millis(10)).await;
    control::cancel(&yard.grid, &cancelled).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    leader.stop().await;

    let after = without_table(&yard.grid);
    let (rebuilt, _) = calmly(&after, &CONFIG).await;
    assert_eq!(rebuilt, Rebuilt { jobs: 4, unfinished: 0, kept: 0, broken: 0 });
    assert_same_rows(&yard.grid, &after, &[with_dead, failed, redriven]).await;
    // What was out when it was cancelled has left no trace.
    assert_eq!(Yard { grid: after }.meta(&cancelled).await, yard.meta(&cancelled).await);
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_from_what_is_committed() {
    let yard = Yard::new();
    let job = yard.submit(CHAIN).await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    for task in yard.tasks().await {
        yard.end(&task, None).await;
    }
    sleep(Duration::from_secs(1)).await;
    leader.ended.abort();

    let after = Yard { grid: without_table(&yard.grid) };
    let (rebuilt, news) = calmly(&after.grid, &CONFIG).await;
    assert_eq!(rebuilt, Rebuilt { jobs: 1, unfinished: 1, kept: 0, broken: 0 });
    assert!(
        matches!(&news[..], [RebuildNews::InHand(_), .., RebuildNews::Job(made)] if made.manifests > 0),
        "{news:?}"
    );
    let leader = Leader::start(&after.grid);
    // `end` panics where a manifest is there already: nothing that is committed is handed out.
    assert_eq!(after.run_to_end(&job).await, JobState::Succeeded);
    let receipt = after.receipt(&job).await;
    assert!(receipt.balanced && receipt.stages.iter().all(|stage| stage.ok == stage.items), "{receipt:?}");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_message_waits_is_out_and_keeps_its_name() {
    let yard = Yard::new();
    let job = yard.submit(&simple("waits", 40)).await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    leader.ended.abort();
    let before = rows(&yard.grid, &job_partition(&job)).await;
    let sent = yard.tasks().await;
    let bodies: Vec<String> = sent.iter().map(|task| to_ascii_json(task).unwrap()).collect();
    yard.grid.tasks.send(&bodies).await.unwrap();

    let after = Yard { grid: without_table(&yard.grid) };
    calmly(&after.grid, &CONFIG).await;
    assert_eq!(rows(&after.grid, &job_partition(&job)).await, before);
    assert_eq!(after.tasks().await, vec![]);
    let leader = Leader::start(&after.grid);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(after.tasks().await, sent, "what is out is sent again as it was");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_workers_have_in_hand_is_waited_for() {
    let yard = Yard::new();
    let job = yard.submit(&simple("held", 2)).await;
    let leader = Leader::start(&yard.grid);
    sleep(Duration::from_millis(10)).await;
    leader.ended.abort();
    let after = Yard { grid: without_table(&yard.grid) };
    let (lease, wait) = (Duration::from_secs(3_600), Duration::ZERO);
    let held = after.grid.tasks.receive(1, lease, wait).await.unwrap();
    let work = calmly(&after.grid, &CONFIG);
    tokio::pin!(work);
    assert!(timeout(Duration::from_secs(600), &mut work).await.is_err(), "a worker has a task in hand");
    let task = serde_json::from_str(&held[0].body).unwrap();
    after.end(&task, None).await;
    after.grid.tasks.delete(&[held[0].receipt.clone()]).await.unwrap();
    let (rebuilt, _) = work.await;
    assert_eq!((rebuilt.jobs, rebuilt.unfinished), (1, 1));
    let leader = Leader::start(&after.grid);
    assert_eq!(after.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_table_that_has_jobs_is_not_touched_unless_somebody_says_so() {
    let yard = Yard::new();
    let done = run_failing(&yard, &simple("done", 3), |_, _| false).await;
    let refused = rebuild(&yard.grid, &CONFIG, |_| {}).await.unwrap_err();
    assert!(matches!(&refused, RebuildError::NotEmpty(job) if *job == done), "{refused}");

    let before = rows(&yard.grid, &job_partition(&done)).await;
    let (kept, news) = calmly(&yard.grid, &RebuildConfig { existing: Existing::Keep, ..CONFIG }).await;
    assert_eq!((kept, news), (Rebuilt { kept: 1, ..Rebuilt::default() }, vec![RebuildNews::Kept(done.clone())]));

    let stray = infra::state::Write {
        key: infra::state::RowKey { partition: job_partition(&done), sort: "STAGE#work/SHARD#000009".into() },
        expect: infra::state::Expect::Absent,
        epoch: 0,
        body: Some(b"{}".to_vec()),
        expires_ms: None,
    };
    yard.grid.state.write(vec![stray]).await.unwrap().pop().unwrap().unwrap();
    let (replaced, _) = calmly(&yard.grid, &RebuildConfig { existing: Existing::Replace, ..CONFIG }).await;
    assert_eq!(replaced, Rebuilt { jobs: 1, ..Rebuilt::default() });
    assert_eq!(rows(&yard.grid, &job_partition(&done)).await, before);
}

#[tokio::test(start_paused = true)]
async fn unfinished_jobs_wait_for_somebody_where_that_is_wished() {
    let yard = Yard::new();
    let job = yard.submit(&simple("paused", 3)).await;
    let after = Yard { grid: without_table(&yard.grid) };
    calmly(&after.grid, &RebuildConfig { unfinished: Unfinished::Pause, ..CONFIG }).await;
    let leader = Leader::start(&after.grid);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(after.tasks().await, vec![]);
    control::resume(&after.grid, &job).await.unwrap();
    assert_eq!(after.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_being_stopped_is_stopped() {
    let yard = Yard::new();
    let job = yard.submit(&simple("stopping", 3)).await;
    yard.grid.objects.put(&layout::tombstone(&job, 0), bytes::Bytes::new()).await.unwrap();
    let after = Yard { grid: without_table(&yard.grid) };
    calmly(&after.grid, &CONFIG).await;
    let leader = Leader::start(&after.grid);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((after.receipt(&job).await.state, after.active().await), (JobState::Cancelled, vec![]));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_read_does_not_keep_the_others() {
    let yard = Yard::new();
    let first = run_failing(&yard, &simple("first", 3), |_, _| false).await;
    let broken = JobId::new("00000000-broken");
    yard.grid.objects.put(&layout::submission(&broken), "{".into()).await.unwrap();
    let stray = JobId::new("00000000-stray");
    yard.grid.objects.put(&layout::upload(&stray, "claims", "a.csv"), "a".into()).await.unwrap();
    let after = without_table(&yard.grid);
    let (rebuilt, news) = calmly(&after, &CONFIG).await;
    assert_eq!(rebuilt, Rebuilt { jobs: 1, broken: 1, ..Rebuilt::default() });
    assert!(matches!(&news[0], RebuildNews::Broken(job, _) if *job == broken), "{news:?}");
    assert_eq!(news[1], RebuildNews::NeverAccepted(stray));
    assert_same_rows(&yard.grid, &after, &[first]).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_again_while_a_manager_leads() {
    let yard = Yard::new();
    let mut leader = Manager::start(&yard.grid, "first");
    leader.is_to_lead().await;
    let refused = rebuild(&yard.grid, &CONFIG, |_| {}).await.unwrap_err();
    assert!(matches!(&refused, RebuildError::Led(name) if name == "first"), "{refused}");
    drop(leader);
}

//! Rounds: whatever runs again has a receipt of its own, and what was written first stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grid_api::Receipt;
use grid_core::ids::JobId;
use grid_core::job::{JobState, Redrive};
use grid_core::layout;
use grid_core::reason::Reason;
use infra::Grid;
use infra::state::MemoryState;
use job_manager::control;
use job_manager::rebuild::{Existing, RebuildConfig, Unfinished, rebuild};
use tokio::time::sleep;

use crate::yard::{Leader, Yard};

const THREE: &str = "
name: three
params:
  year: {type: integer, default: 2025}
stages:
  work: {range: 1..3, run: [\"true\"], retry: {attempts: 1}, on_failure: cancel}
";

/// Ends what is out: with this reason those items that are to fail.
async fn end_all(yard: &Yard, bad: &[u32]) {
    for _ in 0..30 {
        for task in yard.tasks().await {
            yard.end(&task, bad.contains(&task.first).then_some(Reason::Exit)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn read<T: serde::de::DeserializeOwned>(yard: &Yard, key: &str) -> T {
    serde_json::from_slice(&yard.grid.objects.get(key, None).await.unwrap()).unwrap()
}

async fn stands(yard: &Yard, job: &JobId) -> (JobState, u32) {
    let meta = yard.meta(job).await.unwrap();
    assert_eq!(meta.owed, None);
    (meta.state, meta.round)
}

#[tokio::test(start_paused = true)]
async fn what_a_round_leaves_stays_as_it_is() {
    let yard = Yard::new();
    let job = yard.submit(THREE).await;
    let leader = Leader::start(&yard.grid);
    end_all(&yard, &[1]).await;
    assert_eq!(stands(&yard, &job).await, (JobState::Failed, 0));
    let failed: Receipt = read(&yard, &layout::receipt(&job, 0)).await;
    assert!(yard.has_tombstone(&job).await);

    let set = BTreeMap::from([("year".to_owned(), "2024".to_owned())]);
    control::redrive(&yard.grid, &job, Some("exit=3"), &set).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(job_manager::view::receipt(&yard.grid, &job).await.unwrap(), None, "it has not ended again");
    assert!(!yard.has_tombstone(&job).await);
    let tasks = yard.tasks().await;
    assert_eq!(tasks.iter().map(|task| (task.first, task.round)).collect::<Vec<_>>(), [(1, 1)]);
    let redrive: Redrive = read(&yard, &layout::redrive(&job, 1)).await;
    assert_eq!(redrive, Redrive { filter: Some("exit=3".parse().unwrap()), params: set, memory_factor: None });
    yard.end(&tasks[0], None).await;

    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(stands(&yard, &job).await, (JobState::Succeeded, 1));
    assert_eq!(yard.receipt(&job).await.state, JobState::Succeeded);
    assert_eq!(read::<Receipt>(&yard, &layout::receipt(&job, 0)).await, failed);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_receipt_that_is_there_stands_and_the_rows_follow_it() {
    let yard = Yard::new();
    let job = yard.submit(THREE).await;
    let leader = Leader::start(&yard.grid);
    end_all(&yard, &[]).await;
    let first: Receipt = read(&yard, &layout::receipt(&job, 0)).await;
    leader.stop().await;

    // Another leader has written it, and died before the rows could say so.
    let yard = Yard::new();
    let job = yard.submit(THREE).await;
    let there = Receipt { job: job.clone(), finished: "2026-01-01T00:00:07.008Z".into(), requests: None, ..first };
    let body = serde_json::to_vec(&there).unwrap();
    yard.grid.objects.put(&layout::receipt(&job, 0), body.into()).await.unwrap();
    let leader = Leader::start(&yard.grid);
    end_all(&yard, &[]).await;
    let finished_ms = "2026-01-01T00:00:07.008Z".parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64;
    let meta = yard.meta(&job).await.unwrap();
    assert_eq!((meta.state, meta.owed, meta.finished_ms), (JobState::Succeeded, None, Some(finished_ms)));
    assert_eq!(yard.receipt(&job).await, there);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_was_under_way_when_the_table_was_lost_goes_on() {
    let yard = Yard::new();
    let job = yard.submit(THREE).await;
    let leader = Leader::start(&yard.grid);
    end_all(&yard, &[0, 1]).await;
    let set =
        BTreeMap::from([("year".to_owned(), "2024".to_owned()), (control::SET_MEMORY.to_owned(), "x3".to_owned())]);
    control::redrive(&yard.grid, &job, None, &set).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    // Of one of them the message is lost with the table.
    let tasks = yard.tasks().await;
    let one = tasks.iter().find(|task| task.first == 0).unwrap();
    yard.end(one, None).await;
    sleep(Duration::from_secs(1)).await;
    leader.ended.abort();

    let after = Yard { grid: Grid { state: Arc::new(MemoryState::new()), ..yard.grid.clone() } };
    let poll = Duration::from_secs(1);
    let config = RebuildConfig { existing: Existing::Refuse, unfinished: Unfinished::Run, poll };
    rebuild(&after.grid, &config, |_| {}).await.unwrap();
    let meta = after.meta(&job).await.unwrap();
    assert_eq!((meta.state, meta.round, meta.redrive.is_some()), (JobState::Running, 1, true));
    let leader = Leader::start(&after.grid);
    sleep(Duration::from_millis(100)).await;
    let again = after.tasks().await;
    let told: Vec<_> = again.iter().map(|task| (task.first, task.round, task.memory_factor)).collect();
    assert_eq!(told, [(1, 1, 3.0)], "with what was set");
    assert_eq!(again[0].params, BTreeMap::from([("year".to_owned(), "2024".to_owned())]));
    after.end(&again[0], None).await;
    assert_eq!(after.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
}

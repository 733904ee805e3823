//! A worker that is told to stop, and a job that is cancelled.

use std::sync::atomic::Ordering;
use std::time::Duration;

use grid_core::layout;
use grid_core::wire::{Pack, TaskMessage};
use grid_worker::WorkerConfig;
use infra::grid::WorkerGrid;
use infra::queue::Depth;

use crate::elsewhere::Elsewhere;
use crate::scripted::{Scripted, writes};
use crate::yard::{Yard, completion, job, numbers, stage, task, until};

/// Every item takes ten seconds.
async fn slow() -> Yard {
    Yard::new(Scripted::new(|item, _| writes(format!("{item};")).after(10)), vec![stage("s", numbers(9))]).await
}

const WAITING: Depth = Depth { waiting: 1, in_flight: 0 };

#[tokio::test(start_paused = true)]
async fn a_drain_in_mid_bundle_commits_what_is_done_and_names_the_rest() {
    let yard = slow().await;
    yard.send(&task("s", 0, 5)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    worker.drain().await.unwrap();

    let manifest = yard.manifest("s", 0, 1).await;
    assert_eq!(manifest.outputs.pack, Pack::Text("0;1;".into()));
    assert_eq!((manifest.unrun.clone(), manifest.committed()), (vec![(2, 3)], vec![(0, 2)]));
    let said = yard.said().await;
    assert_eq!(said.completions, [completion("s", 0, 1)]);
    let last = said.heartbeats.last().unwrap();
    assert_eq!((last.slots, last.running.len()), (0, 0));
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth::default());
    assert_eq!((yard.runner.shutdowns.load(Ordering::Relaxed), yard.scratch_folders()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_kill_before_any_item_is_done_gives_the_task_back_at_once() {
    let yard = slow().await;
    yard.send(&task("s", 0, 5)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    worker.stop.kill.cancel();
    worker.handle.await.unwrap().unwrap();
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), WAITING, "nobody has to wait for a lease to end");
    assert_eq!(yard.objects().await, [] as [&str; 0]);
    assert_eq!(yard.said().await.completions, []);
}

#[tokio::test(start_paused = true)]
async fn a_kill_after_some_items_commits_them() {
    let yard = slow().await;
    yard.send(&task("s", 0, 5)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    worker.stop.kill.cancel();
    worker.handle.await.unwrap().unwrap();
    let manifest = yard.manifest("s", 0, 1).await;
    assert_eq!((manifest.committed(), manifest.unrun), (vec![(0, 1)], vec![(1, 4)]));
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_work_leaves_at_once() {
    let yard = slow().await;
    let worker = yard.start("w");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = tokio::time::Instant::now();
    worker.drain().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_cancelled_job_are_not_run() {
    let yard = slow().await;
    yard.put(&layout::tombstone(&job(), 0), "").await;
    yard.send(&task("s", 0, 5)).await;
    yard.work().await;
    assert_eq!(yard.runner.runs(), []);
    assert_eq!(yard.objects().await, ["cancelled"]);
    assert_eq!(yard.said().await.completions, []);
}

#[tokio::test(start_paused = true)]
async fn a_running_task_of_a_cancelled_job_is_killed_and_commits_nothing() {
    let yard = slow().await;
    yard.send(&task("s", 0, 5)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    yard.put(&layout::tombstone(&job(), 0), "").await;
    let cancelled = tokio::time::Instant::now();
    yard.idle().await;
    assert!(cancelled.elapsed() < Duration::from_secs(2), "it does not wait for the item in hand");
    worker.drain().await.unwrap();
    assert_eq!(yard.objects().await, ["cancelled"]);
    assert_eq!(yard.said().await.completions, []);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_say_what_runs_and_how_far_it_is() {
    let yard = slow().await;
    yard.send(&task("s", 0, 5)).await;
    yard.work().await;
    let heartbeats = yard.said().await.heartbeats;
    let sequence: Vec<u64> = heartbeats.iter().map(|heartbeat| heartbeat.sequence).collect();
    assert_eq!(sequence, (1..=heartbeats.len() as u64).collect::<Vec<_>>());
    let done: Vec<u32> = heartbeats.iter().flat_map(|beat| &beat.running).map(|task| task.items_done).collect();
    assert!(done.is_sorted() && done.contains(&0) && done.contains(&4), "{done:?}");
    assert_eq!(heartbeats.iter().map(|beat| beat.slots).max(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_tombstone_stops_its_own_round_and_no_other() {
    let yard = slow().await;
    yard.put(&layout::tombstone(&job(), 0), "").await;
    let worker = yard.start("w");
    yard.send(&task("s", 0, 1)).await;
    yard.idle().await;
    yard.send(&TaskMessage { round: 1, ..task("s", 0, 1) }).await;
    yard.idle().await;
    yard.send(&task("s", 1, 1)).await;
    yard.idle().await;
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
    yard.put(&layout::tombstone(&job(), 1), "").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    yard.send(&TaskMessage { round: 1, ..task("s", 2, 1) }).await;
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_stopped_and_comes_again_in_the_next_round_is_another_task() {
    let yard = slow().await;
    let worker = yard.start("w");
    yard.send(&task("s", 0, 1)).await;
    until(async || yard.runner.runs().len() == 1).await;
    yard.put(&layout::tombstone(&job(), 0), "").await;
    yard.send(&TaskMessage { round: 1, ..task("s", 0, 1) }).await;
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!((yard.runner.runs().len(), yard.said().await.completions), (2, vec![completion("s", 0, 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_while_a_worker_leaves_is_given_back_at_once() {
    let yard = slow().await;
    let tasks = Elsewhere::new(&yard.grid.tasks);
    let config = WorkerConfig { lease: Duration::from_secs(60), poll: Duration::from_secs(20), ..yard.config("w") };
    let worker = yard.start_with(config, WorkerGrid { tasks: tasks.clone(), ..yard.grid.for_worker() });
    until(async || tasks.receives.load(Ordering::Relaxed) == 1).await;
    worker.stop.drain.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    yard.send(&task("s", 0, 5)).await;
    let sent = tokio::time::Instant::now();
    worker.handle.await.unwrap().unwrap();
    assert_eq!(sent.elapsed(), Duration::ZERO, "what it waited for has come");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), WAITING, "nobody has to wait for a lease to end");
    assert_eq!((yard.runner.runs(), yard.said().await.heartbeats.last().unwrap().slots), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_receives_no_more_and_one_that_is_killed_waits_for_no_receive() {
    let yard = slow().await;
    let tasks = Elsewhere::new(&yard.grid.tasks);
    let config = || WorkerConfig { lease: Duration::from_secs(60), poll: Duration::from_secs(20), ..yard.config("w") };
    let grid = || WorkerGrid { tasks: tasks.clone(), ..yard.grid.for_worker() };
    for first in 0..2 {
        yard.send(&task("s", first, 1)).await;
    }
    let worker = yard.start_with(config(), grid());
    until(async || yard.runner.runs().len() == 2).await;
    worker.drain().await.unwrap();
    assert_eq!(tasks.receives.load(Ordering::Relaxed), 1, "no place was free, and then none was wanted");

    let worker = yard.start_with(config(), grid());
    until(async || tasks.receives.load(Ordering::Relaxed) == 2).await;
    let told = tokio::time::Instant::now();
    worker.stop.kill.cancel();
    worker.handle.await.unwrap().unwrap();
    assert_eq!(told.elapsed(), Duration::ZERO);
}

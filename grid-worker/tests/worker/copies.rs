//! Copies: another execution of an attempt that is slow where it runs.

use std::sync::Arc;
use std::time::Duration;

use grid_core::wire::{RunningTask, TaskMessage};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig};

use crate::scripted::{Scripted, writes};
use crate::yard::{LEASE, Running, Yard, completion, numbers, stage, task, until};

/// Where items never end.
fn stuck() -> Scripted {
    Scripted::new(|_, _| writes("never").after(u32::MAX.into()))
}

/// A yard whose first worker, `slow`, executes the one task that there is, and does not come to its end.
async fn yard() -> (Yard, Running) {
    let yard = Yard::new(Scripted::echo(), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 2)).await;
    let slow = start(&yard, "slow", Arc::new(stuck()));
    until(async || is_running(&yard, "slow").await).await;
    (yard, slow)
}

fn start(yard: &Yard, name: &str, runner: Arc<Scripted>) -> Running {
    let stop = Stop::default();
    let config = WorkerConfig { heartbeat: Duration::from_millis(100), ..yard.config(name) };
    let worker = Worker::new(yard.grid.for_worker(), runner, config);
    Running { handle: tokio::spawn(worker.run(stop.clone())), stop }
}

fn copy() -> TaskMessage {
    TaskMessage { copy: 1, ..task("s", 0, 2) }
}

/// What a worker said last that it runs.
async fn running(yard: &Yard, worker: &str) -> Vec<RunningTask> {
    let mut heartbeats = yard.said().await.heartbeats.into_iter();
    heartbeats.rfind(|heartbeat| heartbeat.worker.as_str() == worker).map(|it| it.running).unwrap_or_default()
}

async fn is_running(yard: &Yard, worker: &str) -> bool {
    !running(yard, worker).await.is_empty()
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_commits_first_counts_and_the_first_execution_ends_early() {
    let (yard, slow) = yard().await;
    yard.send(&copy()).await;
    let fast = yard.start("fast");
    yard.idle().await;
    let manifest = yard.manifest("s", 0, 1).await;
    assert_eq!((manifest.worker.as_str(), manifest.copy, manifest.failed, manifest.unrun), ("fast", 1, vec![], vec![]));
    slow.drain().await.unwrap();
    fast.drain().await.unwrap();
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1), completion("s", 0, 1)], "both report it");
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_attempt_ends_first_is_ended_early() {
    let yard = Yard::new(Scripted::new(|_, _| writes("x").after(5)), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 2)).await;
    let first = yard.start("first");
    until(async || yard.runner.runs().len() == 1).await;
    yard.send(&copy()).await;
    let second = start(&yard, "second", Arc::new(stuck()));
    yard.idle().await;
    let manifest = yard.manifest("s", 0, 1).await;
    assert_eq!((manifest.worker.as_str(), manifest.copy), ("first", 0));
    first.drain().await.unwrap();
    second.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_leaves_the_copy_of_what_it_executes_to_others() {
    let (yard, slow) = yard().await;
    yard.send(&copy()).await;
    until(async || is_running(&yard, "slow").await).await;
    let again = yard.grid.tasks.receive(1, LEASE, Duration::ZERO).await.unwrap().remove(0);
    assert_eq!(again.receives, 2, "it came, and was given back");
    yard.grid.tasks.extend(&[again.receipt], Duration::ZERO).await.unwrap();
    let fast = yard.start("fast");
    yard.idle().await;
    assert_eq!(yard.manifest("s", 0, 1).await.worker.as_str(), "fast");
    slow.drain().await.unwrap();
    fast.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_what_is_committed_is_not_executed() {
    let yard = Yard::new(Scripted::echo(), vec![stage("s", numbers(9))]).await;
    yard.send(&task("s", 0, 2)).await;
    yard.work().await;
    yard.send(&copy()).await;
    yard.work().await;
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.manifest("s", 0, 1).await.copy, 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_cut_short_commits_nothing_and_goes_back() {
    let (yard, slow) = yard().await;
    yard.send(&copy()).await;
    let half = |item, _| writes("x").after(if item == 0 { 1 } else { 3_600 });
    let drained = start(&yard, "drained", Arc::new(Scripted::new(half)));
    until(async || running(&yard, "drained").await.iter().any(|task| task.items_done == 1)).await;
    drained.stop.kill.cancel();
    drained.drain().await.unwrap();
    assert_eq!(yard.objects().await, Vec::<String>::new(), "the first execution does all of it");
    let fast = yard.start("fast");
    yard.idle().await;
    assert_eq!(yard.manifest("s", 0, 1).await.unrun, vec![]);
    slow.drain().await.unwrap();
    fast.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_copy_takes_over_the_attempt_when_its_own_message_comes() {
    let yard = Yard::new(Scripted::new(|_, _| writes("x").after(30)), vec![stage("s", numbers(9))]).await;
    yard.send(&copy()).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    yard.send(&task("s", 0, 2)).await;
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)], "the same execution is for both");
    assert_eq!(yard.manifest("s", 0, 1).await.copy, 1);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_how_long_a_task_has_run_and_which_execution_it_is() {
    let (yard, slow) = yard().await;
    yard.send(&copy()).await;
    let other = start(&yard, "other", Arc::new(stuck()));
    until(async || is_running(&yard, "other").await).await;
    until(async || running(&yard, "slow").await.iter().any(|task| task.age_secs > Some(3.0))).await;
    let said = running(&yard, "other").await;
    assert!(said.is_empty() || said[0].copy == 1, "{said:?}");
    until(async || running(&yard, "other").await.iter().any(|task| task.copy == 1 && task.age_secs < Some(60.0))).await;
    slow.stop.kill.cancel();
    other.stop.kill.cancel();
    slow.drain().await.unwrap();
    other.drain().await.unwrap();
}

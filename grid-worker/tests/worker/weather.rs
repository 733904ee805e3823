//! Back ends that fail, and messages that nobody can use.

use std::time::Duration;

use grid_core::wire::TaskMessage;
use grid_worker::WorkerError;
use infra::queue::Depth;

use crate::gate::{Gate, Weather};
use crate::scripted::{Scripted, writes};
use crate::yard::{Running, Yard, completion, numbers, stage, task, until};

async fn yard() -> (Yard, std::sync::Arc<Gate>) {
    let script = |item, _| writes(format!("{item}")).after(5);
    Yard::behind_gate(Scripted::new(script), vec![stage("s", numbers(9))]).await
}

async fn running(yard: &Yard) -> Running {
    yard.send(&task("s", 0, 2)).await;
    let worker = yard.start("w");
    until(async || yard.runner.runs().len() == 1).await;
    worker
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_commit_is_waited_for() {
    let (yard, gate) = yard().await;
    let worker = running(&yard).await;
    gate.turn(Weather::Outage);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth { waiting: 0, in_flight: 1 }, "the lease is kept");
    gate.turn(Weather::Fair);
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.runner.runs(), [(0, 1)], "nothing was run twice for it");
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_reading_of_inputs_is_no_failure_of_the_item() {
    let (yard, gate) = yard().await;
    gate.turn(Weather::Outage);
    yard.send(&task("s", 0, 2)).await;
    let worker = yard.start("w");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.runner.runs(), []);
    gate.turn(Weather::Fair);
    yard.idle().await;
    worker.drain().await.unwrap();
    assert_eq!(yard.manifest("s", 0, 1).await.committed(), [(0, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_in_an_outage_gives_its_task_back() {
    let (yard, gate) = yard().await;
    let worker = running(&yard).await;
    gate.turn(Weather::Outage);
    tokio::time::sleep(Duration::from_secs(60)).await;
    worker.stop.kill.cancel();
    worker.handle.await.unwrap().unwrap();
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_full_store_ends_the_worker_with_an_error_that_says_so() {
    let (yard, gate) = yard().await;
    let worker = running(&yard).await;
    gate.turn(Weather::Full);
    let error = worker.handle.await.unwrap().unwrap_err();
    assert!(matches!(&error, WorkerError::Full { .. }), "{error}");
    assert!(error.to_string().contains("no room left to commit a task"), "{error}");
    assert_eq!(yard.objects().await, [] as [&str; 0]);
    assert_eq!(yard.grid.tasks.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 });

    gate.turn(Weather::Fair);
    yard.work().await;
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)], "state is kept");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_ends_the_worker() {
    let (yard, gate) = yard().await;
    let worker = running(&yard).await;
    gate.turn(Weather::Denied);
    let error = worker.handle.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("commit a task") && error.to_string().contains("permissions"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn messages_that_nobody_can_use_are_never_deleted_and_disturb_nobody() {
    let (yard, _) = yard().await;
    yard.send_text("{").await;
    yard.send(&TaskMessage { v: 9, ..task("s", 2, 1) }).await;
    yard.send(&task("unknown", 0, 1)).await;
    yard.send(&task("s", 8_191, 2)).await;
    yard.send(&task("s", 0, 2)).await;
    yard.work().await;
    assert_eq!(yard.runner.runs(), [(0, 1)]);
    assert_eq!(yard.said().await.completions, [completion("s", 0, 1)]);
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap(), Depth { waiting: 4, in_flight: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_found_with_a_strange_plan_is_given_back() {
    let (yard, _) = yard().await;
    yard.send(&task("s", 9, 2)).await;
    yard.work().await;
    assert_eq!(yard.runner.runs(), []);
    assert_eq!(yard.grid.dead_tasks.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 });
}

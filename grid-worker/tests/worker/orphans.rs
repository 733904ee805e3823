//! A worker that nobody looks after any more.

use std::time::Duration;

use grid_core::layout;
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerError};
use tokio::time::{Instant, sleep};

use crate::gate::Weather;
use crate::scripted::{Scripted, writes};
use crate::yard::{Running, Yard, numbers, stage, task, until};

const AFTER: Duration = Duration::from_secs(1_800);

async fn yard() -> Yard {
    Yard::new(Scripted::new(move |_, _| writes("x").after(4_000)), vec![stage("s", numbers(9))]).await
}

fn start(yard: &Yard) -> Running {
    let stop = Stop::default();
    let worker = Worker::new(yard.grid.for_worker(), yard.runner.clone(), yard.config("w")).unless_orphaned(AFTER);
    Running { handle: tokio::spawn(worker.run(stop.clone())), stop }
}

async fn sign(yard: &Yard, number: u8) {
    yard.put(&layout::manager_sign(), vec![number]).await;
}

/// Ends by itself within the time that this takes at most.
async fn ends(worker: Running) -> Duration {
    let begun = Instant::now();
    let ended = worker.handle.await.unwrap();
    assert!(matches!(ended, Err(WorkerError::Orphaned { .. })), "{ended:?}");
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_without_a_manager_leaves_and_says_so() {
    let yard = yard().await;
    let after = ends(start(&yard)).await;
    assert!((AFTER..AFTER * 2).contains(&after), "{after:?}");
    let last = yard.said().await.heartbeats.pop().unwrap();
    assert_eq!((last.slots, last.running.len()), (0, 0), "nobody waits for its next heartbeat");
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_gives_signs_keeps_it_and_one_that_gave_signs_once_does_not() {
    let yard = yard().await;
    let worker = start(&yard);
    for number in 0..20 {
        sign(&yard, number).await;
        sleep(AFTER / 2).await;
    }
    assert!(!worker.handle.is_finished());
    assert!(ends(worker).await >= AFTER / 4);
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_a_task_in_hand_goes_on_and_a_task_counts_as_a_sign() {
    let yard = yard().await;
    let worker = start(&yard);
    yard.send(&task("s", 0, 1)).await;
    until(async || yard.runner.runs().len() == 1).await;
    sleep(Duration::from_secs(3_900)).await;
    assert!(!worker.handle.is_finished());
    assert!(ends(worker).await >= AFTER);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_ends_nobody() {
    let runner = Scripted::new(move |_, _| writes("x"));
    let (yard, gate) = Yard::behind_gate(runner, vec![stage("s", numbers(9))]).await;
    let worker = start(&yard);
    gate.turn(Weather::Outage);
    sleep(AFTER * 4).await;
    assert!(!worker.handle.is_finished());
    gate.turn(Weather::Fair);
    worker.drain().await.unwrap();
}

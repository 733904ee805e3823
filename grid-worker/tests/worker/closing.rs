//! A worker on a machine that is about to go: closed first, by its own word, and only then empty for sure.

use std::time::Duration;

use grid_core::ids::MachineId;
use grid_core::layout;
use grid_core::wire::{Heartbeat, MachineOrder};
use grid_worker::Worker;
use grid_worker::runner::Stop;
use tokio::time::sleep;

use crate::scripted::{Scripted, writes};
use crate::yard::{Running, Yard, numbers, stage, task, until};

async fn yard(secs: u64) -> Yard {
    Yard::new(Scripted::new(move |_, _| writes("x").after(secs)), vec![stage("s", numbers(9))]).await
}

fn machine() -> MachineId {
    MachineId::new("i-1")
}

fn start(yard: &Yard) -> Running {
    let stop = Stop::default();
    let worker = Worker::new(yard.grid.for_worker(), yard.runner.clone(), yard.config("w")).on(machine());
    Running { handle: tokio::spawn(worker.run(stop.clone())), stop }
}

async fn close(yard: &Yard, number: u64) {
    let order = serde_json::to_vec(&MachineOrder { v: 1, number }).unwrap();
    yard.put(&layout::machine_order(&machine()), order).await;
}

async fn reopen(yard: &Yard) {
    yard.grid.objects.delete(&layout::machine_order(&machine())).await.unwrap();
}

/// The last word, once there is a new one.
async fn last_word(yard: &Yard) -> Heartbeat {
    let mut heartbeats = Vec::new();
    until(async || {
        heartbeats.extend(yard.said().await.heartbeats);
        !heartbeats.is_empty()
    })
    .await;
    heartbeats.pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_closed_worker_says_so_takes_nothing_and_takes_tasks_again_when_the_order_is_gone() {
    let yard = yard(1).await;
    let worker = start(&yard);
    let first = last_word(&yard).await;
    assert_eq!((first.machine, first.closed_by), (Some(machine()), None));
    close(&yard, 7).await;
    let closed = last_word(&yard).await;
    assert_eq!((closed.closed_by, closed.slots), (Some(7), 2), "it says so without being asked again");
    yard.send(&task("s", 0, 1)).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(yard.runner.runs().len(), 0);
    close(&yard, 8).await;
    assert_eq!(last_word(&yard).await.closed_by, Some(8), "each order is answered by its number");
    reopen(&yard).await;
    until(async || yard.runner.runs().len() == 1).await;
    assert_eq!(last_word(&yard).await.closed_by, None);
    worker.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_a_task_in_hand_is_closed_only_when_that_has_ended() {
    let yard = yard(100).await;
    let worker = start(&yard);
    yard.send(&task("s", 0, 1)).await;
    until(async || yard.runner.runs().len() == 1).await;
    close(&yard, 7).await;
    sleep(Duration::from_secs(60)).await;
    let told: Vec<(Option<u64>, usize)> =
        yard.said().await.heartbeats.iter().map(|beat| (beat.closed_by, beat.running.len())).skip(1).collect();
    assert!(!told.is_empty() && told.iter().all(|word| *word == (None, 1)), "{told:?}");
    sleep(Duration::from_secs(45)).await;
    let last = yard.said().await.heartbeats.pop().unwrap();
    assert_eq!(
        (last.closed_by, last.running.len()),
        (Some(7), 0),
        "at once, not with the next heartbeat of an idle one"
    );
    worker.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_begins_anew_on_a_closed_machine_takes_nothing() {
    let yard = yard(1).await;
    close(&yard, 7).await;
    let worker = start(&yard);
    until(async || yard.said().await.heartbeats.iter().any(|beat| beat.closed_by == Some(7))).await;
    yard.send(&task("s", 0, 1)).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(yard.runner.runs().len(), 0);
    worker.drain().await.unwrap();
}

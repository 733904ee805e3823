//! What a worker says of itself, and what it costs to be idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use grid_worker::WorkerConfig;
use infra::Result;
use infra::grid::WorkerGrid;
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use tokio::time::{Instant, sleep};

use crate::scripted::{Scripted, writes};
use crate::yard::{Yard, numbers, stage, task, until};

/// A queue whose calls are counted.
#[derive(Debug)]
struct Counted {
    inner: Arc<dyn TaskQueue>,
    calls: Arc<AtomicU32>,
}

#[async_trait]
impl TaskQueue for Counted {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.receive(max, lease, wait).await
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.delete(receipts).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.extend(receipts, lease).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.inner.depth().await
    }
}

/// As the program `grid-worker` has it.
fn on_sqs(yard: &Yard, worker: &str) -> WorkerConfig {
    WorkerConfig {
        lease: Duration::from_secs(60),
        poll: Duration::from_secs(20),
        rest: Duration::from_millis(1_500),
        heartbeat: Duration::from_secs(20),
        ..yard.config(worker)
    }
}

async fn minutes(takes: u64) -> Yard {
    Yard::new(Scripted::new(move |_, _| writes("x").after(takes * 60)), vec![stage("s", numbers(9))]).await
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_makes_no_more_than_three_calls_a_minute() {
    let yard = minutes(1).await;
    let calls = Arc::new(AtomicU32::new(0));
    let counted = |inner: &Arc<dyn TaskQueue>| Arc::new(Counted { inner: inner.clone(), calls: calls.clone() });
    let tasks = counted(&yard.grid.tasks);
    let grid = WorkerGrid { tasks, reports: counted(&yard.grid.reports), ..yard.grid.for_worker() };
    let worker = yard.start_with(on_sqs(&yard, "w"), grid);
    sleep(Duration::from_secs(60)).await;
    calls.store(0, Ordering::Relaxed);
    sleep(Duration::from_secs(3_600)).await;
    let calls = calls.load(Ordering::Relaxed);
    assert!((150..=180).contains(&calls), "{calls} calls in an hour");
    worker.drain().await.unwrap();
    let heartbeats = yard.said().await.heartbeats;
    assert!((12..=15).contains(&heartbeats.len()), "{}", heartbeats.len());
    assert!(heartbeats.iter().all(|beat| beat.next_within() == Duration::from_secs(300)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_that_begins_a_task_says_so_at_once_and_beats_while_it_runs() {
    let yard = minutes(2).await;
    let worker = yard.start_with(on_sqs(&yard, "w"), yard.grid.for_worker());
    sleep(Duration::from_secs(100)).await;
    yard.said().await;
    yard.send(&task("s", 0, 1)).await;
    let began = Instant::now();
    until(async || yard.runner.runs().len() == 1).await;
    sleep(Duration::from_millis(1)).await;
    let first = yard.said().await.heartbeats;
    assert_eq!((first.len(), first[0].running.len(), first[0].next_within().as_secs()), (1, 1, 20));
    assert!(began.elapsed() < Duration::from_secs(2));
    sleep(Duration::from_secs(110)).await;
    assert_eq!(yard.said().await.heartbeats.len(), 5);
    sleep(Duration::from_secs(40)).await;
    let told: Vec<usize> = yard.said().await.heartbeats.iter().map(|beat| beat.running.len()).collect();
    assert_eq!(told, [0], "that it is idle again, once");
    worker.drain().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_comes_again_is_announced_before_it_is_executed() {
    let yard = minutes(1).await;
    yard.send(&task("s", 0, 1)).await;
    let first =
        yard.start_with(WorkerConfig { lease: Duration::from_secs(5), ..on_sqs(&yard, "a") }, yard.grid.for_worker());
    until(async || yard.runner.runs().len() == 1).await;
    first.handle.abort();
    yard.said().await;
    // It has just said that it is idle, and would say no more for a while.
    let second = yard.start_with(on_sqs(&yard, "b"), yard.grid.for_worker());
    until(async || yard.runner.runs().len() == 2).await;
    let said = yard.said().await.heartbeats;
    let told: Vec<usize> = said.iter().map(|beat| beat.running.len()).collect();
    assert_eq!(told, [0, 1]);
    second.drain().await.unwrap();
}

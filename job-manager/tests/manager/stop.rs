//! A leader that is told to stop, on queues of a service elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use infra::{Grid, Result};
use tokio::time::{Instant, sleep};

use crate::yard::{Leader, Yard};

/// A queue that goes on with a receive whose caller has gone; what it then leases is nobody's.
#[derive(Debug)]
struct Elsewhere(Arc<dyn TaskQueue>);

#[async_trait]
impl TaskQueue for Elsewhere {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.0.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        let inner = self.0.clone();
        tokio::spawn(async move { inner.receive(max, lease, wait).await }).await.unwrap()
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.0.delete(receipts).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        self.0.extend(receipts, lease).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.0.depth().await
    }
}

fn elsewhere() -> (Yard, Grid) {
    let yard = Yard::new();
    let reports: Arc<dyn TaskQueue> = Arc::new(Elsewhere(yard.grid.reports.clone()));
    let grid = Grid { reports, ..yard.grid.clone() };
    (yard, grid)
}

const ONE: &str = "name: one\nstages:\n  work: {list: [a], run: 'true'}\n";

#[tokio::test(start_paused = true)]
async fn it_does_not_wait_for_its_poll_and_what_is_reported_then_is_the_next_leaders() {
    let (yard, grid) = elsewhere();
    let leader = Leader::start(&grid);
    let job = yard.submit(ONE).await;
    sleep(Duration::from_secs(1)).await;
    let [task] = &yard.tasks().await[..] else { panic!("there is one item") };
    let stopping = Instant::now();
    leader.stop().await;
    assert_eq!(stopping.elapsed(), Duration::ZERO);
    yard.end(task, None).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(yard.grid.reports.depth().await.unwrap(), Depth { waiting: 1, in_flight: 0 }, "of {job}");
}

#[tokio::test(start_paused = true)]
async fn what_its_poll_brings_at_that_moment_is_heard_and_written() {
    let (yard, grid) = elsewhere();
    let leader = Leader::start(&grid);
    let job = yard.submit(ONE).await;
    sleep(Duration::from_secs(1)).await;
    let [task] = &yard.tasks().await[..] else { panic!("there is one item") };
    yard.commit(task, None).await;
    leader.stop.cancel();
    yard.completed(task).await;
    leader.stop().await;
    assert_eq!(yard.grid.reports.depth().await.unwrap(), Depth::default(), "it is heard, and deleted");
    // Whoever comes next has nothing to do but to end the job.
    yard.grid.objects.delete(&grid_core::layout::manifest(&job, &task.stage, task.key())).await.unwrap();
    let next = Leader::start(&yard.grid);
    yard.run_to_end(&job).await;
    next.stop().await;
    assert_eq!(yard.receipt(&job).await.stages[0].ok, 1);
}

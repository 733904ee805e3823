//! What a leader asks of its back ends: an idle one little, a busy one no more than it must.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grid_core::job::JobState;
use grid_core::limits::WIRE_VERSION;
use grid_core::spending::{Asked, Spending};
use grid_core::wire::{Completion, Report};
use infra::queue::{Depth, Receipt, Received, TaskQueue};
use infra::requests::Requests;
use infra::state::{Row, RowKey, StateStore, Write};
use infra::{Grid, Result};
use job_manager::{ManagerConfig, Progress, Role, manage};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::yard::{Leader, Manager, Yard, heartbeat};

/// Calls by name.
type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

/// A queue whose calls are counted, and whose receives take a while to answer.
#[derive(Debug)]
struct CountedQueue {
    inner: Arc<dyn TaskQueue>,
    name: &'static str,
    calls: Calls,
    answers_after: Duration,
    receiving: AtomicU32,
    most_receiving: Arc<AtomicU32>,
}

impl CountedQueue {
    fn note(&self, call: &str) {
        *self.calls.lock().unwrap().entry(format!("{call} {}", self.name)).or_default() += 1;
    }
}

#[async_trait]
impl TaskQueue for CountedQueue {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Result<()>>> {
        self.note("send");
        self.inner.send(bodies).await
    }

    async fn receive(&self, max: usize, lease: Duration, wait: Duration) -> Result<Vec<Received>> {
        self.note("receive");
        let receiving = self.receiving.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_receiving.fetch_max(receiving, Ordering::Relaxed);
        let received = self.inner.receive(max, lease, wait).await;
        sleep(self.answers_after).await;
        self.receiving.fetch_sub(1, Ordering::Relaxed);
        received
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.note("delete");
        self.inner.delete(receipts).await
    }

    async fn extend(&self, receipts: &[Receipt], lease: Duration) -> Result<Vec<Result<()>>> {
        self.note("extend");
        self.inner.extend(receipts, lease).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.note("depth");
        self.inner.depth().await
    }
}

/// A table whose calls are counted, each write for itself.
#[derive(Debug)]
struct CountedState {
    inner: Arc<dyn StateStore>,
    calls: Calls,
}

impl CountedState {
    fn note(&self, call: &str, partition: &str, count: u32) {
        *self.calls.lock().unwrap().entry(format!("{call} {partition}")).or_default() += count;
    }
}

#[async_trait]
impl StateStore for CountedState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        self.note("get", &key.partition, 1);
        self.inner.get(key).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.note("query", partition, 1);
        self.inner.query(partition, prefix, after, limit).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        writes.iter().for_each(|write| self.note("write", &write.key.partition, 1));
        self.inner.write(writes).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        self.note("transact", "", 1);
        self.inner.transact(writes).await
    }
}

/// A grid whose calls are counted.
fn counted(grid: &Grid, answers_after: Duration) -> (Grid, Calls, Arc<AtomicU32>) {
    let (calls, most) = (Calls::default(), Arc::new(AtomicU32::new(0)));
    let queue = |inner: &Arc<dyn TaskQueue>, name| -> Arc<dyn TaskQueue> {
        let (inner, calls, most_receiving) = (inner.clone(), calls.clone(), most.clone());
        Arc::new(CountedQueue { inner, name, calls, answers_after, receiving: AtomicU32::new(0), most_receiving })
    };
    let counted = Grid {
        tasks: queue(&grid.tasks, "tasks"),
        dead_tasks: queue(&grid.dead_tasks, "dead tasks"),
        reports: queue(&grid.reports, "reports"),
        state: Arc::new(CountedState { inner: grid.state.clone(), calls: calls.clone() }),
        ..grid.clone()
    };
    (counted, calls, most)
}

#[tokio::test(start_paused = true)]
async fn an_idle_leader_makes_seventeen_calls_a_minute_and_takes_on_a_job_at_once() {
    let yard = Yard::new();
    let (grid, calls, _) = counted(&yard.grid, Duration::ZERO);
    let stop = CancellationToken::new();
    let config = ManagerConfig::across_machines();
    let (progress, role) = (watch::Sender::new(Progress::default()), watch::Sender::new(Role::default()));
    let managing = tokio::spawn(manage(grid, config, progress, role, stop.clone()));
    sleep(Duration::from_secs(90)).await;
    calls.lock().unwrap().clear();
    sleep(Duration::from_secs(3_600)).await;
    let an_hour = std::mem::take(&mut *calls.lock().unwrap());
    let expected = [
        ("query ACTIVE", 60),
        ("receive dead tasks", 60),
        ("receive reports", 180),
        ("get LEADER", 0),
        ("write LEADER", 720),
    ];
    let expected: BTreeMap<String, u32> =
        expected.into_iter().filter(|(_, count)| *count > 0).map(|(call, count)| (call.to_owned(), count)).collect();
    assert_eq!(an_hour, expected, "17 a minute");

    let submitted = Instant::now();
    let job = yard.submit("name: one\nstages:\n  work: {list: [a], run: 'true'}\n").await;
    while yard.tasks().await.is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(submitted.elapsed() < Duration::from_millis(100), "{job} waited for {:?}", submitted.elapsed());
    stop.cancel();
    managing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_stands_by_reads_the_leaders_row_some_thirteen_times_a_minute_and_nothing_else() {
    let yard = Yard::new();
    let mut leader = Manager::start(&yard.grid, "leader");
    leader.is_to_lead().await;
    let (grid, calls, _) = counted(&yard.grid, Duration::ZERO);
    let standby = Manager::start(&grid, "standby");
    sleep(Duration::from_secs(60)).await;
    calls.lock().unwrap().clear();
    sleep(Duration::from_secs(3_600)).await;
    let an_hour = std::mem::take(&mut *calls.lock().unwrap());
    let reads = an_hour.get("get LEADER").copied().unwrap_or_default();
    assert!((12 * 60..=14 * 60).contains(&reads), "{reads}");
    assert_eq!(an_hour.len(), 1, "{an_hour:?}");
    standby.stop().await;
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_reports_is_taken_in_by_several_calls_at_a_time() {
    let yard = Yard::new();
    for sequence in 0..800 {
        yard.report(&Report::Heartbeat(heartbeat("w", sequence))).await;
    }
    let (grid, calls, most) = counted(&yard.grid, Duration::from_millis(50));
    let leader = Leader::start(&grid);
    sleep(Duration::from_millis(900)).await;
    assert_eq!(yard.grid.reports.depth().await.unwrap(), Depth::default(), "all are heard, and deleted");
    assert_eq!(most.load(Ordering::Relaxed), 8);
    let deletes = calls.lock().unwrap()["delete reports"];
    assert_eq!(deletes, 80, "ten at a time");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn across_machines_one_item_a_slot_is_tried_and_the_rest_is_bundled() {
    let yard = Yard::new();
    yard.report(&Report::Heartbeat(heartbeat("a", 1))).await;
    yard.report(&Report::Heartbeat(heartbeat("b", 1))).await;
    let leader = Leader::with(&yard.grid, ManagerConfig::across_machines());
    sleep(Duration::from_secs(1)).await;
    yard.submit("name: many\nstages:\n  work: {range: 1..1000, run: 'true'}\n").await;
    sleep(Duration::from_secs(1)).await;
    let first = yard.tasks().await;
    assert_eq!(first.iter().map(|task| (task.first, task.count)).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
    yard.end(&first[0], None).await;
    sleep(Duration::from_secs(1)).await;
    let counts: Vec<u32> = yard.tasks().await.iter().map(|task| task.count).collect();
    assert_eq!(counts, [998], "all that lasts less than two seconds");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_comes_again_costs_nothing_but_its_deletion_and_what_it_tells_counts_once() {
    let requests = Requests::default();
    let yard = Yard { grid: Grid { requests: requests.clone(), ..infra::memory::grid() } };
    let leader = Leader::start(&yard.grid);
    let job = yard.submit("name: two\nstages:\n  work: {list: [a, b], run: 'true'}\n").await;
    sleep(Duration::from_secs(1)).await;
    // Whoever asks that in the same process: it is not the leader.
    requests.count("DynamoDB", "PutItem");
    let [task, other] = &yard.tasks().await[..] else { panic!("one for each item") };
    let mut spending = Spending::default();
    spending.ask("S3 PutObject", Asked { requests: 2, extra_units: 0 });
    yard.commit(task, None).await;
    let (stage, key) = (task.stage.clone(), task.key());
    let told = Report::Completed(Completion { v: WIRE_VERSION, job: job.clone(), stage, key, spending });
    for _ in 0..3 {
        yard.report(&told).await;
        sleep(Duration::from_secs(1)).await;
        // Even where the manifest could not be read again.
        yard.grid.objects.delete(&grid_core::layout::manifest(&job, &task.stage, task.key())).await.unwrap();
    }
    yard.end(other, None).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    let receipt = yard.receipt(&job).await.requests.unwrap();
    let operations: Vec<_> = receipt.operations.iter().map(|told| (told.operation.as_str(), told.requests)).collect();
    assert_eq!(operations, [("S3 PutObject", 2)], "it is told once");
    assert_eq!((receipt.total, receipt.usd.as_str()), (2, "0.00001"));
    leader.stop().await;
}

//! Which job is charged with what is asked of services.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_api::Receipt;
use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::spending::{Asked, Spending};
use infra::requests::{Account, Requests};
use infra::state::{Row, RowKey, StateStore, Write};
use infra::{Grid, Result};
use job_manager::accept::{Accepted, NewJob, accept, new_job_id};
use job_manager::control::{pause, resume};
use tokio::time::sleep;

use crate::yard::{Leader, Yard, request};

/// A table that is paid for, beside one that is not.
#[derive(Debug)]
struct PaidState {
    inner: Arc<dyn StateStore>,
    requests: Requests,
}

#[async_trait]
impl StateStore for PaidState {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        self.requests.count("Table", "Get");
        self.inner.get(key).await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        self.inner.query(partition, prefix, after, limit).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        self.inner.write(writes).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        self.requests.count("Table", "Transact");
        self.inner.transact(writes).await
    }

    fn transact_asks(&self, _: &[Write]) -> Spending {
        let mut spending = Spending::default();
        spending.ask("Table Transact", Asked { requests: 1, extra_units: 0 });
        spending
    }
}

/// A grid whose table is paid for.
fn paid() -> Yard {
    let (grid, requests) = (infra::memory::grid(), Requests::default());
    let state = Arc::new(PaidState { inner: grid.state.clone(), requests: requests.clone() });
    Yard { grid: Grid { state, requests, ..grid } }
}

const ONE: &str = "name: one\nstages:\n  work: {list: [a], run: 'true'}\n";

/// Submits as a manager does over HTTP, and asks a row more than it must.
async fn submitted(yard: &Yard) -> JobId {
    let new = NewJob {
        job: new_job_id(&*yard.grid.clock),
        request: request(ONE),
        program_files: Vec::new(),
        tenant: String::new(),
        once: None,
    };
    let submission = async {
        yard.grid.state.get(&RowKey { partition: "P".into(), sort: "S".into() }).await.unwrap();
        accept(&yard.grid, new).await.unwrap()
    };
    match Account::default().of(submission).await {
        Accepted::New(job) => job,
        other => panic!("{other:?}"),
    }
}

/// How often `kind` was asked.
fn told(receipt: &Receipt, kind: &str) -> u64 {
    let operations = &receipt.requests.as_ref().unwrap().operations;
    operations.iter().find(|told| told.operation == kind).map_or(0, |told| told.requests)
}

/// What the leader itself reads of a job's rows, one by one, until it is over.
async fn gets_of_a_leader() -> u64 {
    let yard = paid();
    let leader = Leader::start(&yard.grid);
    let job = yard.submit(ONE).await;
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
    let receipt = yard.receipt(&job).await;
    assert_eq!(told(&receipt, "Table Transact"), 0, "it was submitted on no account");
    told(&receipt, "Table Get")
}

#[tokio::test(start_paused = true)]
async fn what_a_submission_asks_is_charged_to_its_job_once_whoever_took_it() {
    let of_leader = gets_of_a_leader().await;
    for leads_before in [true, false] {
        let yard = paid();
        let early = leads_before.then(|| Leader::start(&yard.grid));
        sleep(Duration::from_secs(1)).await;
        let job = submitted(&yard).await;
        // It has settled its accounts many times.
        sleep(Duration::from_secs(300)).await;
        let leader = early.unwrap_or_else(|| Leader::start(&yard.grid));
        assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
        leader.stop().await;
        let receipt = yard.receipt(&job).await;
        assert_eq!((told(&receipt, "Table Transact"), told(&receipt, "Table Get")), (1, of_leader + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_charged_when_the_job_was_held_before_anybody_took_it_on_and_not_again_by_the_next_leader() {
    let yard = paid();
    let job = submitted(&yard).await;
    pause(&yard.grid, &job).await.unwrap();
    let first = Leader::start(&yard.grid);
    sleep(Duration::from_secs(10)).await;
    resume(&yard.grid, &job).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    // It dies, and so does the one that comes next before it has written anything.
    first.ended.abort();
    Leader::start(&yard.grid).ended.abort();
    let last = Leader::start(&yard.grid);
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    last.stop().await;
    assert_eq!(told(&yard.receipt(&job).await, "Table Transact"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_others_ask_in_the_same_process_is_no_jobs() {
    let of_leader = gets_of_a_leader().await;
    let yard = paid();
    let leader = Leader::start(&yard.grid);
    let job = yard.submit(ONE).await;
    sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        yard.meta(&job).await;
    }
    assert_eq!(yard.run_to_end(&job).await, JobState::Succeeded);
    leader.stop().await;
    assert_eq!(told(&yard.receipt(&job).await, "Table Get"), of_leader);
}

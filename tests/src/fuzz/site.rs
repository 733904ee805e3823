//! A grid in memory with a job that has ended and one that has not.

use std::collections::BTreeMap;
use std::time::Duration;

use grid_core::ids::{JobId, WorkerId};
use grid_core::job::{META, Meta};
use grid_core::layout;
use grid_core::limits::{QUEUE_BATCH, WIRE_VERSION};
use grid_core::reason::{Failure, Reason};
use grid_core::rows::{ACTIVE, JOBS, job_partition};
use grid_core::wire::{Completion, ItemFailure, Manifest, Outputs, Pack, Report, TaskMessage, to_ascii_json};
use infra::Grid;
use infra::state::{Expect, Row, RowKey, Write};
use job_manager::accept::{Accepted, NewJob, accept, new_job_id};
use job_manager::{ManagerConfig, Progress, SubmitRequest, lead};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const PIPELINE: &str = "name: fuzzed\nparams: {n: {type: integer, default: 1}}\nstages:\n  \
                        work: {range: 1..3, run: echo, retry: {attempts: 1}, skip: {limit: 1}}\n  \
                        sum: {all: work, run: cat}\n";

/// A grid.
pub(super) struct Site {
    pub grid: Grid,
}

/// What every grid begins with.
pub(super) struct Made {
    pub done: JobId,
    pub live: JobId,
    rows: Vec<Row>,
    objects: BTreeMap<String, bytes::Bytes>,
}

impl Made {
    /// Runs a job to its end, and submits another one.
    pub(super) async fn make() -> Self {
        let grid = infra::memory::grid();
        let done = submit(&grid).await;
        let stop = CancellationToken::new();
        let leader = tokio::spawn(lead(
            grid.clone(),
            ManagerConfig::default(),
            watch::Sender::new(Progress::default()),
            stop.clone(),
        ));
        while !is_over(&grid, &done).await {
            let lease = Duration::from_secs(60);
            for received in grid.tasks.receive(QUEUE_BATCH, lease, Duration::ZERO).await.expect("memory answers") {
                let task = serde_json::from_str(&received.body).expect("it is a task");
                end(&grid, &task).await;
                grid.tasks.delete(&[received.receipt]).await.expect("memory answers");
            }
            sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        leader.await.expect("it ends").expect("nothing is wrong with the job");
        let live = submit(&grid).await;
        let mut rows = Vec::new();
        for partition in [JOBS.to_owned(), ACTIVE.to_owned(), job_partition(&done)] {
            rows.extend(grid.state.query(&partition, "", None, 1_000).await.expect("memory answers"));
        }
        let mut objects = BTreeMap::new();
        for object in grid.objects.list("", None, 1_000).await.expect("memory answers") {
            objects.insert(object.key.clone(), grid.objects.get(&object.key, None).await.expect("it is listed"));
        }
        Self { done, live, rows, objects }
    }

    /// A grid with the same jobs.
    pub(super) async fn copy(&self) -> Site {
        let grid = infra::memory::grid();
        let write = |row: &Row| Write {
            key: row.key.clone(),
            expect: Expect::Absent,
            epoch: row.epoch,
            body: Some(row.body.clone()),
            expires_ms: None,
        };
        grid.state.write(self.rows.iter().map(write).collect()).await.expect("memory answers");
        for (key, body) in &self.objects {
            grid.objects.create(key, body.clone()).await.expect("memory answers");
        }
        Site { grid }
    }
}

async fn submit(grid: &Grid) -> JobId {
    let pipeline = grid_core::pipeline::parse(PIPELINE, "pipeline").expect("it is right");
    let request = SubmitRequest::of_defaults(pipeline).expect("they have defaults");
    let (program_files, tenant) = (Vec::new(), String::new());
    let new = NewJob { job: new_job_id(&*grid.clock), request, program_files, tenant, once: None };
    match accept(grid, new).await.expect("memory answers") {
        Accepted::New(job) | Accepted::Before(job) => job,
        Accepted::OtherBody => unreachable!("it has no key"),
    }
}

async fn is_over(grid: &Grid, job: &JobId) -> bool {
    let key = RowKey { partition: job_partition(job), sort: META.to_owned() };
    let row = grid.state.get(&key).await.expect("memory answers");
    row.is_some_and(|row| Meta::read(&row.body).is_ok_and(|meta| meta.state.is_final() && meta.owed.is_none()))
}

/// Commits a task whose items print their numbers; the first of the first stage fails.
async fn end(grid: &Grid, task: &TaskMessage) {
    let fails = task.first == 0 && task.stage.as_str() == "work";
    // What has failed has printed nothing.
    let says = |item| if fails && item == task.first { String::new() } else { format!("{item}\n") };
    let printed: Vec<String> = (task.first..task.first + task.count).map(says).collect();
    let stdout = printed.iter().map(|text| (text.len() as u64, crc32fast::hash(text.as_bytes()))).collect();
    let failure = || ItemFailure {
        first: task.first,
        count: 1,
        bytes_in: 0,
        failure: Failure { exit: Some(3), ..Failure::new(Reason::Exit, "it failed") },
    };
    let (job, stage, key) = (task.job.clone(), task.stage.clone(), task.key());
    let manifest = Manifest {
        v: WIRE_VERSION,
        job: job.clone(),
        stage: stage.clone(),
        first: task.first,
        count: task.count,
        attempt: task.attempt,
        worker: WorkerId::new("fuzz"),
        copy: 0,
        started_ms: 0,
        busy_us: 1,
        bytes_in: 0,
        outputs: Outputs { pack: Pack::Text(printed.concat()), stdout, ..Outputs::default() },
        failed: fails.then(failure).into_iter().collect(),
        unrun: Vec::new(),
        log: None,
        params: Default::default(),
        reused_from: None,
    };
    let place = layout::manifest(&job, &stage, key);
    grid.objects
        .create(&place, serde_json::to_vec(&manifest).expect("it can be written").into())
        .await
        .expect("it is new");
    let report = Report::Completed(Completion { v: WIRE_VERSION, job, stage, key, spending: Default::default() });
    grid.reports.send(&[to_ascii_json(&report).expect("it can be written")]).await.expect("memory answers");
}

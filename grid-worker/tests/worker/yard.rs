//! A grid in memory with one job, for tests of workers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use grid_core::ids::{AttemptKey, JobId, StageItems, StageName, WorkerId};
use grid_core::layout;
use grid_core::pipeline::{Command, Format, Input, ItemSource, Pipeline, Range, Retry, Stage};
use grid_core::submission::Submission;
use grid_core::units::ByteSize;
use grid_core::wire::{
    Completion, Heartbeat, KeySource, Manifest, OutputRef, Report, TaskInputs, TaskMessage, to_ascii_json,
};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig, WorkerError};
use infra::Grid;
use infra::grid::WorkerGrid;
use infra::inputs::{PinOptions, pin_object};
use infra::queue::Receipt;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::gate::Gate;
use crate::scripted::Scripted;

pub const LEASE: Duration = Duration::from_secs(2);

/// A grid, and what its workers execute tasks with.
pub struct Yard {
    pub grid: Grid,
    pub runner: Arc<Scripted>,
    scratch: TempDir,
}

/// A worker that runs.
pub struct Running {
    pub stop: Stop,
    pub handle: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    pub async fn drain(self) -> Result<(), WorkerError> {
        self.stop.drain.cancel();
        self.handle.await.unwrap()
    }
}

/// What lies on the output queue.
#[derive(Debug, Default)]
pub struct Said {
    pub completions: Vec<Completion>,
    pub heartbeats: Vec<Heartbeat>,
}

impl Yard {
    pub async fn new(runner: Scripted, stages: Vec<Stage>) -> Self {
        Self::on(infra::memory::grid(), runner, stages).await
    }

    /// A yard whose objects lie behind a gate.
    pub async fn behind_gate(runner: Scripted, stages: Vec<Stage>) -> (Self, Arc<Gate>) {
        let mut grid = infra::memory::grid();
        let gate = Arc::new(Gate::new(grid.objects.clone()));
        grid.objects = gate.clone();
        (Self::on(grid, runner, stages).await, gate)
    }

    /// A yard whose job has one input: the file `NAME.EXTENSION`, with a header.
    pub async fn with_input(
        runner: Scripted,
        stages: Vec<Stage>,
        (name, format): (&str, Format),
        content: String,
    ) -> Self {
        let grid = infra::memory::grid();
        let file = format!("{name}.{}", format.extension());
        grid.objects.put(&file, content.into()).await.unwrap();
        let pinned = pin_object(&grid.sources, &format!("grid://{file}"), &file, PinOptions::default()).await.unwrap();
        let mut submission = submission(stages);
        let input = Input { format, header: true, default: Vec::new(), max_record: ByteSize(1 << 20) };
        submission.pipeline.inputs.insert(name.to_owned(), input);
        submission.inputs.insert(name.to_owned(), vec![pinned]);
        Self::with(grid, runner, &submission).await
    }

    async fn on(grid: Grid, runner: Scripted, stages: Vec<Stage>) -> Self {
        Self::with(grid, runner, &submission(stages)).await
    }

    pub async fn with(grid: Grid, runner: Scripted, submission: &Submission) -> Self {
        let body = serde_json::to_vec(submission).unwrap();
        grid.objects.create(&layout::submission(&job()), body.into()).await.unwrap();
        Self { grid, runner: Arc::new(runner), scratch: TempDir::new().unwrap() }
    }

    pub async fn send(&self, message: &TaskMessage) {
        self.send_text(&to_ascii_json(message).unwrap()).await;
    }

    pub async fn send_until_it_goes(&self, message: &TaskMessage) {
        let body = to_ascii_json(message).unwrap();
        until(async || self.grid.tasks.send(std::slice::from_ref(&body)).await.unwrap().iter().all(Result::is_ok))
            .await;
    }

    pub async fn send_text(&self, body: &str) {
        for answer in self.grid.tasks.send(&[body.to_owned()]).await.unwrap() {
            answer.unwrap();
        }
    }

    pub fn config(&self, worker: &str) -> WorkerConfig {
        WorkerConfig {
            worker: WorkerId::new(worker),
            pool: "default".into(),
            slots: 2,
            lease: LEASE,
            poll: Duration::from_millis(500),
            rest: Duration::ZERO,
            heartbeat: Duration::from_secs(5),
            patience: Duration::from_secs(600),
            scratch: self.scratch.path().to_owned(),
            seed: 1,
        }
    }

    pub fn start(&self, worker: &str) -> Running {
        self.start_with(self.config(worker), self.grid.for_worker())
    }

    pub fn start_with(&self, config: WorkerConfig, grid: WorkerGrid) -> Running {
        let stop = Stop::default();
        let worker = Worker::new(grid, self.runner.clone(), config);
        Running { handle: tokio::spawn(worker.run(stop.clone())), stop }
    }

    /// Has one worker do all there is to do.
    pub async fn work(&self) {
        let worker = self.start("w");
        self.idle().await;
        worker.drain().await.unwrap();
    }

    /// Waits until no task is waiting or in anybody's hands.
    pub async fn idle(&self) {
        until(async || {
            let depth = self.grid.tasks.depth().await.unwrap();
            depth.waiting + depth.in_flight == 0
        })
        .await;
    }

    /// Takes everything off the output queue.
    pub async fn said(&self) -> Said {
        let mut said = Said::default();
        loop {
            let batch = self.grid.reports.receive(10, LEASE, Duration::ZERO).await.unwrap();
            if batch.is_empty() {
                return said;
            }
            for report in &batch {
                assert!(report.body.is_ascii());
                match serde_json::from_str(&report.body).unwrap() {
                    Report::Completed(completion) => said.completions.push(completion),
                    Report::Heartbeat(heartbeat) => said.heartbeats.push(heartbeat),
                    Report::Wanted(job) => panic!("no worker says {job:?}"),
                }
            }
            let receipts: Vec<Receipt> = batch.into_iter().map(|report| report.receipt).collect();
            self.grid.reports.delete(&receipts).await.unwrap();
        }
    }

    pub async fn manifest(&self, stage: &str, first: u32, attempt: u32) -> Manifest {
        let key = layout::manifest(&job(), &StageName::new(stage), AttemptKey { first, attempt });
        serde_json::from_slice(&self.grid.objects.get(&key, None).await.unwrap()).unwrap()
    }

    pub async fn put(&self, key: &str, body: impl Into<Bytes>) {
        self.grid.objects.put(key, body.into()).await.unwrap();
    }

    pub async fn commit(&self, manifest: &Manifest) {
        let key = layout::manifest(&job(), &manifest.stage, manifest.key());
        self.put(&key, serde_json::to_vec(manifest).unwrap()).await;
    }

    /// Keys of all objects but the submission, the folder of two hash digits left out.
    pub async fn objects(&self) -> Vec<String> {
        let prefix = format!("jobs/{}/", job());
        let metas = self.grid.objects.list(&prefix, None, 1_000).await.unwrap();
        let short = metas.iter().map(|meta| {
            let parts: Vec<&str> = meta.key[prefix.len()..].split('/').collect();
            parts.into_iter().filter(|part| part.len() != 2).collect::<Vec<_>>().join("/")
        });
        short.filter(|key| key != "job.json").collect()
    }

    /// Scratch folders that are left.
    pub fn scratch_folders(&self) -> usize {
        std::fs::read_dir(self.scratch.path()).unwrap().count()
    }
}

/// Waits, in the time of the test, until something holds.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..100_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not come to hold");
}

pub fn job() -> JobId {
    JobId::new("0190")
}

pub fn completion(stage: &str, first: u32, attempt: u32) -> Completion {
    let key = AttemptKey { first, attempt };
    Completion { v: 1, job: job(), stage: StageName::new(stage), key, spending: Default::default() }
}

/// A task of a stage whose items are computed.
pub fn task(stage: &str, first: u32, count: u32) -> TaskMessage {
    let items = StageItems { stage: StageName::new(stage), first, count };
    TaskMessage {
        v: 1,
        job: job(),
        stage: items.stage.clone(),
        first,
        count,
        attempt: 1,
        failures: 0,
        memory_factor: 1.0,
        round: 0,
        copy: 0,
        params: Default::default(),
        keys: KeySource::Items(items),
        inputs: TaskInputs::Plan,
    }
}

pub fn members(stage: &str, first: u32, count: u32) -> StageItems {
    StageItems { stage: StageName::new(stage), first, count }
}

pub fn output_ref(stage: &str, first: u32, attempt: u32) -> OutputRef {
    OutputRef { stage: StageName::new(stage), key: AttemptKey { first, attempt } }
}

pub fn numbers(last: i64) -> ItemSource {
    ItemSource::Range(Range { first: 0, last, step: 1 })
}

pub fn stage(name: &str, items: ItemSource) -> Stage {
    Stage {
        cache: false,
        retry: Retry { attempts: 1, ..Retry::default() },
        timeout: Duration::from_secs(60),
        grace: Duration::from_secs(1),
        ..Stage::new(StageName::new(name), items, Command::Argv(Vec::new()))
    }
}

fn submission(stages: Vec<Stage>) -> Submission {
    let submitted = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
    Submission::new(job(), submitted, "/", Pipeline::new("test", stages))
}

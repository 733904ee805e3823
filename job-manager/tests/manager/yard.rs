//! A grid in memory, with whatever a test needs to play its workers.

use std::time::Duration;

use grid_api::Receipt;
use grid_core::ids::{JobId, WorkerId};
use grid_core::job::{JobState, META, Meta};
use grid_core::layout;
use grid_core::limits::{QUEUE_BATCH, WIRE_VERSION};
use grid_core::reason::{Failure, Reason};
use grid_core::rows::{ACTIVE, job_partition};
use grid_core::wire::{Completion, Heartbeat, ItemFailure, Manifest, Report, TaskMessage, to_ascii_json};
use infra::state::RowKey;
use infra::{ErrorKind, Grid};
use job_manager::{ManagerConfig, ManagerError, Progress, Role, SubmitRequest, lead, manage, submit};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A grid, and the jobs on it.
pub struct Yard {
    pub grid: Grid,
}

/// A manager that leads.
pub struct Leader {
    pub ended: JoinHandle<Result<(), ManagerError>>,
    pub stop: CancellationToken,
    pub progress: watch::Receiver<Progress>,
}

impl Leader {
    /// Starts one.
    pub fn start(grid: &Grid) -> Self {
        Self::with(grid, ManagerConfig::default())
    }

    pub fn with(grid: &Grid, config: ManagerConfig) -> Self {
        let stop = CancellationToken::new();
        let (publish, progress) = watch::channel(Progress::default());
        Self { ended: tokio::spawn(lead(grid.clone(), config, publish, stop.clone())), stop, progress }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

/// A manager among others.
pub struct Manager {
    pub ended: JoinHandle<Result<(), ManagerError>>,
    pub stop: CancellationToken,
    pub progress: watch::Receiver<Progress>,
    pub role: watch::Receiver<Role>,
}

impl Manager {
    pub fn start(grid: &Grid, name: &str) -> Self {
        Self::with(grid, ManagerConfig { name: name.to_owned(), ..ManagerConfig::default() })
    }

    pub fn with(grid: &Grid, config: ManagerConfig) -> Self {
        let stop = CancellationToken::new();
        let (publish, progress) = watch::channel(Progress::default());
        let (tell, role) = watch::channel(Role::default());
        let config = ManagerConfig { seed: config.name.bytes().map(u64::from).sum(), ..config };
        let ended = tokio::spawn(manage(grid.clone(), config, publish, tell, stop.clone()));
        Self { ended, stop, progress, role }
    }

    pub fn leads(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leads { .. })
    }

    /// Waits until it leads; answers how long that took.
    pub async fn is_to_lead(&mut self) -> Duration {
        let began = Instant::now();
        let leads = |role: &Role| matches!(role, Role::Leads { .. });
        timeout(Duration::from_secs(600), self.role.wait_for(leads)).await.expect("it never leads").unwrap();
        began.elapsed()
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

/// The sign of life of a worker that runs nothing.
pub fn heartbeat(worker: &str, sequence: u64) -> Heartbeat {
    Heartbeat {
        v: WIRE_VERSION,
        worker: WorkerId::new(worker),
        sequence,
        pool: "default".into(),
        slots: 1,
        interval_secs: 20.0,
        running: Vec::new(),
        machine: None,
        closed_by: None,
    }
}

/// A pipeline to be submitted, with nothing but its own defaults.
pub fn request(text: &str) -> SubmitRequest {
    SubmitRequest::of_defaults(grid_core::pipeline::parse(text, "pipeline.yaml").unwrap()).unwrap()
}

/// What the execution of a task commits that writes nothing; all of its items fail where a reason is given.
pub fn manifest_of(task: &TaskMessage, reason: Option<Reason>) -> Manifest {
    let failure = |reason| ItemFailure {
        first: task.first,
        count: task.count,
        bytes_in: 0,
        failure: Failure { exit: Some(3), ..Failure::new(reason, "it failed") },
    };
    Manifest {
        v: WIRE_VERSION,
        job: task.job.clone(),
        stage: task.stage.clone(),
        first: task.first,
        count: task.count,
        attempt: task.attempt,
        worker: WorkerId::new("test"),
        copy: task.copy,
        started_ms: 0,
        busy_us: 1,
        bytes_in: 0,
        outputs: Default::default(),
        failed: reason.map(failure).into_iter().collect(),
        unrun: Vec::new(),
        log: None,
        params: Default::default(),
        reused_from: None,
    }
}

impl Yard {
    pub fn new() -> Self {
        Self { grid: infra::memory::grid() }
    }

    pub async fn submit(&self, text: &str) -> JobId {
        submit(&self.grid, request(text)).await.unwrap().job().clone()
    }

    /// What has been handed out and not been received; nothing of it is received again.
    pub async fn tasks(&self) -> Vec<TaskMessage> {
        let mut tasks = Vec::new();
        loop {
            let lease = Duration::from_secs(40_000);
            let batch = self.grid.tasks.receive(QUEUE_BATCH, lease, Duration::ZERO).await.unwrap();
            if batch.is_empty() {
                return tasks;
            }
            tasks.extend(batch.iter().map(|received| serde_json::from_str::<TaskMessage>(&received.body).unwrap()));
            let receipts: Vec<_> = batch.into_iter().map(|received| received.receipt).collect();
            self.grid.tasks.delete(&receipts).await.unwrap();
        }
    }

    /// Commits a task and reports it; all of its items fail where a reason is given.
    pub async fn end(&self, task: &TaskMessage, reason: Option<Reason>) {
        self.commit(task, reason).await;
        self.completed(task).await;
    }

    /// Reports that a task is committed.
    pub async fn completed(&self, task: &TaskMessage) {
        let (job, stage) = (task.job.clone(), task.stage.clone());
        self.report(&Report::Completed(Completion {
            v: WIRE_VERSION,
            job,
            stage,
            key: task.key(),
            spending: Default::default(),
        }))
        .await;
    }

    /// Commits a task without a word.
    pub async fn commit(&self, task: &TaskMessage, reason: Option<Reason>) {
        self.write(&manifest_of(task, reason)).await;
    }

    /// Writes a manifest, the first of its attempt.
    pub async fn write(&self, manifest: &Manifest) {
        let key = layout::manifest(&manifest.job, &manifest.stage, manifest.key());
        self.grid.objects.create(&key, serde_json::to_vec(manifest).unwrap().into()).await.unwrap();
    }

    pub async fn report(&self, report: &Report) {
        for answer in self.grid.reports.send(&[to_ascii_json(report).unwrap()]).await.unwrap() {
            answer.unwrap();
        }
    }

    /// Commits all that is handed out, until the job is over.
    pub async fn run_to_end(&self, job: &JobId) -> JobState {
        for _ in 0..10_000 {
            if self.has_ended(job).await {
                return self.meta(job).await.unwrap().state;
            }
            for task in self.tasks().await {
                self.end(&task, None).await;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("the job does not end");
    }

    /// Whether the round that the job is in is over, and its receipt written.
    pub async fn has_ended(&self, job: &JobId) -> bool {
        self.meta(job).await.is_some_and(|meta| meta.state.is_final() && meta.owed.is_none())
    }

    pub async fn meta(&self, job: &JobId) -> Option<Meta> {
        let key = RowKey { partition: job_partition(job), sort: META.into() };
        self.grid.state.get(&key).await.unwrap().map(|row| Meta::read(&row.body).unwrap())
    }

    /// The receipt of the round that the job is in.
    pub async fn receipt(&self, job: &JobId) -> Receipt {
        job_manager::view::receipt(&self.grid, job).await.unwrap().unwrap()
    }

    pub async fn has_tombstone(&self, job: &JobId) -> bool {
        let round = self.meta(job).await.map_or(0, |meta| meta.round);
        match self.grid.objects.head(&layout::tombstone(job, round)).await {
            Ok(_) => true,
            Err(error) if error.kind == ErrorKind::NotFound => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Jobs that somebody has to look after.
    pub async fn active(&self) -> Vec<String> {
        let rows = self.grid.state.query(ACTIVE, "", None, 100).await.unwrap();
        rows.into_iter().map(|row| row.key.sort).collect()
    }
}

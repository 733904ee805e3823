//! A grid in this process whose items do nothing: what is left is what the grid itself costs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::ids::{JobId, WorkerId};
use grid_worker::runner::{ItemRan, Runner, Spool, Stop, TaskRan, TaskRun};
use grid_worker::{Worker, WorkerConfig, WorkerError};
use infra::Grid;
use infra::embedded::StateDir;
use job_manager::{ManagerConfig, ManagerError, Progress, SubmitRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// As many as `gridmill run` has on two cores.
const SLOTS: u32 = 2;

/// Items end at once, and write nothing.
#[derive(Debug)]
struct NoOp;

#[async_trait]
impl Runner for NoOp {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let began = std::time::Instant::now();
        let mut items = Vec::with_capacity(task.message.count as usize);
        for _ in 0..task.message.count {
            task.progress.item_ended();
            items.push(ItemRan::Ok { stdout: (0, 0), files: Vec::new() });
        }
        TaskRan { busy: began.elapsed(), items, pack: Spool::Memory(Vec::new()), log: Vec::new() }
    }

    async fn shutdown(&self) {}
}

/// Manager and worker, at work in this process.
pub struct LiveGrid {
    grid: Grid,
    published: watch::Receiver<Progress>,
    stop: Stop,
    manager: JoinHandle<Result<(), ManagerError>>,
    worker: JoinHandle<Result<(), WorkerError>>,
    // Goes last: others may have the folder then.
    _state: StateDir,
}

impl LiveGrid {
    /// Starts a grid whose state is in `folder`.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let (state, grid) = StateDir::open(&folder.join("state"))?;
        let stop = Stop::default();
        let (publish, published) = watch::channel(Progress::default());
        let manager = job_manager::lead(grid.clone(), ManagerConfig::default(), publish, stop.drain.clone());
        let worker = Worker::new(grid.for_worker(), Arc::new(NoOp), worker_config(&state.scratch()));
        Ok(Self {
            manager: tokio::spawn(manager),
            worker: tokio::spawn(worker.run(stop.clone())),
            _state: state,
            grid,
            published,
            stop,
        })
    }

    /// Submits a pipeline that takes nothing in.
    pub async fn submit(&self, text: &str) -> anyhow::Result<JobId> {
        let pipeline = grid_core::pipeline::parse(text, "pipeline.yaml")?;
        let request = SubmitRequest::of_defaults(pipeline).map_err(|faults| anyhow::anyhow!(faults.join("\n")))?;
        Ok(job_manager::submit(&self.grid, request).await?.job().clone())
    }

    /// Waits until a job is over; answers how many of its items were committed.
    pub async fn wait(&mut self, job: &JobId) -> anyhow::Result<u64> {
        let is_over = |progress: &Progress| progress.jobs.get(job).is_some_and(|status| status.state.is_final());
        let progress = self.published.wait_for(is_over).await?;
        Ok(progress.jobs[job].stages.iter().map(|stage| stage.ok).sum())
    }

    /// Lets everything end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.drain.cancel();
        self.worker.await??;
        self.manager.await??;
        Ok(())
    }
}

/// As `gridmill run` has it.
fn worker_config(scratch: &Path) -> WorkerConfig {
    WorkerConfig {
        worker: WorkerId::new("worker"),
        pool: "default".into(),
        slots: SLOTS,
        lease: Duration::from_secs(2),
        poll: Duration::from_secs(1),
        rest: Duration::ZERO,
        heartbeat: Duration::from_secs(1),
        patience: Duration::from_secs(60),
        scratch: scratch.to_owned(),
        seed: 7,
    }
}

//! A grid in memory, with workers of which one is slow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use grid_core::ids::WorkerId;
use grid_worker::runner::{ItemRan, Runner, Spool, Stop, TaskRan, TaskRun};
use grid_worker::{Worker, WorkerConfig};
use infra::Grid;
use job_manager::{ManagerConfig, Progress, SubmitRequest};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::{Job, SLOWNESS, WORKERS};

/// How a job went.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// From its submission to its end.
    pub took: Duration,
    /// Copies, and those of them that committed first.
    pub started: u64,
    pub won: u64,
    /// Items that were executed to their end.
    pub executed: u32,
}

/// Items sleep.
#[derive(Debug)]
struct Sleeper {
    item: Duration,
    executed: Arc<AtomicU32>,
}

#[async_trait]
impl Runner for Sleeper {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let (began, mut items) = (Instant::now(), Vec::new());
        for _ in 0..task.message.count {
            let is_run = !task.stop.drain.is_cancelled()
                && tokio::select! {
                    biased;
                    () = task.stop.kill.cancelled() => false,
                    () = sleep(self.item) => true,
                };
            if is_run {
                task.progress.item_ended();
                self.executed.fetch_add(1, Ordering::Relaxed);
            }
            items.push(if is_run { ItemRan::Ok { stdout: (0, 0), files: Vec::new() } } else { ItemRan::Unrun });
        }
        TaskRan { busy: began.elapsed(), items, pack: Spool::Memory(Vec::new()), log: Vec::new() }
    }

    fn wants_scratch(&self) -> bool {
        false
    }

    async fn shutdown(&self) {}
}

/// Runs a job, on a runtime and a clock of its own.
pub fn run(job: Job, with_copies: bool) -> anyhow::Result<Ran> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(on_fleet(job, with_copies))
}

async fn on_fleet(job: Job, with_copies: bool) -> anyhow::Result<Ran> {
    let (grid, stop, executed) = (infra::memory::grid(), Stop::default(), Arc::new(AtomicU32::new(0)));
    let (publish, mut published) = watch::channel(Progress::default());
    let usual = ManagerConfig::across_machines();
    let config = ManagerConfig { copy_after: usual.copy_after.filter(|_| with_copies), ..usual };
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let slowness = if number == 0 { SLOWNESS } else { 1 };
        let item = Duration::from_millis(job.item_ms) * slowness;
        let runner = Arc::new(Sleeper { item, executed: executed.clone() });
        workers.spawn(Worker::new(grid.for_worker(), runner, worker(number, job.slots)).run(stop.clone()));
    }
    let manager = tokio::spawn(job_manager::lead(grid.clone(), config, publish, stop.drain.clone()));
    // All are known before there is anything to do.
    sleep(Duration::from_secs(60)).await;
    let began = Instant::now();
    let id = submit(&grid, job.items).await?;
    let is_over = |progress: &Progress| progress.jobs.get(&id).is_some_and(|status| status.state.is_final());
    published.wait_for(is_over).await?;
    let took = began.elapsed();
    let receipt = job_manager::view::receipt(&grid, &id).await?.context("a job that has ended has a receipt")?;
    let copies = receipt.stages[0].copies;
    stop.drain.cancel();
    stop.kill.cancel();
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    manager.await??;
    let (started, won) = copies.map_or((0, 0), |copies| (copies.started, copies.won));
    Ok(Ran { took, started, won, executed: executed.load(Ordering::Relaxed) })
}

async fn submit(grid: &Grid, items: u32) -> anyhow::Result<grid_core::ids::JobId> {
    let text = format!("name: even\nstages:\n  work: {{range: 1..{items}, run: [\"true\"]}}\n");
    let pipeline = grid_core::pipeline::parse(&text, "pipeline.yaml")?;
    let (params, inputs, lists, programs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let request = SubmitRequest { pipeline, params, inputs, lists, workdir: "/".into(), programs };
    Ok(job_manager::submit(grid, request).await?.job().clone())
}

/// As `grid-worker` has it.
fn worker(number: u32, slots: u32) -> WorkerConfig {
    WorkerConfig {
        worker: WorkerId::new(format!("worker-{number}")),
        pool: "default".into(),
        slots,
        lease: Duration::from_secs(60),
        poll: Duration::from_secs(20),
        rest: Duration::from_millis(1_500),
        heartbeat: Duration::from_secs(20),
        patience: Duration::from_secs(600),
        scratch: PathBuf::new(),
        seed: number.into(),
    }
}

//! A task outside of the protocol: for people who look at one item. Nothing is leased, committed or reported.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::ids::WorkerId;
use grid_core::wire::TaskMessage;
use infra::grid::WorkerGrid;

use crate::config::WorkerConfig;
use crate::context::{Context, Hindrance};
use crate::programs::{self, Unready};
use crate::runner::{Runner, Stop, TaskProgress, TaskRan, TaskRun};
use crate::{WorkerError, jobs, stage_in};

/// How long a store that cannot be reached is waited for: somebody sits in front of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an item cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// What it needs is not there, or makes no sense.
    #[error("the item cannot be made ready: {0}")]
    NotReady(String),
    /// A back end refuses.
    #[error(transparent)]
    BackEnd(WorkerError),
}

/// Gets everything ready that the items of `message` need, below the folder `scratch`, which the caller removes.
pub async fn stage_task(grid: WorkerGrid, message: TaskMessage, scratch: PathBuf) -> Result<TaskRun, ReplayError> {
    let stop = Stop::default();
    let config = WorkerConfig {
        worker: WorkerId::new("replay"),
        pool: String::new(),
        slots: 1,
        lease: PATIENCE,
        poll: PATIENCE,
        rest: Duration::ZERO,
        heartbeat: PATIENCE,
        patience: PATIENCE,
        scratch: scratch.clone(),
        seed: 0,
    };
    let context = Arc::new(Context::new(grid, Arc::new(NoRunner), config, &stop));
    let job = jobs::load(&context, &message.job).await.map_err(refused)?;
    let stage = job.stage(&message.stage).map_err(refused)?.clone();
    let ready = programs::ready(&context, &job.submission).await.map_err(|unready| match unready {
        Unready::Failed(failure) => ReplayError::NotReady(failure.message),
        Unready::Hindered(hindrance) => refused(hindrance),
    })?;
    let staged = stage_in::stage_in(&context, &job, &stage, &message).await.map_err(refused)?;
    Ok(TaskRun {
        submission: ready.keep(),
        stage,
        message,
        keys: staged.keys,
        inputs: staged.inputs,
        scratch,
        stop,
        progress: Arc::new(TaskProgress::default()),
        checkpoints: None,
    })
}

fn refused(hindrance: Hindrance) -> ReplayError {
    match hindrance {
        Hindrance::GiveBack(why) => ReplayError::NotReady(why),
        Hindrance::Fatal(error) => ReplayError::BackEnd(error),
    }
}

/// Nothing is executed through this context.
#[derive(Debug)]
struct NoRunner;

#[async_trait]
impl Runner for NoRunner {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let unrun = || crate::runner::ItemRan::Unrun;
        TaskRan {
            busy: Duration::ZERO,
            items: (0..task.message.count).map(|_| unrun()).collect(),
            pack: crate::runner::Spool::Memory(Vec::new()),
            log: Vec::new(),
        }
    }

    async fn shutdown(&self) {}
}

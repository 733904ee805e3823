//! Manager and worker side by side in this process, until the job is final or the user has had enough.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{JobId, WorkerId};
use grid_worker::process::{ProcessConfig, ProcessRunner};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig, WorkerError};
use job_manager::{ManagerConfig, ManagerError, Progress};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Run;
use crate::exit::{Fault, Outcome};
use crate::progress::Display;
use crate::signals::Interrupts;

/// A task whose worker is silent for so long is given to another one: there is none, but a lease that was forgotten
/// should not keep the job waiting.
const LEASE: Duration = Duration::from_secs(2);

/// Between two signs of life of the worker; the manager takes it for dead after six seconds without one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a back end may fail before a task is given back; here it is a folder on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the work came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The job is final.
    Final,
    /// The user said so.
    Interrupted,
}

/// The parts of the grid while they work.
struct Parts {
    manager: JoinHandle<Result<(), ManagerError>>,
    worker: JoinHandle<Result<(), WorkerError>>,
    display: Display,
    shown: JoinHandle<()>,
    manager_stop: CancellationToken,
    worker_stop: Stop,
    published: watch::Receiver<Progress>,
}

/// What happens while a job runs.
enum Event {
    Final,
    Interrupted,
    ManagerEnded(Outcome<()>),
    WorkerEnded(Outcome<()>),
}

/// Works until the job is final. The first interrupt lets what runs finish, the second ends it.
pub async fn work(run: &Run<'_>, job: &JobId, interrupts: &mut Interrupts) -> Outcome<Ended> {
    let mut parts = Parts::start(run, job)?;
    let mut ended = Ended::Final;
    let fault = loop {
        match parts.next(job, interrupts).await {
            Event::Final => {
                ended = Ended::Final;
                break None;
            }
            Event::Interrupted if parts.worker_stop.drain.is_cancelled() => {
                parts.display.say("killing what still runs");
                parts.worker_stop.kill.cancel();
            }
            Event::Interrupted => {
                parts.display.say("finishing what runs; interrupt again to kill it");
                ended = Ended::Interrupted;
                parts.worker_stop.drain.cancel();
            }
            Event::WorkerEnded(Ok(())) => break None,
            Event::ManagerEnded(Ok(())) => {
                break Some(Fault::failed(anyhow::anyhow!("the job manager stopped before the job was done")));
            }
            Event::WorkerEnded(Err(fault)) | Event::ManagerEnded(Err(fault)) => break Some(fault),
        }
    };
    let stopped = parts.stop(job, interrupts).await;
    match (fault, stopped) {
        (Some(fault), _) => Err(fault),
        (None, Err(fault)) if ended == Ended::Interrupted => Err(fault),
        (None, Ok(true)) => Ok(Ended::Final),
        (None, Ok(false) | Err(_)) => Ok(ended),
    }
}

impl Parts {
    fn start(run: &Run<'_>, job: &JobId) -> Outcome<Self> {
        let (publish, published) = watch::channel(Progress::default());
        let (manager_stop, worker_stop) = (CancellationToken::new(), Stop::default());
        // A job that was left unfinished is gone on with when somebody asks for it, not beside another one.
        let usd_per_slot_hour = run.args.usd_per_slot_hour.unwrap_or_default();
        let config = ManagerConfig { only: Some(job.clone()), usd_per_slot_hour, ..ManagerConfig::default() };
        let manager = job_manager::lead(run.grid.clone(), config, publish, manager_stop.clone());
        let worker = worker(run)?;
        let display = Display::new(run.console);
        Ok(Self {
            manager: tokio::spawn(manager),
            worker: tokio::spawn(worker.run(worker_stop.clone())),
            shown: tokio::spawn(display.clone().show(job.clone(), published.clone())),
            display,
            manager_stop,
            worker_stop,
            published,
        })
    }

    async fn next(&mut self, job: &JobId, interrupts: &mut Interrupts) -> Event {
        tokio::select! {
            () = final_state(&mut self.published, job) => Event::Final,
            () = interrupts.next() => Event::Interrupted,
            ended = &mut self.manager => Event::ManagerEnded(manager_outcome(ended)),
            ended = &mut self.worker => Event::WorkerEnded(worker_outcome(ended)),
        }
    }

    /// Lets the worker hand back what it holds, then the manager take in what was committed; whether the job is final.
    async fn stop(mut self, job: &JobId, interrupts: &mut Interrupts) -> Outcome<bool> {
        self.worker_stop.drain.cancel();
        if !self.worker.is_finished() {
            let kill = self.worker_stop.kill.clone();
            let worker = tokio::select! {
                ended = &mut self.worker => Some(ended),
                () = interrupts.next() => None,
            };
            match worker {
                Some(ended) => worker_outcome(ended)?,
                None => {
                    kill.cancel();
                    worker_outcome((&mut self.worker).await)?;
                }
            }
        }
        self.manager_stop.cancel();
        let manager = if self.manager.is_finished() { Ok(()) } else { manager_outcome((&mut self.manager).await) };
        let is_final = is_final(&self.published.borrow(), job);
        // It ends when the manager has gone.
        let _ = self.shown.await;
        manager.map(|()| is_final)
    }
}

/// The worker of this process.
fn worker(run: &Run<'_>) -> Outcome<Worker> {
    let started = |error| Fault::back_end(error).while_doing("failed to start a worker");
    let runner = ProcessRunner::new(ProcessConfig { base_env: std::env::vars_os().collect() }).map_err(started)?;
    runner.start_guard(std::env::current_exe().map_err(started)?, vec!["guard".to_owned()]);
    let scratch = run.state.scratch().join("worker");
    std::fs::create_dir_all(&scratch).map_err(started)?;
    let life = Uuid::now_v7();
    let config = WorkerConfig {
        worker: WorkerId::new(life.to_string()),
        slots: slots(run),
        scratch,
        seed: life.as_u64_pair().1,
        pool: "default".to_owned(),
        lease: LEASE,
        poll: LEASE / 2,
        rest: Duration::ZERO,
        heartbeat: HEARTBEAT,
        patience: PATIENCE,
    };
    Ok(Worker::new(run.grid.for_worker(), Arc::new(runner), config))
}

/// One slot a core, unless the user says otherwise.
fn slots(run: &Run<'_>) -> u32 {
    run.args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get) as u32)
}

async fn final_state(published: &mut watch::Receiver<Progress>, job: &JobId) {
    if published.wait_for(|progress| is_final(progress, job)).await.is_err() {
        // The manager has gone; its end says why.
        std::future::pending::<()>().await;
    }
}

fn is_final(progress: &Progress, job: &JobId) -> bool {
    progress.jobs.get(job).is_some_and(|status| status.state.is_final())
}

fn manager_outcome(ended: Result<Result<(), ManagerError>, tokio::task::JoinError>) -> Outcome<()> {
    ended.map_err(broken)?.map_err(Fault::from)
}

fn worker_outcome(ended: Result<Result<(), WorkerError>, tokio::task::JoinError>) -> Outcome<()> {
    ended.map_err(broken)?.map_err(Fault::from)
}

fn broken(error: tokio::task::JoinError) -> Fault {
    Fault::failed(error).while_doing("a part of gridmill broke").help("the state is kept: run the same command again")
}

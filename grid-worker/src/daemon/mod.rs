//! A worker as a process: settings, the grid, signals, the log, and how it ends.

mod environment;
mod instance;
mod machine;
pub mod metadata;
mod scratch;
pub mod settings;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use grid_core::ids::{MachineId, WorkerId};
use grid_core::random::Random;
use grid_worker::process::{ProcessConfig, ProcessRunner};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig, WorkerError};
use infra::aws::WorkerSettings;
use infra::aws::check::{Role, write_check};
use infra::grid::WorkerGrid;
use tokio::time::sleep;
use uuid::Uuid;

use self::machine::Machine;
use self::scratch::Scratch;
use self::settings::Settings;
use self::signals::Signals;

/// How long a receive waits for a first message: the most that SQS allows.
const POLL: Duration = Duration::from_secs(20);

/// With it an idle worker makes 2.8 receives a minute, and 0.2 heartbeats.
const REST: Duration = Duration::from_millis(1_500);

/// How long a store that cannot be reached is waited for before a task is given back.
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest wait between two tries to open the grid.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a worker ends before it is told to.
enum Fault {
    /// A setting is wrong.
    Usage(anyhow::Error),
    /// The grid refuses it.
    BackEnd(anyhow::Error),
    /// It can work no more.
    Broken(anyhow::Error),
    /// Nobody looks after it.
    Orphaned(anyhow::Error),
}

/// Runs a worker until it is told to stop.
pub fn start(settings: Settings) -> ExitCode {
    if let Err(error) = settings.log.start() {
        eprintln!("error: {error:#}");
        return ExitCode::from(2);
    }
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Broken(error.into()))
        .and_then(|runtime| runtime.block_on(Box::pin(run(settings))));
    let (status, error) = match ended {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Fault::Broken(error)) => (1, error),
        Err(Fault::Usage(error)) => (2, error),
        Err(Fault::BackEnd(error)) => (5, error),
        Err(Fault::Orphaned(error)) => (6, error),
    };
    tracing::error!("{error:#}");
    ExitCode::from(status)
}

/// Looks at what a worker needs, and says what is wrong.
pub fn check(settings: &Settings) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut out = std::io::stdout();
    let checked = runtime.block_on(write_check(Role::Worker, |name| settings.place(name), &mut out));
    checked.map_or(ExitCode::FAILURE, ExitCode::from)
}

async fn run(settings: Settings) -> Result<(), Fault> {
    environment::hide().context("failed to hide from the commands").map_err(Fault::Broken)?;
    let grid = settings.grid().map_err(|error| Fault::Usage(error.into()))?;
    let stop = Stop::default();
    let signals = Signals::listen().context("failed to listen for signals").map_err(Fault::Broken)?;
    let obeying = tokio::spawn(signals.obey(stop.clone(), settings.drain()));
    let machine = Machine::find(&settings, &stop).await.map_err(Fault::BackEnd)?;
    let named = machine.as_ref().map(|machine| machine.id.clone()).or(settings.machine.as_ref().map(MachineId::new));
    let life = Uuid::now_v7();
    let ended = match open(&grid, &stop, life).await? {
        Some(grid) => work(grid, &settings, named, life, stop).await,
        None => Ok(()),
    };
    obeying.abort();
    if let Some(machine) = machine {
        machine.leave().await;
    }
    ended
}

/// Opens the grid, however long that takes; nothing when somebody says stop before.
async fn open(settings: &WorkerSettings, stop: &Stop, life: Uuid) -> Result<Option<WorkerGrid>, Fault> {
    let mut random = Random::from_seed(life.as_u64_pair().1);
    let mut wait = Duration::from_secs(1);
    loop {
        let opened = tokio::select! {
            () = stop.drain.cancelled() => return Ok(None),
            opened = infra::aws::open_worker(settings) => opened,
        };
        match opened {
            Ok(grid) => return Ok(Some(grid)),
            Err(error) if error.is_transient() => {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "the grid cannot be reached; goes on trying"
                );
            }
            Err(error) => return Err(Fault::BackEnd(anyhow::Error::from(error).context("failed to open the grid"))),
        }
        tokio::select! {
            () = stop.drain.cancelled() => return Ok(None),
            () = sleep(wait.mul_f64(0.5 + random.unit() / 2.0)) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn work(
    grid: WorkerGrid,
    settings: &Settings,
    machine: Option<MachineId>,
    life: Uuid,
    stop: Stop,
) -> Result<(), Fault> {
    let scratch = Scratch::make(&settings.scratch(), &life.to_string())
        .with_context(|| format!("failed to make a scratch folder in {}", settings.scratch().display()))
        .map_err(Fault::Usage)?;
    let runner = runner(settings).map_err(Fault::Broken)?;
    let config = config(settings, life, &scratch);
    tracing::info!(worker = %life, pool = config.pool, slots = config.slots, "working");
    let mut worker = Worker::new(grid, Arc::new(runner), config);
    if let Some(machine) = machine {
        worker = worker.on(machine);
    }
    if let Some(after) = settings.orphan() {
        worker = worker.unless_orphaned(after);
    }
    if settings.with_stdin {
        drain_with_stdin(stop.clone());
    }
    let ended = worker.run(stop).await;
    drop(scratch);
    ended.map_err(|error| match error {
        WorkerError::Orphaned { .. } => Fault::Orphaned(error.into()),
        error => Fault::Broken(error.into()),
    })?;
    tracing::info!(worker = %life, "everything in hand is finished or given back");
    Ok(())
}

/// A thread of its own, since a read of standard input cannot be given up; it ends with the process.
fn drain_with_stdin(stop: Stop) {
    std::thread::spawn(move || {
        _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::info!("whoever started this worker has gone: draining");
        stop.drain.cancel();
    });
}

fn runner(settings: &Settings) -> anyhow::Result<ProcessRunner> {
    let base_env = environment::for_commands(std::env::vars_os(), &settings.pass_env);
    let runner = ProcessRunner::new(ProcessConfig { base_env }).context("failed to take charge of processes")?;
    let executable = std::env::current_exe().context("failed to find this program")?;
    runner.start_guard(executable, vec!["guard".to_owned()]);
    Ok(runner)
}

fn config(settings: &Settings, life: Uuid, scratch: &Scratch) -> WorkerConfig {
    WorkerConfig {
        worker: WorkerId::new(life.to_string()),
        pool: settings.pool.clone(),
        slots: settings.slots(),
        lease: settings.lease(),
        poll: POLL,
        rest: REST,
        heartbeat: settings.heartbeat(),
        patience: PATIENCE,
        scratch: scratch.tasks(),
        seed: life.as_u64_pair().1,
    }
}

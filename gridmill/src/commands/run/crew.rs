//! The workers of a run: one with a fixed number of slots, or as many with one slot each as the work is worth, by the law that
//! looks after machines (`grid_core::scale`).

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::{GroupName, MachineId, WorkerId};
use grid_core::pipeline::DEFAULT_POOL;
use grid_core::scale::{Group, Params};
use grid_worker::process::{ProcessConfig, ProcessRunner};
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig, WorkerError};
use infra::Grid;
use infra::fleet::{LocalFleet, Over, Task};
use job_manager::fleet::FleetConfig;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

use super::Run;
use crate::cli::Workers;
use crate::exit::{Fault, Outcome};

/// A task whose worker is silent for so long is given to another one: there is none, but a lease that was forgotten
/// should not keep the job waiting.
const LEASE: Duration = Duration::from_secs(2);

/// Between two signs of life of a worker; the manager takes it for dead after six seconds without one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a back end may fail before a task is given back; here it is a folder on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two decisions about the number of workers.
const TICK: Duration = Duration::from_millis(500);

/// A worker of this process is there at once.
const BOOT: Duration = Duration::from_millis(500);

/// Times as long as that an idle one stays: what starts slowly is what it serves (setups, co-processes).
const IDLE_BOOTS: f64 = 10.0;

/// They cost nothing, so that every hour saved is worth more than any number of them.
const USD_PER_HOUR_SAVED: f64 = 1e6;

/// The workers, while they work.
pub struct Crew {
    hands: Hands,
    stop: Stop,
}

enum Hands {
    One(JoinHandle<Result<(), WorkerError>>),
    Fleet { lives: TaskTracker, faults: mpsc::Receiver<WorkerError> },
}

/// How a worker is made.
#[derive(Clone)]
struct Maker {
    grid: Grid,
    scratch: PathBuf,
}

impl Crew {
    /// Starts them, and where their number follows the work, the fleet that the manager is to look after.
    pub fn start(run: &Run<'_>, stop: Stop) -> Outcome<(Self, Option<FleetConfig>)> {
        let maker = Maker { grid: run.grid.clone(), scratch: run.state.scratch().join("worker") };
        std::fs::create_dir_all(&maker.scratch).map_err(not_started)?;
        match run.args.workers {
            Some(Workers::Between(least, most)) => Ok(Self::fleet(run, maker, stop, least, most)),
            Some(Workers::Fixed(slots)) => Self::one(&maker, stop, slots),
            None => {
                let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
                Self::one(&maker, stop, u32::try_from(cores).unwrap_or(1))
            }
        }
    }

    fn one(maker: &Maker, stop: Stop, slots: u32) -> Outcome<(Self, Option<FleetConfig>)> {
        let worker = maker.worker(slots).map_err(not_started)?;
        Ok((Self { hands: Hands::One(tokio::spawn(worker.run(stop.clone()))), stop }, None))
    }

    fn fleet(run: &Run<'_>, maker: Maker, stop: Stop, least: u32, most: u32) -> (Self, Option<FleetConfig>) {
        let (lives, (tell, faults)) = (TaskTracker::new(), mpsc::channel(1));
        let group = GroupName::new("workers");
        let fleet = {
            let (lives, stop) = (lives.clone(), stop.clone());
            LocalFleet::new(group.clone(), run.grid.clock.clone(), move |machine: &MachineId| {
                if stop.drain.is_cancelled() {
                    // Not an error: a launch that fails would be remembered in the state folder.
                    let life = lives.spawn(async { Over::Well });
                    return Ok(Task { ended: AbortOnDropHandle::new(life), drain: stop.drain.clone() });
                }
                let worker = maker.worker(1)?.on(machine.clone());
                let own = Stop { drain: stop.drain.child_token(), kill: stop.kill.child_token() };
                let (drain, tell) = (own.drain.clone(), tell.clone());
                let life = lives.spawn(async move {
                    match worker.run(own).await {
                        Ok(()) => Over::Well,
                        Err(error) => {
                            // Where it is full the run ends by another one's fault.
                            let _ = tell.try_send(error);
                            Over::Badly
                        }
                    }
                });
                Ok(Task { ended: AbortOnDropHandle::new(life), drain })
            })
        };
        let params = Params {
            slots: 1,
            min_machines: least,
            max_machines: most,
            groups: vec![Group { name: group, usd_per_hour: 1e-3, taken_per_hour: 0.0 }],
            drain_target: None,
            usd_per_hour_saved: USD_PER_HOUR_SAVED,
            boot: BOOT,
            slack: HEARTBEAT,
            idle_boots: IDLE_BOOTS,
            ..Params::default()
        };
        let config = FleetConfig {
            fleet: Arc::new(fleet),
            pool: DEFAULT_POOL.into(),
            params,
            tick: TICK,
            events: None,
            outlives_manager: false,
        };
        (Self { hands: Hands::Fleet { lives, faults }, stop }, Some(config))
    }

    /// Waits for the end: of all of them once they are to drain, or by a fault before. Once it has come it is not asked again.
    pub async fn ended(&mut self) -> Outcome<()> {
        match &mut self.hands {
            Hands::One(worker) => outcome(worker.await),
            Hands::Fleet { lives, faults } => {
                let all = async {
                    self.stop.drain.cancelled().await;
                    lives.close();
                    lives.wait().await;
                };
                tokio::select! {
                    biased;
                    Some(error) = faults.recv() => Err(Fault::from(error)),
                    () = all => Ok(()),
                }
            }
        }
    }
}

impl Maker {
    fn worker(&self, slots: u32) -> std::io::Result<Worker> {
        let runner = ProcessRunner::new(ProcessConfig { base_env: std::env::vars_os().collect() })?;
        runner.start_guard(std::env::current_exe()?, vec!["guard".to_owned()]);
        let life = Uuid::now_v7();
        let config = WorkerConfig {
            worker: WorkerId::new(life.to_string()),
            slots,
            scratch: self.scratch.clone(),
            seed: life.as_u64_pair().1,
            pool: DEFAULT_POOL.to_owned(),
            lease: LEASE,
            poll: LEASE / 2,
            rest: Duration::ZERO,
            heartbeat: HEARTBEAT,
            patience: PATIENCE,
        };
        Ok(Worker::new(self.grid.for_worker(), Arc::new(runner), config))
    }
}

fn not_started(error: std::io::Error) -> Fault {
    Fault::back_end(error).while_doing("failed to start a worker")
}

fn outcome(ended: Result<Result<(), WorkerError>, JoinError>) -> Outcome<()> {
    ended.map_err(super::grid::broken)?.map_err(Fault::from)
}

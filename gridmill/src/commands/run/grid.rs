//! Manager and workers side by side in this process, until the job is final or the user has had enough.

use std::sync::Arc;

use grid_core::ids::JobId;
use grid_core::price::PriceList;
use grid_worker::runner::Stop;
use job_manager::{ManagerConfig, ManagerError, Progress};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Run;
use super::crew::Crew;
use crate::exit::{Fault, Outcome};
use crate::progress::Display;
use crate::signals::Interrupts;

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
    crew: Crew,
    /// The end of the crew, once it has come.
    crew_ended: bool,
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
    CrewEnded(Outcome<()>),
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
            Event::CrewEnded(Ok(())) => break None,
            Event::ManagerEnded(Ok(())) => {
                break Some(Fault::failed(anyhow::anyhow!("the job manager stopped before the job was done")));
            }
            Event::CrewEnded(Err(fault)) | Event::ManagerEnded(Err(fault)) => break Some(fault),
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
        let prices = Arc::new(PriceList::us_east_1().with_slot_hour(run.args.usd_per_slot_hour));
        let (crew, fleet) = Crew::start(run, worker_stop.clone())?;
        let config = ManagerConfig {
            only: Some(job.clone()),
            prices,
            fleet,
            // All slots are on this machine: what is slow here is slow in every one of them.
            copy_after: None,
            ..ManagerConfig::default()
        };
        let manager = job_manager::lead(run.grid.clone(), config, publish, manager_stop.clone());
        let display = Display::new(run.console);
        Ok(Self {
            manager: tokio::spawn(manager),
            crew,
            crew_ended: false,
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
            ended = self.crew.ended() => {
                self.crew_ended = true;
                Event::CrewEnded(ended)
            }
        }
    }

    /// Lets the workers hand back what they hold, then the manager take in what was committed; whether the job is final.
    async fn stop(mut self, job: &JobId, interrupts: &mut Interrupts) -> Outcome<bool> {
        self.worker_stop.drain.cancel();
        if !self.crew_ended {
            let kill = self.worker_stop.kill.clone();
            let crew = tokio::select! {
                ended = self.crew.ended() => Some(ended),
                () = interrupts.next() => None,
            };
            match crew {
                Some(ended) => ended?,
                None => {
                    kill.cancel();
                    self.crew.ended().await?;
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

/// What is said of a part that panicked.
pub(super) fn broken(error: tokio::task::JoinError) -> Fault {
    Fault::failed(error).while_doing("a part of gridmill broke").help("the state is kept: run the same command again")
}

//! `gridmill run`: the whole grid in this process, until the job has ended. A pilot is the same for a while.

mod crew;
mod finish;
mod grid;
mod submit;

use std::path::Path;
use std::time::Duration;

use grid_api::JobState;
use grid_core::ids::JobId;
use infra::Grid;
use infra::embedded::StateDir;
use job_manager::Submitted;

use crate::cli::RunArgs;
use crate::console::Console;
use crate::deliver::OutFolder;
use crate::exit::{Exit, Outcome};
use crate::load::{self, Loaded};
use crate::signals::Interrupts;
use crate::{local, logfile};

/// What a run has in hand.
struct Run<'a> {
    args: &'a RunArgs,
    console: Console,
    state: &'a StateDir,
    grid: Grid,
}

/// A job that was handed over.
enum Begun {
    /// It had ended before.
    Finished(JobId),
    /// There is something to do.
    UnderWay(JobId),
}

/// Runs a pipeline. What can be wrong is found out before the work begins.
pub fn run(args: &RunArgs, console: Console) -> Outcome {
    let loaded = load::load(&args.pipeline, console)?;
    let out = OutFolder::open(&args.out)?;
    with_grid(args, console, async |run| run.through(loaded, &out).await)
}

/// Runs a pipeline for so long, and lets finish what runs then; `None` when the user did not let it begin. `run` goes on with
/// the job.
pub fn pilot(args: &RunArgs, time: Duration, console: Console) -> Outcome<Option<JobId>> {
    let loaded = load::load(&args.pipeline, console)?;
    with_grid(args, console, async |run| run.for_a_while(loaded, time).await)
}

/// Opens the state folder, and does something with the grid in it.
fn with_grid<T>(args: &RunArgs, console: Console, work: impl AsyncFnOnce(Run<'_>) -> Outcome<T>) -> Outcome<T> {
    let runtime = local::runtime()?;
    let (state, grid) = runtime.block_on(async { StateDir::open(&args.state.state) })?;
    logfile::start(state.path())?;
    let outcome = runtime.block_on(work(Run { args, console, state: &state, grid }));
    // Nothing that matters is left in its threads, and a read from standard input may never return.
    runtime.shutdown_background();
    outcome
}

impl Run<'_> {
    async fn through(self, loaded: Loaded, out: &OutFolder) -> Outcome {
        let mut interrupts = Interrupts::listen()?;
        let job = match self.begin(loaded, &mut interrupts).await? {
            None => return Ok(Exit::Interrupted),
            Some(Begun::Finished(job)) => return self.finish(&job, out, &mut interrupts).await,
            Some(Begun::UnderWay(job)) => job,
        };
        match grid::work(&self, &job, &mut interrupts).await? {
            grid::Ended::Final => self.finish(&job, out, &mut interrupts).await,
            grid::Ended::Interrupted => {
                self.console.say(kept(self.state.path()));
                Ok(Exit::Interrupted)
            }
        }
    }

    async fn for_a_while(self, loaded: Loaded, time: Duration) -> Outcome<Option<JobId>> {
        let mut interrupts = Interrupts::listen()?;
        let job = match self.begin(loaded, &mut interrupts).await? {
            None => return Ok(None),
            Some(Begun::Finished(job)) => job,
            Some(Begun::UnderWay(job)) => {
                interrupts.ring_after(time);
                grid::work(&self, &job, &mut interrupts).await?;
                job
            }
        };
        Ok(Some(job))
    }

    /// Hands the job over, unless the user has had enough before.
    async fn begin(&self, loaded: Loaded, interrupts: &mut Interrupts) -> Outcome<Option<Begun>> {
        let submitted = tokio::select! {
            submitted = submit::submit(self, loaded) => submitted?,
            () = interrupts.next() => {
                self.console.say("interrupted before the job was accepted: nothing has begun");
                return Ok(None);
            }
        };
        Ok(Some(match submitted {
            Submitted::Finished(job, state) => {
                self.console.say(already(&job, state));
                Begun::Finished(job)
            }
            Submitted::Resumed(job) => {
                self.console.say(format!("resuming job {job}: what is done is not done again"));
                Begun::UnderWay(job)
            }
            Submitted::New(job) => {
                self.console.say(format!("job {job}"));
                Begun::UnderWay(job)
            }
        }))
    }

    async fn finish(&self, job: &JobId, out: &OutFolder, interrupts: &mut Interrupts) -> Outcome {
        tokio::select! {
            finished = finish::finish(self, job, out) => finished,
            () = interrupts.next() => {
                self.console.say("interrupted while the outputs were delivered: run the same command again");
                Ok(Exit::Interrupted)
            }
        }
    }

    /// The state folder as the user named it.
    fn state_as_given(&self) -> &Path {
        &self.args.state.state
    }
}

fn already(job: &JobId, state: JobState) -> String {
    let words = crate::progress::words::state_words(state);
    format!("job {job} is the same submission and has {words} already: nothing is left to do")
}

fn kept(state: &Path) -> String {
    format!("interrupted: the state is kept in {}; run the same command again to resume", state.display())
}

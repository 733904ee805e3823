//! `gridmill run`: the whole grid in this process, until the job has ended.

mod crew;
mod finish;
mod grid;
mod submit;

use std::path::Path;

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
    out: OutFolder,
}

/// Runs a pipeline. What can be wrong is found out before the work begins.
pub fn run(args: &RunArgs, console: Console) -> Outcome {
    let loaded = load::load(&args.pipeline, console)?;
    let out = OutFolder::open(&args.out)?;
    let runtime = local::runtime()?;
    let (state, grid) = runtime.block_on(async { StateDir::open(&args.state.state) })?;
    logfile::start(state.path())?;
    let run = Run { args, console, state: &state, grid, out };
    let outcome = runtime.block_on(run.through(loaded));
    // Nothing that matters is left in its threads, and a read from standard input may never return.
    runtime.shutdown_background();
    outcome
}

impl Run<'_> {
    async fn through(self, loaded: Loaded) -> Outcome {
        let mut interrupts = Interrupts::listen()?;
        let submitted = tokio::select! {
            submitted = submit::submit(&self, loaded) => submitted?,
            () = interrupts.next() => {
                self.console.say("interrupted before the job was accepted: nothing has begun");
                return Ok(Exit::Interrupted);
            }
        };
        let job = match submitted {
            Submitted::Finished(job, state) => {
                self.console.say(already(&job, state));
                return self.finish(&job, &mut interrupts).await;
            }
            Submitted::Resumed(job) => {
                self.console.say(format!("resuming job {job}: what is done is not done again"));
                job
            }
            Submitted::New(job) => {
                self.console.say(format!("job {job}"));
                job
            }
        };
        match grid::work(&self, &job, &mut interrupts).await? {
            grid::Ended::Final => self.finish(&job, &mut interrupts).await,
            grid::Ended::Interrupted => {
                self.console.say(kept(self.state.path()));
                Ok(Exit::Interrupted)
            }
        }
    }

    async fn finish(&self, job: &JobId, interrupts: &mut Interrupts) -> Outcome {
        tokio::select! {
            finished = finish::finish(self, job) => finished,
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

//! Runs other people's programs: the [`Runner`] that starts a process an item (or a bundle, or a slot).
//!
//! A task is one blocking thread from beginning to end. Each process has its own group, is served by one `poll` loop, and
//! leaves nothing behind: its group is killed when it ends, daemons that left the group are found by a cookie in their
//! environment, and a guard process does the same when this one is killed. Linux only: it needs pidfds, subreapers
//! and `/proc`.
//!
//! What a command sees of its environment is in `environment`; what its end means, in `verdict`.

mod bundle;
mod checkpointed;
mod coprocess;
mod environment;
mod fault;
mod guard;
mod here;
mod input;
mod launch;
mod memory;
mod orphans;
mod outputs;
mod pack;
mod running;
mod serve;
mod setup;
mod stderr;
mod supervise;
mod switch;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod verdict;
mod want_of_memory;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use grid_core::ids::JobId;
use grid_core::pipeline::Stage;
use grid_core::reason::{Failure, Reason};
use grid_core::submission::Submission;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::guard::guard_main;
pub use self::here::run_here;

use self::coprocess::Pool;
use self::environment::Variables;
use self::guard::Guard;
use self::memory::MemoryWatch;
use self::orphans::Whose;
use self::setup::Setups;
use self::switch::Switch;
use crate::runner::{Runner, TaskRan, TaskRun};

/// What a [`ProcessRunner`] is told.
#[derive(Clone, Debug, Default)]
pub struct ProcessConfig {
    /// The environment that commands begin with: for `gridmill run` the user's own. Variables that begin with
    /// `GRIDMILL_` are left out.
    pub base_env: Vec<(OsString, OsString)>,
}

/// Executes items as processes of this machine.
#[derive(Debug)]
pub struct ProcessRunner {
    shared: Arc<Shared>,
}

/// What all tasks of a runner share.
#[derive(Debug)]
struct Shared {
    config: ProcessConfig,
    cookie: String,
    nonces: AtomicU64,
    memory: MemoryWatch,
    setups: Setups,
    coprocesses: Pool,
    guard: Guard,
}

impl ProcessRunner {
    /// A runner. From now on orphans among this process's descendants become its children.
    pub fn new(config: ProcessConfig) -> io::Result<Self> {
        orphans::become_subreaper()?;
        let shared = Shared {
            config,
            cookie: Uuid::now_v7().to_string(),
            nonces: AtomicU64::new(0),
            memory: MemoryWatch::new(),
            setups: Setups::default(),
            coprocesses: Pool::default(),
            guard: Guard::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What every process of this runner carries as `GRIDMILL_RUN`.
    pub fn cookie(&self) -> &str {
        &self.shared.cookie
    }

    /// Starts a process that ends what is left when this one is killed: `executable arguments.. COOKIE`, which must come
    /// down to [`guard_main`]. Returns at once. Without a guard only a `kill -9` of this process leaves anything behind.
    pub fn start_guard(&self, executable: PathBuf, arguments: Vec<String>) {
        self.shared.guard.start(executable, arguments, &self.shared.cookie);
    }
}

#[async_trait]
impl Runner for ProcessRunner {
    async fn run(&self, task: TaskRun) -> TaskRan {
        let (per, count) = (task.stage.per, task.message.count);
        let switch = match Switch::new() {
            Ok(switch) => Arc::new(switch),
            Err(error) => {
                return TaskRan::all_failed(per, count, fault::own("begin the task", &error.into()));
            }
        };
        let kill = task.stop.kill.child_token();
        let _stop_when_dropped = Stopper { switch: Arc::clone(&switch), kill: kill.clone() };
        let work = {
            let (shared, switch, kill) = (Arc::clone(&self.shared), Arc::clone(&switch), kill.clone());
            let handle = Handle::current();
            tokio::task::spawn_blocking(move || task::execute(&shared, task, &switch, kill, handle))
        };
        tokio::pin!(work);
        let ran = tokio::select! {
            ran = &mut work => ran,
            () = kill.cancelled() => {
                switch.stop();
                work.await
            }
        };
        ran.unwrap_or_else(|error| {
            let message = format!("the thread that executed the task failed: {error}");
            TaskRan::all_failed(per, count, Failure::new(Reason::Internal, message))
        })
    }

    fn forget(&self, job: &JobId) {
        self.shared.setups.forget(job);
    }

    async fn shutdown(&self) {
        let shared = Arc::clone(&self.shared);
        let ended = tokio::task::spawn_blocking(move || {
            shared.coprocesses.end_all();
            orphans::sweep(&shared.cookie, Whose::Runner);
            shared.guard.end();
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the runner did not shut down in order");
        }
    }
}

impl Shared {
    fn next_nonce(&self) -> String {
        self.nonces.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn stage_variables(&self, submission: &Submission, stage: &Stage) -> Result<Variables, Failure> {
        environment::of_stage(&self.config.base_env, &self.cookie, submission, stage)
    }
}

/// Ends a task whose caller has gone away.
struct Stopper {
    switch: Arc<Switch>,
    kill: CancellationToken,
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.kill.cancel();
        self.switch.stop();
    }
}

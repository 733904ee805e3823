//! The worker as a whole: its parts, and the order in which they end.

use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::MachineId;
use infra::grid::WorkerGrid;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::context::Context;
use crate::error::WorkerError;
use crate::report::{self, Settled};
use crate::runner::{Runner, Stop};
use crate::{gate, heartbeat, leases, orphan, pull, superseded, tombstones};

/// Executes the tasks of one pool until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    grid: WorkerGrid,
    runner: Arc<dyn Runner>,
    config: WorkerConfig,
    machine: Option<MachineId>,
    orphaned_after: Option<Duration>,
}

impl Worker {
    /// A worker on these back ends.
    pub fn new(grid: WorkerGrid, runner: Arc<dyn Runner>, config: WorkerConfig) -> Self {
        Self { grid, runner, config, machine: None, orphaned_after: None }
    }

    /// The same on a machine of a fleet: it says so, and takes no more tasks when it is ordered to.
    pub fn on(self, machine: MachineId) -> Self {
        Self { machine: Some(machine), ..self }
    }

    /// The same, which ends with [`WorkerError::Orphaned`] when for so long there was neither a task nor a sign of a manager.
    pub fn unless_orphaned(self, after: Duration) -> Self {
        Self { orphaned_after: Some(after), ..self }
    }

    /// Works until `stop` says otherwise, for ever if it does not: back ends that cannot be reached are waited for.
    ///
    /// With `drain` it takes no more tasks, finishes the items in hand, commits what is done and hands the rest back;
    /// with `kill` the items in hand are ended first. Everything that was committed has been reported when this
    /// returns, or will be when its message comes again. Dropping the future is like the death of the process.
    pub async fn run(self, stop: Stop) -> Result<(), WorkerError> {
        let mut context = Context::new(self.grid, self.runner, self.config, &stop);
        context.machine = self.machine.clone();
        let context = Arc::new(context);
        let leaves = CancellationToken::new();
        let mut keepers = JoinSet::new();
        keepers.spawn(leases::keep(context.clone()));
        keepers.spawn(tombstones::watch(context.clone()));
        keepers.spawn(superseded::watch(context.clone()));
        if let Some(machine) = self.machine {
            keepers.spawn(gate::watch(context.clone(), machine));
        }
        if let Some(after) = self.orphaned_after {
            keepers.spawn(orphan::watch(context.clone(), after));
        }
        let mut speakers = JoinSet::new();
        speakers.spawn(heartbeat::run(context.clone(), leaves.clone()));

        let (settled, to_report) = mpsc::channel::<Settled>(context.config.slots.max(1) as usize);
        let mut reporters = JoinSet::new();
        reporters.spawn(report::run(context.clone(), to_report));

        pull::run(context.clone(), settled).await;
        leaves.cancel();
        finish(&context, reporters, "reports").await;
        finish(&context, speakers, "the last heartbeat").await;
        context.runner.shutdown().await;
        context.programs.clear();
        keepers.shutdown().await;
        context.take_fault().map_or(Ok(()), Err)
    }
}

/// Waits for a part to end, for as long as a lease lasts: what it could not send by then is found out by others.
async fn finish(context: &Context, mut part: JoinSet<()>, what: &str) {
    match tokio::time::timeout(context.config.lease, part.join_next()).await {
        Ok(Some(Err(error))) => tracing::error!(%error, what, "ended by a fault of gridmill's own"),
        Ok(Some(Ok(())) | None) => {}
        Err(_) => {
            tracing::warn!(what, "not all was sent: it is made good when the messages come again");
            part.shutdown().await;
        }
    }
}

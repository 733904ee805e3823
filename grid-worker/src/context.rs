//! What all parts of a worker share, and how they bear with back ends that fail.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grid_core::ids::MachineId;
use grid_core::wire::TaskMessage;
use infra::grid::WorkerGrid;
use infra::outputs::OutputReader;
use infra::plan::PlanReader;
use infra::queue::Receipt;
use infra::requests::Meter;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::dice::Dice;
use crate::error::WorkerError;
use crate::gate::Gate;
use crate::heartbeat::Pulse;
use crate::in_hand::InHand;
use crate::jobs::Jobs;
use crate::limits::GIVE_BACK_DELAY;
use crate::patience::Patience;
use crate::programs::Programs;
use crate::runner::{Runner, Stop};
use crate::tombstones::Tombstones;

/// What all parts of a worker share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) grid: WorkerGrid,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) config: WorkerConfig,
    pub(crate) dice: Arc<Dice>,
    pub(crate) patience: Patience,
    pub(crate) jobs: Jobs,
    pub(crate) outputs: OutputReader,
    pub(crate) plans: PlanReader,
    pub(crate) tombstones: Tombstones,
    pub(crate) programs: Programs,
    pub(crate) in_hand: Arc<InHand>,
    pub(crate) pulse: Pulse,
    /// What was asked of services and not told yet.
    pub(crate) meter: Meter,
    pub(crate) gate: Gate,
    /// The machine of a fleet that this worker lives on.
    pub(crate) machine: Option<MachineId>,
    /// When the worker stops: by its owner's wish, or by a fault.
    pub(crate) stop: Stop,
    fault: Mutex<Option<WorkerError>>,
}

/// Why a task ends here without a manifest.
#[derive(Debug)]
pub(crate) enum Hindrance {
    /// Another worker, or a later time, may have better luck.
    GiveBack(String),
    /// This worker cannot work at all.
    Fatal(WorkerError),
}

impl Context {
    pub(crate) fn new(grid: WorkerGrid, runner: Arc<dyn Runner>, config: WorkerConfig, stop: &Stop) -> Self {
        let dice = Arc::new(Dice::new(config.seed, &config.worker));
        Self {
            patience: Patience { dice: dice.clone(), longest: config.patience },
            dice,
            jobs: Jobs::default(),
            outputs: OutputReader::new(grid.objects.clone()),
            plans: PlanReader::new(grid.objects.clone()),
            tombstones: Tombstones::new(config.lease / 3),
            programs: Programs::default(),
            in_hand: Arc::default(),
            pulse: Pulse::default(),
            meter: Meter::new(grid.requests.clone()),
            gate: Gate::default(),
            machine: None,
            stop: Stop { drain: stop.drain.child_token(), kill: stop.kill.child_token() },
            fault: Mutex::default(),
            grid,
            runner,
            config,
        }
    }

    /// Ends the worker with an error, the first one if there are several.
    pub(crate) fn fail(&self, error: WorkerError) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.drain.cancel();
        self.stop.kill.cancel();
    }

    /// Has the worker drain, and end with an error.
    pub(crate) fn leave(&self, why: WorkerError) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.stop.drain.cancel();
    }

    /// The error that ended the worker, if one did.
    pub(crate) fn take_fault(&self) -> Option<WorkerError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether no more items are to be begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.drain.is_cancelled() || self.stop.kill.is_cancelled()
    }

    /// Repeats a call while its error may pass, until our patience is over or `until` is cancelled; a call that was
    /// begun is always waited for.
    pub(crate) async fn persist<T, F>(&self, until: &CancellationToken, call: impl FnMut() -> F) -> infra::Result<T>
    where
        F: Future<Output = infra::Result<T>>,
    {
        self.patience.persist(until, call).await
    }

    /// Gives a message back: at once when this worker is stopping, else after a while. Should that fail, the lease
    /// ends by itself.
    pub(crate) async fn give_back(&self, receipt: Receipt, what: &str, why: &str) {
        let delay = if self.is_stopping() {
            tracing::info!(%what, why, "gives a task back");
            Duration::ZERO
        } else {
            tracing::warn!(%what, why, delay_secs = GIVE_BACK_DELAY.as_secs(), "gives a task back");
            GIVE_BACK_DELAY
        };
        self.let_go(receipt, what, delay).await;
    }

    /// Gives back the message of a copy of what is in hand here, at once: it is for another worker.
    pub(crate) async fn leave_to_others(&self, receipt: Receipt, what: &str) {
        tracing::debug!(%what, "a copy of it came here, where it runs already");
        self.let_go(receipt, what, Duration::ZERO).await;
    }

    async fn let_go(&self, receipt: Receipt, what: &str, delay: Duration) {
        let answer = self.grid.tasks.extend(&[receipt], delay).await;
        if let Some(error) = answer.map_or_else(Some, |entries| entries.into_iter().find_map(Result::err)) {
            tracing::debug!(%what, %error, "the lease will end by itself");
        }
    }
}

impl Hindrance {
    /// What an error of one of the grid's own back ends means, after [`Context::persist`].
    pub(crate) fn of(what: impl Into<String>, error: infra::Error) -> Self {
        match error.kind {
            infra::ErrorKind::Throttled
            | infra::ErrorKind::Unavailable
            | infra::ErrorKind::NotFound
            | infra::ErrorKind::Conflict
            | infra::ErrorKind::Invalid => Self::GiveBack(format!("failed to {}: {error}", what.into())),
            infra::ErrorKind::Denied | infra::ErrorKind::Full => Self::Fatal(WorkerError::lasting(what, error)),
        }
    }
}

/// A task's name in the log.
pub(crate) fn name_of(message: &TaskMessage) -> String {
    format!("{}/{}/{}", message.job, message.stage, message.key())
}

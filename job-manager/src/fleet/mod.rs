//! The fleet: machines come with the work and go without losing any.
//!
//! The leader tells what there is to do and who was heard (`ledger`); a loop of its own looks at the machines, asks
//! `grid_core::scale` and carries out what that says (`scaler`), so that a slow answer of the fleet holds up no job. Nothing
//! is decided here.

mod board;
mod events;
mod ledger;
mod scaler;
#[cfg(feature = "aws")]
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use grid_core::scale::Params;
use infra::fleet::Fleet;
use infra::queue::TaskQueue;

pub(crate) use events::{Event, WAITING, listen};
pub(crate) use ledger::{Ledger, Lookout};
pub(crate) use scaler::run;

/// The fleet that a manager looks after while it leads.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Where machines come from.
    pub fleet: Arc<dyn Fleet>,
    /// The pool that their workers serve.
    pub pool: String,
    /// How many of them, and how soon.
    pub params: Params,
    /// Between two decisions, about.
    pub tick: Duration,
    /// Where AWS tells of its machines, if it does.
    pub events: Option<Arc<dyn TaskQueue>>,
    /// Whether its machines outlive the manager that asked for them: those of a fleet that begins empty with every manager are
    /// not waited for.
    pub outlives_manager: bool,
}

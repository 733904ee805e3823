//! The job manager: submit, plan, dispatch, collect, chain, reconcile.
//!
//! **Architecture invariant:** a manager never speaks to a worker. It reads manifests and reports, and writes rows and
//! messages; what it decides, it decides in `grid_core::job`.

pub mod accept;
mod collect;
pub mod control;
mod desk;
mod error;
mod finish;
mod identities;
mod lead;
mod leader;
pub mod planner;
mod planning;
mod reconcile;
mod redrive;
mod reuse;
mod status;
mod submit;
mod table;
pub mod tokens;
pub mod view;
mod workers;

pub use error::ManagerError;
pub use lead::{ManagerConfig, lead};
pub use status::Progress;
pub use submit::{RetryDead, SubmitRequest, Submitted, submit};

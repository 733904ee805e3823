//! The job manager: submit, plan, dispatch, collect, chain, reconcile.
//!
//! **Architecture invariant:** a manager never speaks to a worker. It reads manifests and reports, and writes rows and
//! messages; what it decides, it decides in `grid_core::job`.

pub mod accept;
mod accounts;
mod collect;
mod config;
pub mod control;
mod copies;
mod desk;
mod error;
mod finish;
pub mod fleet;
pub mod http;
mod identities;
mod lead;
mod leader;
mod lease;
mod manage;
mod note;
mod notices;
mod objects;
mod pause;
pub mod pipelines;
pub mod planner;
mod planning;
pub mod rebuild;
mod reconcile;
mod redrive;
mod reuse;
mod roster;
#[cfg(feature = "aws")]
pub mod settings;
mod status;
mod submit;
mod table;
pub mod tokens;
mod told;
mod turns;
pub mod uploads;
pub mod view;
mod workers;

pub use config::ManagerConfig;
pub use error::ManagerError;
pub use lead::lead;
pub use manage::{Role, manage};
pub use status::Progress;
pub use submit::{SubmitRequest, Submitted, submit};

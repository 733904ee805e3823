//! The worker: pull, stage in, execute, commit, report; drain.
//!
//! **Architecture invariant:** a worker knows its task queue, the output queue and objects. It never speaks to a
//! manager and has no right to the state table, since it runs strangers' commands.

mod checkpoint;
mod commit;
mod config;
mod context;
mod dice;
mod error;
mod gate;
mod heartbeat;
mod in_hand;
mod intake;
mod jobs;
mod leases;
mod limits;
mod orphan;
mod patience;
pub mod process;
mod programs;
mod pull;
pub mod replay;
mod report;
pub mod runner;
mod stage_in;
mod superseded;
mod task;
mod tombstones;
mod worker;

pub use checkpoint::{Broken as BrokenCheckpoint, Checkpoints, unpack as unpack_checkpoint};
pub use config::WorkerConfig;
pub use error::WorkerError;
pub use worker::Worker;

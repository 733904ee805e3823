//! What passes between manager and workers: task messages one way, reports the other, manifests through the store.
//! ASCII JSON, versioned; a golden file for each lies in `tests/golden/v1` of the repository, read by `tests/golden` of
//! this crate.

mod ascii;
pub mod checkpoint;
pub mod manifest;
pub mod pack;
pub mod report;
pub mod task;

pub use ascii::to_ascii_json;
pub use checkpoint::{CheckpointEnd, CheckpointEntry, CheckpointHead};
pub use manifest::{ItemFailure, Manifest, OutputFile, Outputs, Pack};
pub use report::{Completion, Heartbeat, MachineOrder, ManagerSign, Report, RunningTask, Wanted};
pub use task::{KeySource, OutputRef, TaskInputs, TaskMessage};

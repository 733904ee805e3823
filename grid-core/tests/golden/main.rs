//! The formats of version 1, each against its file in `tests/golden/v1`; those of a job's own rows are tested where they
//! are written.

#[path = "../../../tests/golden/check.rs"]
mod check;
mod checkpoints;
mod manifests;
mod messages;
mod plans;
mod rows;
mod submission;

//! The worker: pull, stage in, execute, commit, report; drain.
//!
//! **Architecture invariant:** a worker knows its task queue, the output queue and objects. It never speaks to a
//! manager and has no right to the state table, since it runs strangers' commands.

pub mod process;
pub mod runner;

//! The state of a job and the rules that change it: `state + event -> state`, and what should happen next.
//!
//! A [`Job`] is an index of the job's manifests. It is loaded from rows, changed by events (items planned, a manifest
//! found, a cancellation), and written back row by row; nothing that it holds grows faster than a few bits an item.
//! It neither waits nor reads a clock: the manager hands in what it saw and carries out what it is told.

mod apply;
mod balance;
mod bits;
mod budget;
mod bundle;
mod chain;
mod copies;
mod dispatch;
mod gather;
mod index;
mod lifecycle;
mod message;
mod meta;
mod recall;
mod redrive;
pub(crate) mod retry;
mod reuse;
mod rows;
mod stage;
mod state;
#[cfg(test)]
mod tests;
mod tree;

pub use apply::Applied;
pub use balance::{Balance, StageBalance};
pub use bundle::{Pace, Tuning};
pub use dispatch::Ready;
pub use index::Committed;
pub use lifecycle::{Ended, Ending};
pub use message::Message;
pub use meta::{Meta, Redrive, Wish};
pub use recall::{Recall, RecalledPlan};
pub use redrive::LastAttempt;
pub use retry::{Draw, Verdict, decide};
pub use reuse::MadeOf;
pub use rows::{LoadError, META, RowChange, SHARD, StoredRow, shard_place};
pub use stage::{Copies, OutTask, StageView, TaskPhase};
pub use state::{Job, JobState};
pub use tree::{Inputs, Tree};

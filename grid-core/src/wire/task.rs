//! The task message: a hint that can always be made again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, ItemIndex, JobId, StageItems, StageName};
use crate::items::Key;

/// One attempt of a task, for a worker to execute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The first item.
    pub first: ItemIndex,
    /// How many items.
    pub count: u32,
    /// The try, from 1.
    pub attempt: u32,
    /// Executions of this task's items that counted against `retry.attempts` before this one.
    pub failures: u32,
    /// The stage's memory limit is this many times what the pipeline says, by a retry rule (`memory: x2`).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub memory_factor: f64,
    /// The round of the job in which it was sent: its own tombstone stops it, and no other's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
    /// 0 for the attempt's own message, and every repeat of it. From 1: the message of a copy, which is not for a worker that
    /// executes the attempt already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: u32,
    /// Values of parameters for this attempt, in place of the job's: a redrive has set them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Where the items' keys come from.
    pub keys: KeySource,
    /// Where the items' data comes from.
    pub inputs: TaskInputs,
}

/// Where the items' keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// They are the keys of these items, one by one: the task's own items, or, along `each`, those of the stage where
    /// the chain begins - a `split`, `range`, `list`, `matrix` or `group`.
    Items(StageItems),
    /// There is one item, with this key: an item of `all`, or of an `each` after it.
    Given(Key),
}

/// Where the items' data comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskInputs {
    /// From the stage's plan: slices, or nothing but the key.
    Plan,
    /// From upstream outputs.
    Upstream {
        /// `each`: the upstream items that these items are, one by one. `all`: everything that is read, in order.
        /// `group`: empty, the plan chunk lists each group's members.
        members: Vec<StageItems>,
        /// The successful attempts that hold the members' outputs; a member in none of them was skipped or is dead.
        refs: Vec<OutputRef>,
    },
    /// As `Upstream`, read from the object of this key: they are too many for a message.
    Listed(String),
}

/// A manifest that holds outputs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutputRef {
    /// The stage.
    pub stage: StageName,
    /// The attempt.
    #[serde(flatten)]
    pub key: AttemptKey,
}

impl TaskMessage {
    /// The attempt's name within its stage.
    pub fn key(&self) -> AttemptKey {
        AttemptKey { first: self.first, attempt: self.attempt }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn one() -> f64 {
    1.0
}

fn is_one(factor: &f64) -> bool {
    *factor == 1.0
}

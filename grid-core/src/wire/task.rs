//! The task message: a hint that can always be made again.

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, ItemIndex, JobId, StageItems, StageName};

/// One attempt of a task, for a worker to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where the items' data comes from.
    pub inputs: TaskInputs,
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

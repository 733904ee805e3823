//! What the job manager says about jobs, as JSON: shared by manager and command line.

use std::collections::BTreeMap;

use grid_core::ids::{JobId, StageName};
use grid_core::reason::{Failure, Reason};
use serde::{Deserialize, Serialize};

pub use grid_core::job::JobState;

/// A job, as `gridmill status --json` and `GET /v1/jobs/{id}` show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The job.
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it stands there, where that needs a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// RFC 3339.
    pub submitted: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Its stages, in the order of execution.
    pub stages: Vec<StageStatus>,
}

/// A stage of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// Its name.
    pub name: StageName,
    /// Items found so far.
    pub items: u64,
    /// Whether `items` is final.
    pub planned: bool,
    /// Items committed.
    pub ok: u64,
    /// Of those, taken from an earlier job.
    pub reused: u64,
    /// Items left out, by a rule or because what they need was left out.
    pub skipped: u64,
    /// Items given up on.
    pub dead: u64,
    /// Whether these are more than the pipeline allows.
    #[serde(default)]
    pub failed: bool,
    /// Items in tasks that were handed out.
    pub running: u64,
    /// Executions of tasks that ended.
    pub attempts: u64,
    /// Failures seen, by reason; those that a later attempt made good included.
    pub failures: BTreeMap<Reason, u64>,
    /// Bytes of input planned.
    pub bytes_planned: u64,
    /// Bytes of input in the items that have ended.
    pub bytes_in: u64,
    /// Bytes of output committed.
    pub bytes_out: u64,
    /// Time that items took, all slots together, seconds.
    pub busy_secs: f64,
}

/// An item that was given up on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The stage.
    pub stage: StageName,
    /// The item's name.
    pub item: String,
    /// Its place in the stage.
    pub index: u32,
    /// Its dimensions.
    pub key: BTreeMap<String, String>,
    /// The attempt that was the last.
    pub attempt: u32,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
    /// Where its input lies, such as `file:///data/claims.csv` with byte range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// The balance of a job: `receipt.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`WIRE_VERSION`](grid_core::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    pub state: JobState,
    /// RFC 3339.
    pub submitted: String,
    /// RFC 3339.
    pub finished: String,
    /// Whether in = ok + skipped + dead, and bytes read = bytes planned, in every stage.
    pub balanced: bool,
    /// What does not balance, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// The stages.
    pub stages: Vec<StageReceipt>,
}

/// The balance of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReceipt {
    /// Its name.
    pub name: StageName,
    /// Items planned.
    pub items: u64,
    /// Items committed.
    pub ok: u64,
    /// Of those, taken from an earlier job.
    pub reused: u64,
    /// Items left out.
    pub skipped: u64,
    /// Items given up on.
    pub dead: u64,
    /// Items that were never run, because the job ended before; 0 in a job that succeeded.
    pub not_run: u64,
    /// Executions of tasks.
    pub attempts: u64,
    /// Failures seen, by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// Bytes of input planned.
    pub bytes_planned: u64,
    /// Bytes of input in the items that ended.
    pub bytes_in: u64,
    /// Records planned, where the splitter counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Bytes of output committed.
    pub bytes_out: u64,
    /// Time that items took, all slots together, seconds.
    pub busy_secs: f64,
}

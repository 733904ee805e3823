//! What the job manager is told and says over HTTP, as JSON: shared by manager and command line.
//!
//! With the feature `openapi` every body has a schema. Answers may gain fields; requests refuse those that they do not
//! know.

mod costs;
mod event;
mod item;
mod list;
mod output;
mod pipeline;
mod problem;
mod readiness;
mod redrive;
#[cfg(feature = "openapi")]
mod schema;
mod story;
mod submit;
mod token;
mod upload;
mod whole;
mod worker;

use std::collections::BTreeMap;

use grid_core::ids::{JobId, StageName};
use grid_core::reason::{Failure, Reason};
use serde::{Deserialize, Serialize};

pub use costs::{OperationReceipt, RequestsReceipt, SlotTimeReceipt};
pub use event::{Event, StartedJobs};
pub use grid_core::job::JobState;
pub use item::{Item, ItemState};
pub use list::{JobSummary, Page};
pub use output::{LogEntry, OutputFile};
pub use pipeline::{PipelineVersion, PutPipeline};
pub use problem::{Problem, ProblemError};
pub use readiness::{BackEnd, Readiness};
pub use redrive::{JobStanding, Redrive, Redriven};
#[cfg(feature = "openapi")]
use schema::FailureSchema;
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub use schema::{JobStateSchema, OnExceedSchema};
pub use story::{Attempt, AttemptEnd, Reuse, Story};
pub use submit::{InputUris, ParamValue, PipelineSource, Registered, SubmitBudget, SubmitJob};
pub use token::{CreateToken, NewToken, Scope, Token};
pub use upload::{CompleteUpload, CreateUpload, PartUrl, Upload, UploadedFile, UploadedPart};
pub use worker::{GroupStatus, PoolStatus, RunningTask, WorkerStatus};

/// A job, as `gridmill status --json` and `GET /v1/jobs/{id}` show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStatus {
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where it stands.
    #[cfg_attr(feature = "openapi", schema(value_type = JobStateSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageStatus {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// The stage.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = FailureSchema))]
    pub failure: Failure,
    /// Where its input lies, such as `file:///data/claims.csv` with byte range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// The balance of a job: `receipt.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// [`WIRE_VERSION`](grid_core::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    #[cfg_attr(feature = "openapi", schema(value_type = JobStateSchema))]
    pub state: JobState,
    /// Why it ended so, where that needs a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
    /// What was asked of services for it. Receipts of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsReceipt>,
    /// What the slots cost that it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_time: Option<SlotTimeReceipt>,
    /// Dollars for both: a decimal. Nothing where slot time has no price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<String>,
}

/// The balance of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StageReceipt {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
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
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
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
    /// Second executions of slow tasks; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<CopiesReceipt>,
}

/// Second executions of tasks that were far slower than others. The first to commit counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CopiesReceipt {
    /// Copies that were started.
    pub started: u64,
    /// Of those, the ones that committed first.
    pub won: u64,
    /// Slot time of the executions that did not, as far as their workers told, seconds; not in `busy_secs`.
    pub lost_secs: f64,
}

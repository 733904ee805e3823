//! The rows of the state table that are not a job's own: names and bodies, in one place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, JobId};
use crate::spending::Spending;
use crate::wire::Heartbeat;

/// Partition of the list of all jobs; the place in it is the job's id, which sorts by time.
pub const JOBS: &str = "JOBS";
/// Partition of the jobs that somebody has to look after, read consistently at the start of a manager.
pub const ACTIVE: &str = "ACTIVE";
/// Partition and place of the row that says who leads.
pub const LEADER: &str = "LEADER";

/// Partition of the workers in sight; the place in it is the worker's name.
pub const WORKERS: &str = "WORKERS";

/// The partition of a job's own rows.
pub fn job_partition(job: &JobId) -> String {
    format!("JOB#{job}")
}

/// The job whose own rows a partition holds; nothing of any other.
pub fn job_of_partition(partition: &str) -> Option<JobId> {
    partition.strip_prefix("JOB#").map(JobId::new)
}

/// The partition of the row that finds a job by what was submitted.
pub fn submission_partition(digest: &str) -> String {
    format!("SUBMISSION#{digest}")
}

/// Partition of the API tokens; the place in it is the token's id.
pub const TOKENS: &str = "TOKENS";

/// The partition of a row that finds the job which an idempotency key stands for: 256 of them, so that none is hot.
/// The place in it is the whole digest.
pub fn idempotency_partition(digest: &str) -> String {
    format!("IDEMPOTENCY#{}", digest.get(..2).unwrap_or_default())
}

/// What a token may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look.
    Read,
    /// Submit jobs and act on them.
    Submit,
    /// See and do everything.
    Admin,
}

/// A token, of which only a digest of the secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// BLAKE3 of the secret, hex: a fast digest is right for 256 random bits.
    pub digest: String,
    /// What it may do.
    pub scope: Scope,
    /// The tenant that it acts for; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds; without it, it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// The job that an idempotency key stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// The job.
    pub job: JobId,
    /// The digest of what was submitted.
    pub body: String,
    /// Unix milliseconds: from then on the key means nothing.
    pub expires_ms: u64,
}

/// A job in the list of all jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// The pipeline's name.
    pub pipeline: String,
    /// The digest of the submission.
    pub digest: String,
    /// RFC 3339.
    pub submitted: String,
    /// On whose behalf; empty where there are no tenants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
}

/// A job that somebody has to look after. It says no more: what is wished of the job stands in the job's own row, and
/// this one is written anew when that one was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRow {
    /// What its submission asked of services, until a leader has charged it to the job.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    pub asked: Spending,
}

/// The job that a submission became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRow {
    /// The job.
    pub job: JobId,
}

/// A worker in sight, by its last sign of life that the leader has written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerRow {
    /// When the leader heard of it, Unix milliseconds by the leader's clock: for people.
    pub seen_ms: u64,
    /// What it said.
    pub heartbeat: Heartbeat,
}

/// Who leads. Written under no epoch of its own: its version alone says whose turn it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRow {
    /// Rises with every leader.
    pub epoch: u64,
    /// What people call the leader.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// One life of one manager, by which it knows its own row again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub life: String,
    /// Nobody else takes the lead before the row has stood unchanged for this long, milliseconds. 0 where the lead is
    /// free: it was handed back, or a lock sees to it that there is no other manager.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_ms: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Place of the row of an upload, in a partition of its own.
pub const UPLOAD: &str = "UPLOAD";

/// The partition of an upload's row.
pub fn upload_partition(upload: &str) -> String {
    format!("UPLOAD#{upload}")
}

/// A file that a client sends in parts, before the job that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRow {
    /// On whose behalf; empty where there are no tenants.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The file's name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The size of its parts; the last one is shorter.
    pub part_bytes: u64,
    /// The store's name for the upload; without it, parts are objects of their own until it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// Whether the file is there.
    #[serde(default)]
    pub done: bool,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// The partition of the pipelines that a tenant has put; the place in it is `{name}#{version}`.
pub fn pipelines_partition(tenant: &str) -> String {
    format!("PIPELINES#{tenant}")
}

/// The place of a version of a pipeline; versions sort by their numbers.
pub fn pipeline_place(name: &str, version: u32) -> String {
    format!("{name}#{version:010}")
}

/// A version of a pipeline that was put; its text is an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRow {
    /// BLAKE3 of its text, hex.
    pub digest: String,
    /// Events that start a job of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_events: Vec<String>,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// Partition and place of the row that says which jobs wait although they could go on.
pub const WAITS: &str = "WAITS";

/// Jobs with tasks that could be handed out and are not, as the leader saw it last: for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsRow {
    /// Why each waits.
    pub jobs: BTreeMap<JobId, Wait>,
}

/// Why a job that could go on waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It has its share of the slots; others have theirs.
    Share,
    /// Its tenant has as many tasks out as was agreed.
    Quota {
        /// So many.
        max_out: u64,
    },
    /// Nearly everything that it runs fails: one task at a time shows whether it still does.
    Suspended,
    /// What runs of it may spend the rest of its budget.
    Budget,
}

/// Partition of what the leader remembers of the fleet; the place in it is the pool.
pub const FLEET: &str = "FLEET";

/// Partition of what people are told of pools; the place in it is the pool.
pub const POOLS: &str = "POOLS";

/// The machines of a pool, as the leader saw them last: for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Its groups, the preferred one first.
    pub groups: Vec<GroupRow>,
    /// What keeps the pool from growing, in words.
    pub waits: Vec<String>,
}

/// Machines that are bought alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub group: GroupName,
    /// Machines with a worker that was heard.
    pub machines: u32,
    /// Machines that were asked for and have not spoken.
    pub coming: u32,
    /// Machines that go.
    pub leaving: u32,
    /// What is waited for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

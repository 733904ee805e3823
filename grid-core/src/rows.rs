//! The rows of the state table that are not a job's own: names and bodies, in one place.

use serde::{Deserialize, Serialize};

use crate::ids::JobId;

/// Partition of the list of all jobs; the place in it is the job's id, which sorts by time.
pub const JOBS: &str = "JOBS";
/// Partition of the jobs that somebody has to look after, read consistently at the start of a manager.
pub const ACTIVE: &str = "ACTIVE";
/// Partition and place of the row that says who leads.
pub const LEADER: &str = "LEADER";

/// The partition of a job's own rows.
pub fn job_partition(job: &JobId) -> String {
    format!("JOB#{job}")
}

/// The partition of the row that finds a job by what was submitted.
pub fn submission_partition(digest: &str) -> String {
    format!("SUBMISSION#{digest}")
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRow {}

/// The job that a submission became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRow {
    /// The job.
    pub job: JobId,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderRow {
    /// Rises with every leader.
    pub epoch: u64,
}

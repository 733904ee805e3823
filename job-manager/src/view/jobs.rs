//! Which jobs there are, and which one is meant.

use grid_core::ids::JobId;
use grid_core::rows::{JOBS, JobRow};
use grid_core::submission::Submission;
use infra::Grid;
use serde::Serialize;

use crate::ManagerError;
use crate::table::{all_rows, read_submission};

/// Every job that has been submitted, the oldest first.
pub async fn all_jobs(grid: &Grid) -> std::result::Result<Vec<JobHead>, ManagerError> {
    let rows = all_rows(grid.state.as_ref(), JOBS).await?;
    let head = |row: infra::state::Row| {
        let read: JobRow = serde_json::from_slice(&row.body)
            .map_err(|error| ManagerError::damaged(format!("row {JOBS}/{}", row.key.sort), error))?;
        Ok(JobHead { job: JobId::new(row.key.sort), pipeline: read.pipeline, submitted: read.submitted })
    };
    rows.into_iter().map(head).collect()
}

/// A job in the list of all jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobHead {
    /// The job.
    pub job: JobId,
    /// The pipeline's name.
    pub pipeline: String,
    /// RFC 3339.
    pub submitted: String,
}

/// The job whose id begins with `text` or, when none does, holds it anywhere: ids begin with the time, so that those
/// of one minute differ only towards their ends.
pub fn choose(jobs: &[JobHead], text: &str) -> std::result::Result<JobId, NoSuchJob> {
    let matching = |test: &dyn Fn(&str) -> bool| -> Vec<JobId> {
        jobs.iter().map(|head| &head.job).filter(|job| test(job.as_str())).cloned().collect()
    };
    let mut found = matching(&|id| id.starts_with(text));
    if found.is_empty() {
        found = matching(&|id| id.contains(text));
    }
    match (found.len(), found.pop()) {
        (1, Some(job)) => Ok(job),
        (0, _) | (_, None) => Err(NoSuchJob::Unknown(text.to_owned())),
        (count, Some(newest)) => Err(NoSuchJob::Ambiguous { text: text.to_owned(), count, newest }),
    }
}

/// The job that was submitted last.
pub fn newest(jobs: &[JobHead]) -> std::result::Result<JobId, NoSuchJob> {
    jobs.last().map(|head| head.job.clone()).ok_or(NoSuchJob::None)
}

/// Why no job is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchJob {
    /// There are no jobs at all.
    #[error("there is no job here yet")]
    None,
    /// No id holds the text.
    #[error("no job has an id with `{0}` in it")]
    Unknown(String),
    /// Several ids hold the text.
    #[error("`{text}` is in the ids of {count} jobs; the newest of them is {newest}")]
    Ambiguous {
        /// The text.
        text: String,
        /// How many jobs.
        count: usize,
        /// The newest of them.
        newest: JobId,
    },
}

/// A job as it was submitted.
pub async fn submission(grid: &Grid, job: &JobId) -> std::result::Result<Submission, ManagerError> {
    read_submission(grid, job).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(ids: &[&str]) -> Vec<JobHead> {
        let head = |id: &&str| JobHead { job: JobId::new(*id), pipeline: "p".into(), submitted: String::new() };
        ids.iter().map(head).collect()
    }

    #[test]
    fn a_job_is_found_by_any_part_that_no_other_has() {
        let known = jobs(&["0190-aa-11", "0190-bb-22", "0191-cc-19"]);
        assert_eq!(choose(&known, "0191"), Ok(JobId::new("0191-cc-19")));
        assert_eq!(choose(&known, "bb"), Ok(JobId::new("0190-bb-22")));
        assert_eq!(choose(&known, "zz"), Err(NoSuchJob::Unknown("zz".into())));
        let (text, newest) = ("0190".to_owned(), JobId::new("0190-bb-22"));
        assert_eq!(choose(&known, "0190"), Err(NoSuchJob::Ambiguous { text, count: 2, newest }));
    }

    #[test]
    fn the_newest_job_is_the_last_one() {
        assert_eq!(newest(&jobs(&["0190", "0191"])), Ok(JobId::new("0191")));
        assert_eq!(newest(&[]), Err(NoSuchJob::None));
    }
}

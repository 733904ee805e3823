//! The rows of jobs that were made again.

use std::collections::BTreeMap;

use grid_core::ids::JobId;
use grid_core::job::{Job, RowChange};
use grid_core::rows::{ACTIVE, ActiveRow, JOBS, JobRow, SubmissionRow, job_partition, submission_partition};
use grid_core::submission::Submission;
use infra::state::{Expect, Row, RowKey, Write};
use infra::{ErrorKind, Grid};
use serde::Serialize;

use super::job::is_active;
use crate::ManagerError;
use crate::submit::{SubmitRequest, encode, read_row, write};
use crate::table::all_rows;

/// Any job that the table has.
pub(super) async fn any_job(grid: &Grid) -> Result<Option<JobId>, ManagerError> {
    let rows = grid.state.query(JOBS, "", None, 1).await.map_err(ManagerError::Store)?;
    Ok(rows.into_iter().next().map(|row| JobId::new(row.key.sort)))
}

/// Whether the table has a job. Its entry in the list of all jobs is written last.
pub(super) async fn is_listed(grid: &Grid, job: &JobId) -> Result<bool, ManagerError> {
    Ok(read_row::<JobRow>(grid, JOBS, job.as_str()).await?.is_some())
}

/// Writes all rows of a job, in place of any that are there; answers how many it has of its own. May be repeated.
pub(super) async fn write_job(grid: &Grid, epoch: u64, job: &Job) -> Result<u64, ManagerError> {
    let submission = job.submission().clone();
    let is_active = is_active(job);
    let rows = write_own(grid, epoch, job).await?;
    let request = request_of(&submission);
    let digest = request.digest();
    // What came over HTTP is found by no digest: every such submission is a job of its own.
    if !submission.workdir.is_empty() {
        enter_submission(grid, &submission.job, &digest).await?;
    }
    let id = submission.job.as_str();
    put(grid, ACTIVE, id, is_active.then_some(&ActiveRow::default())).await?;
    let listed = JobRow {
        pipeline: submission.pipeline.name.clone(),
        digest,
        submitted: submission.submitted.to_string(),
        tenant: submission.tenant.clone(),
    };
    put(grid, JOBS, id, Some(&listed)).await?;
    Ok(rows)
}

/// The rows in the job's own partition, but for those that are there already.
async fn write_own(grid: &Grid, epoch: u64, job: &Job) -> Result<u64, ManagerError> {
    let partition = job_partition(&job.submission().job);
    let found = all_rows(grid.state.as_ref(), &partition).await?;
    let mut found: BTreeMap<String, Row> = found.into_iter().map(|row| (row.key.sort.clone(), row)).collect();
    let changes = job.changes();
    let rows = changes.len() as u64;
    let key = |sort: String| RowKey { partition: partition.clone(), sort };
    let mut writes = Vec::new();
    for RowChange { sort, body } in changes {
        let row = found.remove(&sort);
        if row.as_ref().is_none_or(|row| row.body != body) {
            let expect = row.map_or(Expect::Absent, |row| Expect::Version(row.version));
            writes.push(Write { key: key(sort), expect, epoch, body: Some(body), expires_ms: None });
        }
    }
    // What the job has no such row for any more.
    for (sort, row) in found {
        writes.push(Write {
            key: key(sort),
            expect: Expect::Version(row.version),
            epoch,
            body: None,
            expires_ms: None,
        });
    }
    write_all(grid, writes).await?;
    Ok(rows)
}

/// Writes rows, each of them on its condition.
async fn write_all(grid: &Grid, writes: Vec<Write>) -> Result<(), ManagerError> {
    let answers = grid.state.write(writes).await?;
    match answers.into_iter().find_map(Result::err) {
        None => Ok(()),
        // An earlier try was applied late, or somebody is at work here who should not be: looking again tells.
        Some(error) if error.kind == ErrorKind::Conflict => {
            let context = "rows changed while they were written";
            Err(infra::Error::caused(ErrorKind::Unavailable, context, error).into())
        }
        Some(error) => Err(error.into()),
    }
}

/// The newest job of a submission is the one that it stands for.
async fn enter_submission(grid: &Grid, job: &JobId, digest: &str) -> Result<(), ManagerError> {
    let partition = submission_partition(digest);
    let found = read_row::<SubmissionRow>(grid, &partition, "JOB").await?;
    if found.is_some_and(|(_, row)| row.job > *job) {
        return Ok(());
    }
    put(grid, &partition, "JOB", Some(&SubmissionRow { job: job.clone() })).await
}

/// Writes a row that belongs to no epoch, whatever is there; or removes it.
async fn put(grid: &Grid, partition: &str, sort: &str, body: Option<&impl Serialize>) -> Result<(), ManagerError> {
    let key = RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
    let found = grid.state.get(&key).await?;
    let expect = found.as_ref().map_or(Expect::Absent, |row| Expect::Version(row.version));
    let change = match body {
        Some(body) if found.as_ref().is_some_and(|row| row.body == encode(body)) => return Ok(()),
        Some(body) => write(partition, sort, expect, body),
        None if found.is_none() => return Ok(()),
        None => Write { key, expect, epoch: 0, body: None, expires_ms: None },
    };
    write_all(grid, vec![change]).await
}

fn request_of(submission: &Submission) -> SubmitRequest {
    SubmitRequest {
        pipeline: submission.pipeline.clone(),
        params: submission.params.clone(),
        inputs: submission.inputs.clone(),
        lists: submission.lists.clone(),
        workdir: submission.workdir.clone(),
        programs: submission.programs.clone(),
    }
}

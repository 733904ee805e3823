//! Rows of the state table that are not a job's own.

use grid_core::ids::JobId;
use grid_core::rows::{ActiveRow, JobRow, LeaderRow, SubmissionRow, job_partition, submission_partition};

use crate::check::golden;

#[test]
fn a_job_in_the_list_of_all_jobs() {
    let row = JobRow {
        pipeline: "year-end-report".into(),
        digest: "af1349b9f5f9a1a6a0404dea36dcc949".into(),
        submitted: "2025-12-31T23:59:59Z".into(),
        tenant: "finance".into(),
    };
    golden!("row-job.json").holds(&row, &[""]);
}

#[test]
fn a_job_that_is_looked_after() {
    golden!("row-active.json").holds(&ActiveRow {}, &[""]);
}

#[test]
fn a_submission_that_became_a_job() {
    let row = SubmissionRow { job: JobId::new("0198c5a2-7b1e-7c3a-9d42-5f0a1b2c3d4e") };
    golden!("row-submission.json").holds(&row, &[""]);
}

#[test]
fn the_leader() {
    golden!("row-leader.json").holds(&LeaderRow { epoch: 12 }, &[""]);
}

#[test]
fn partitions_keep_their_names() {
    assert_eq!(job_partition(&JobId::new("j")), "JOB#j");
    assert_eq!(submission_partition("d"), "SUBMISSION#d");
    assert_eq!((grid_core::rows::JOBS, grid_core::rows::ACTIVE, grid_core::rows::LEADER), ("JOBS", "ACTIVE", "LEADER"));
}

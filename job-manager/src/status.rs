//! What a leader tells those who watch.

use std::collections::BTreeMap;

use grid_api::{JobStatus, StageStatus};
use grid_core::ids::{JobId, StageName};
use grid_core::job::{Job, JobState, StageView};
use grid_core::wire::RunningTask;

use crate::finish::rfc3339;

/// What is going on, for those who watch.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Jobs that this manager has looked after.
    pub jobs: BTreeMap<JobId, JobStatus>,
    /// What runs on the workers.
    pub running: Vec<RunningTask>,
}

/// A job as people see it.
pub(crate) fn status_of(job: &Job) -> JobStatus {
    let submission = job.submission();
    let stages = submission.pipeline.stages.iter().zip(job.view());
    JobStatus {
        job: submission.job.clone(),
        pipeline: submission.pipeline.name.clone(),
        state: job.state(),
        message: job.message().map(str::to_owned),
        submitted: submission.submitted.to_string(),
        finished: job.finished_ms().map(rfc3339),
        stages: stages.map(|(stage, view)| stage_status(job, &stage.name, view)).collect(),
    }
}

fn stage_status(job: &Job, name: &StageName, view: StageView) -> StageStatus {
    StageStatus {
        name: name.clone(),
        items: view.items,
        planned: view.planned,
        ok: view.ok,
        reused: view.reused,
        skipped: view.skipped,
        dead: view.dead,
        failed: job.is_failed(name),
        // What runs on after a cancelled job's end is no part of it.
        running: if job.state().is_final() { 0 } else { view.running },
        attempts: view.attempts,
        failures: view.failures,
        bytes_planned: view.bytes_planned,
        bytes_in: view.bytes_in,
        bytes_out: view.bytes_out,
        busy_secs: view.busy_us as f64 / 1e6,
    }
}

/// A job that cannot even be read, as people see it.
pub(crate) fn unreadable(job: &JobId, why: String) -> JobStatus {
    JobStatus {
        job: job.clone(),
        pipeline: String::new(),
        state: JobState::Quarantined,
        message: Some(why),
        submitted: String::new(),
        finished: None,
        stages: Vec::new(),
    }
}

//! Submit: an idempotent write of `job.json` and of the rows that make a manager look after the job.

use std::collections::BTreeMap;

use grid_core::ids::JobId;
use grid_core::job::{Job, JobState};
use grid_core::layout;
use grid_core::limits::WIRE_VERSION;
use grid_core::pipeline::Pipeline;
use grid_core::rows::{ACTIVE, ActiveRow, JOBS, JobRow, SubmissionRow, submission_partition};
use grid_core::spending::Spending;
use grid_core::submission::{PinnedFile, Submission};
use grid_core::wire::{self, Report, to_ascii_json};
use infra::state::{Expect, RowKey, Write};
use infra::{ErrorKind, Grid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ManagerError;
use crate::accept::{NewJob, new_job_id};
use crate::control::{announce, redrive_all};
use crate::table::JobTable;

/// What is submitted.
#[derive(Clone, Debug)]
pub struct SubmitRequest {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// A value for every parameter.
    pub params: BTreeMap<String, String>,
    /// The files of every input, pinned.
    pub inputs: BTreeMap<String, Vec<PinnedFile>>,
    /// The files of every `list: FILE`, pinned, by stage name.
    pub lists: BTreeMap<String, PinnedFile>,
    /// The folder in which commands run.
    pub workdir: String,
    /// The files of that folder that commands name, by the word that names them, with their digests.
    pub programs: BTreeMap<String, String>,
}

/// What a submission became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// A job of its own.
    New(JobId),
    /// The same was submitted before: that job goes on.
    Resumed(JobId),
    /// The same was submitted before, and that job is done.
    Finished(JobId, JobState),
}

impl Submitted {
    /// The job.
    pub fn job(&self) -> &JobId {
        match self {
            Self::New(job) | Self::Resumed(job) | Self::Finished(job, _) => job,
        }
    }
}

/// Submits a job. The same pipeline with the same parameters, inputs and folder is the same job, as long as that one
/// has not been cancelled, and has not succeeded with other programs or where a stage says `cache: false`.
pub async fn submit(grid: &Grid, request: SubmitRequest) -> Result<Submitted, ManagerError> {
    let submitted = accept(grid, request).await?;
    if let Submitted::New(job) | Submitted::Resumed(job) = &submitted {
        tell_leader(grid, job).await;
    }
    Ok(submitted)
}

/// What tells a leader of a job.
pub(crate) fn hint(job: &JobId) -> String {
    let report = Report::Wanted(wire::Wanted { v: WIRE_VERSION, job: job.clone() });
    to_ascii_json(&report).expect("an id is a string")
}

/// A leader that does not hear of it finds the job on the list when it looks there again.
pub(crate) async fn tell_leader(grid: &Grid, job: &JobId) {
    let body = hint(job);
    let sent: infra::Result<()> = grid.reports.send(&[body]).await.and_then(|answers| answers.into_iter().collect());
    if let Err(error) = sent {
        tracing::debug!(%error, "the leader was not told of a job");
    }
}

async fn accept(grid: &Grid, request: SubmitRequest) -> Result<Submitted, ManagerError> {
    let digest = request.digest();
    let found = read_row::<SubmissionRow>(grid, &submission_partition(&digest), "JOB").await?;
    if let Some((version, row)) = found {
        let job = match JobTable::load(grid, &row.job).await {
            Ok(table) => table.job,
            Err(ManagerError::Store(error)) if error.kind == ErrorKind::NotFound => {
                tracing::info!(earlier = %row.job, "the same was submitted before, and its objects have expired");
                return create(grid, request, &digest, Expect::Version(version)).await;
            }
            Err(error) => return Err(error),
        };
        return match job.state() {
            JobState::Running | JobState::Paused | JobState::Committing => {
                announce(grid, &row.job, job.round()).await?;
                Ok(Submitted::Resumed(row.job))
            }
            JobState::Failed => {
                redrive_all(grid, &row.job).await?;
                Ok(Submitted::Resumed(row.job))
            }
            // It reads what nobody can see the changes of, or its programs were changed: it is to be done again. A job
            // that failed goes on where it is, with the programs mended.
            JobState::Succeeded if !is_cached(&job) || job.submission().programs != request.programs => {
                create(grid, request, &digest, Expect::Version(version)).await
            }
            JobState::Succeeded => Ok(Submitted::Finished(row.job, JobState::Succeeded)),
            JobState::Cancelled | JobState::Quarantined => {
                create(grid, request, &digest, Expect::Version(version)).await
            }
        };
    }
    create(grid, request, &digest, Expect::Absent).await
}

impl SubmitRequest {
    /// A pipeline that takes nothing in, with its parameters' own defaults, in the folder `/`; its faults are those of
    /// [`Pipeline::resolve_params`].
    pub fn of_defaults(pipeline: Pipeline) -> Result<Self, Vec<String>> {
        let params = pipeline.resolve_params(&BTreeMap::new())?;
        let (inputs, lists, programs) = Default::default();
        Ok(Self { pipeline, params, inputs, lists, workdir: "/".to_owned(), programs })
    }

    /// What makes two submissions the same: everything but when the files were touched.
    pub(crate) fn digest(&self) -> String {
        let files = |files: &Vec<PinnedFile>| -> Vec<(String, String, String)> {
            files.iter().map(|file| (file.uri.clone(), file.name.clone(), file.digest.clone())).collect()
        };
        let inputs: BTreeMap<_, _> = self.inputs.iter().map(|(name, of)| (name, files(of))).collect();
        let lists: BTreeMap<_, _> = self.lists.iter().map(|(name, file)| (name, &file.digest)).collect();
        let all = serde_json::json!([self.pipeline, self.params, inputs, lists, self.workdir]);
        blake3::hash(all.to_string().as_bytes()).to_hex()[..32].to_owned()
    }
}

/// Whether all that the job does depends on what it was submitted with.
fn is_cached(job: &Job) -> bool {
    job.submission().pipeline.stages.iter().all(|stage| stage.cache)
}

async fn create(grid: &Grid, request: SubmitRequest, digest: &str, expect: Expect) -> Result<Submitted, ManagerError> {
    let job = new_job_id(grid.clock.as_ref());
    let tenant = request.pipeline.tenant.clone().unwrap_or_default();
    let new = NewJob { job: job.clone(), request, program_files: Vec::new(), tenant, once: None };
    let submission = store(grid, new).await?;
    let mut rows = vec![write(&submission_partition(digest), "JOB", expect, &SubmissionRow { job: job.clone() })];
    rows.extend(entries(&submission, digest, Spending::NOTHING));
    grid.state.transact(rows).await?;
    Ok(Submitted::New(job))
}

/// Writes `job.json`.
pub(crate) async fn store(grid: &Grid, new: NewJob) -> Result<Submission, ManagerError> {
    let now = i64::try_from(grid.clock.now_ms()).unwrap_or(i64::MAX);
    let NewJob { job, request, program_files, tenant, once: _ } = new;
    let submission = Submission {
        v: WIRE_VERSION,
        job,
        submitted: jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        pipeline: request.pipeline,
        params: request.params,
        inputs: request.inputs,
        lists: request.lists,
        workdir: request.workdir,
        programs: request.programs,
        program_files,
        tenant,
    };
    grid.objects.create(&layout::submission(&submission.job), encode(&submission).into()).await?;
    Ok(submission)
}

/// The rows that make a job known, and a manager look after it; `asked`: what its submission asked of services.
pub(crate) fn entries(submission: &Submission, digest: &str, asked: Spending) -> Vec<Write> {
    let row = JobRow {
        pipeline: submission.pipeline.name.clone(),
        digest: digest.to_owned(),
        submitted: submission.submitted.to_string(),
        tenant: submission.tenant.clone(),
    };
    let id = submission.job.as_str();
    vec![write(JOBS, id, Expect::Absent, &row), write(ACTIVE, id, Expect::Absent, &ActiveRow { asked })]
}

/// Reads a row and its version.
pub(crate) async fn read_row<T: DeserializeOwned>(
    grid: &Grid,
    partition: &str,
    sort: &str,
) -> Result<Option<(u64, T)>, ManagerError> {
    let key = RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
    let Some(row) = grid.state.get(&key).await? else { return Ok(None) };
    let body = serde_json::from_slice(&row.body)
        .map_err(|error| ManagerError::damaged(format!("row {partition}/{sort}"), error))?;
    Ok(Some((row.version, body)))
}

/// A write of a row that belongs to no epoch.
pub(crate) fn write(partition: &str, sort: &str, expect: Expect, body: &impl Serialize) -> Write {
    let key = RowKey { partition: partition.to_owned(), sort: sort.to_owned() };
    Write { key, expect, epoch: 0, body: Some(encode(body)), expires_ms: None }
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have string keys and finite numbers")
}

/// Takes a job off the list of those that somebody has to look after when a round of it has ended, unless its entry was written anew
/// since it had this version, or for a later round: then somebody wants it looked after again.
pub(crate) async fn deactivate(grid: &Grid, job: &JobId, version: u64, round: u32) -> Result<(), ManagerError> {
    let key = RowKey { partition: ACTIVE.to_owned(), sort: job.as_str().to_owned() };
    let (expect, epoch) = (Expect::Version(version), u64::from(round));
    let removal = Write { key, expect, epoch, body: None, expires_ms: None };
    for answer in grid.state.write(vec![removal]).await? {
        match answer {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{ManagerConfig, Progress, lead};

    fn request() -> SubmitRequest {
        let text = "name: one\nstages:\n  work:\n    range: 1..1\n    run: [\"true\"]\n";
        SubmitRequest::of_defaults(grid_core::pipeline::parse(text, "pipeline.yaml").unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_at_work_takes_on_a_job_at_once() {
        let (grid, stop) = (infra::memory::grid(), CancellationToken::new());
        let (publish, _published) = watch::channel(Progress::default());
        let leader = tokio::spawn(lead(grid.clone(), ManagerConfig::default(), publish, stop.clone()));
        // Long enough that the leader waits, and not a time at which it looks around.
        sleep(ManagerConfig::default().reconcile / 2).await;
        let submitted = Instant::now();
        submit(&grid, request()).await.unwrap();
        let (lease, wait) = (Duration::from_secs(2), Duration::from_secs(20));
        assert_eq!(grid.tasks.receive(1, lease, wait).await.unwrap().len(), 1);
        assert_eq!(submitted.elapsed(), Duration::ZERO);
        stop.cancel();
        leader.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_entry_is_not_taken_off_the_list_by_the_end_of_the_round_before() {
        let (grid, job) = (infra::memory::grid(), JobId::new("job"));
        let key = RowKey { partition: ACTIVE.to_owned(), sort: job.as_str().to_owned() };
        announce(&grid, &job, 0).await.unwrap();
        deactivate(&grid, &job, 1, 0).await.unwrap();
        assert_eq!(grid.state.get(&key).await.unwrap(), None);
        announce(&grid, &job, 1).await.unwrap();
        // Late, and once more: the new entry has the version of the old one.
        deactivate(&grid, &job, 1, 0).await.unwrap();
        assert!(grid.state.get(&key).await.unwrap().is_some());
        deactivate(&grid, &job, 1, 1).await.unwrap();
        assert_eq!(grid.state.get(&key).await.unwrap(), None);
    }
}

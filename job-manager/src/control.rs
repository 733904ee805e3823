//! What people wish of a job: cancel, pause, resume. Written into the job's rows, by any manager; the one that leads
//! reads it there.

use grid_core::ids::JobId;
use grid_core::job::{JobState, META, Meta, Wish};
use grid_core::rows::{ACTIVE, ActiveRow, JOBS, JobRow, job_partition};
use infra::state::{Expect, RowKey, Write};
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::submit::{encode, read_row, tell_leader, write};

/// Why a wish is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such job.
    #[error("there is no job {0}")]
    NotFound(JobId),
    /// It comes too late, or too early.
    #[error("job {job} is {}: it cannot be {wished}", state.as_str())]
    Conflict {
        /// The job.
        job: JobId,
        /// Where it stands.
        state: JobState,
        /// What was wished, as a participle.
        wished: &'static str,
    },
    /// A back end failed: the wish may have been written or not, and may be repeated.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

/// Tries to write a row that others write too.
const TRIES: u32 = 8;

/// Ends a job: nothing more of it is handed out, what runs is stopped, and what is committed all the same is kept and
/// not counted. Answers the state that the job is in now. A job that is cancelled already stays so.
pub async fn cancel(grid: &Grid, job: &JobId) -> Result<JobState, ControlError> {
    fulfil(grid, job, Wish::Cancel).await
}

/// Hands out nothing more of a job; what runs goes on to its end, and counts.
pub async fn pause(grid: &Grid, job: &JobId) -> Result<JobState, ControlError> {
    fulfil(grid, job, Wish::Pause).await
}

/// Goes on with a job that is paused.
pub async fn resume(grid: &Grid, job: &JobId) -> Result<JobState, ControlError> {
    fulfil(grid, job, Wish::Resume).await
}

async fn fulfil(grid: &Grid, job: &JobId, wish: Wish) -> Result<JobState, ControlError> {
    let head = head(grid, job).await?;
    for _ in 0..TRIES {
        let found = read_meta(grid, job).await?;
        let now = found.as_ref().map_or_else(|| Meta::new(&head.pipeline), |found| found.meta.clone());
        let refused = |state| ControlError::Conflict { job: job.clone(), state, wished: participle(wish) };
        let then = now.clone().after(wish, grid.clock.now_ms()).map_err(refused)?;
        if then == now || put_meta(grid, job, found, &then).await? {
            // Also when nothing changed: whoever wrote it may have died before the leader was told.
            if then.state == JobState::Cancelled && then.owed.is_none() {
                return Ok(then.state);
            }
            announce(grid, job).await?;
            return Ok(then.state);
        }
    }
    Err(busy(job).into())
}

/// The job in the list of all jobs.
pub(crate) async fn head(grid: &Grid, job: &JobId) -> Result<JobRow, ControlError> {
    let found = read_row::<JobRow>(grid, JOBS, job.as_str()).await?;
    found.map(|(_, row)| row).ok_or_else(|| ControlError::NotFound(job.clone()))
}

struct FoundMeta {
    version: u64,
    epoch: u64,
    meta: Meta,
}

fn meta_key(job: &JobId) -> RowKey {
    RowKey { partition: job_partition(job), sort: META.to_owned() }
}

async fn read_meta(grid: &Grid, job: &JobId) -> Result<Option<FoundMeta>, ManagerError> {
    let Some(row) = grid.state.get(&meta_key(job)).await? else { return Ok(None) };
    let meta = Meta::read(&row.body).map_err(|error| ManagerError::damaged(format!("job {job}"), error))?;
    Ok(Some(FoundMeta { version: row.version, epoch: row.epoch, meta }))
}

/// Writes the job's own row unless somebody else has; in the epoch that it was written in, since a wish is no leader's.
async fn put_meta(grid: &Grid, job: &JobId, found: Option<FoundMeta>, meta: &Meta) -> Result<bool, ManagerError> {
    let (expect, epoch) = found.map_or((Expect::Absent, 0), |found| (Expect::Version(found.version), found.epoch));
    is_written(grid, Write { key: meta_key(job), expect, epoch, body: Some(encode(meta)) }).await
}

/// Writes the job's entry in the list of active jobs anew: by its version the leader sees that something was written.
/// A hint makes it look there at once.
async fn announce(grid: &Grid, job: &JobId) -> Result<(), ManagerError> {
    for _ in 0..TRIES {
        let found = read_row::<ActiveRow>(grid, ACTIVE, job.as_str()).await?;
        let (expect, row) = match found {
            Some((version, row)) => (Expect::Version(version), row),
            None => (Expect::Absent, ActiveRow::default()),
        };
        if is_written(grid, write(ACTIVE, job.as_str(), expect, &row)).await? {
            tell_leader(grid, job).await;
            return Ok(());
        }
    }
    Err(busy(job))
}

/// Whether one write was applied, and not refused because somebody else was first.
async fn is_written(grid: &Grid, write: Write) -> Result<bool, ManagerError> {
    match grid.state.write(vec![write]).await?.into_iter().next() {
        Some(Err(error)) if error.kind == ErrorKind::Conflict => Ok(false),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(true),
    }
}

fn busy(job: &JobId) -> ManagerError {
    let context = format!("the rows of job {job} change too fast to be written");
    ManagerError::Store(infra::Error::new(ErrorKind::Throttled, context))
}

fn participle(wish: Wish) -> &'static str {
    match wish {
        Wish::Cancel => "cancelled",
        Wish::Pause => "paused",
        Wish::Resume => "resumed",
    }
}

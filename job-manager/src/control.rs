//! What people wish of a job: cancel, pause, resume, redrive. Written into the job's rows, by any manager; the one that leads
//! reads it there.

use std::collections::BTreeMap;

use grid_core::filter::Filter;
use grid_core::ids::JobId;
use grid_core::job::{Job, JobState, META, Meta, Redrive, Wish};
use grid_core::limits::{MAX_SET_BYTES, MAX_SETS};
use grid_core::rows::{ACTIVE, ActiveRow, JOBS, JobRow, job_partition};
use infra::state::{Expect, RowKey, Write};
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::planning::regroup;
use crate::redrive::meant;
use crate::submit::{encode, read_row, tell_leader};
use crate::table::JobTable;

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
    /// What was wished is wrong in itself.
    #[error("{}", messages(.0))]
    Invalid(Vec<InvalidWish>),
    /// A back end failed: the wish may have been written or not, and may be repeated.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

/// What is wrong with a wish, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidWish {
    /// `/where`, or `/set/NAME`.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// Failed items that run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redriven {
    /// How many items were meant. With none nothing was done, but for a job that failed without a failed item: that is
    /// taken up again where it was.
    pub items: u64,
    /// Where the job stands now.
    pub state: JobState,
}

/// The name by which [`redrive`] sets the memory limit; a parameter cannot be called so.
pub const SET_MEMORY: &str = "resources.memory";

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

/// Runs failed items of a job again that has failed, or has succeeded without them: those that `filter` means (see
/// [`grid_core::filter`]), all without it. Each gets a new set of attempts, and what was left out because of them runs
/// too. Items without which something else was done already stay as they are.
///
/// `set` gives parameters of the pipeline other values for these items alone, and by [`SET_MEMORY`] a multiple of their
/// memory limit (`x2`). A job with parameters so set is no source of results for later jobs.
pub async fn redrive(
    grid: &Grid,
    job: &JobId,
    filter: Option<&str>,
    set: &BTreeMap<String, String>,
) -> Result<Redriven, ControlError> {
    head(grid, job).await?;
    let mut read = JobTable::load(grid, job).await?.job;
    let wish = wish_of(&read, filter, set).map_err(ControlError::Invalid)?;
    regroup(grid, &mut read).await.map_err(ManagerError::Store)?;
    let items = meant(grid, &read, wish.filter.as_ref()).await?.len() as u64;
    let is_needless = items == 0 && (wish.filter.is_some() || read.state() == JobState::Succeeded);
    if is_needless && read.meta().clone().after(&Wish::Redrive(wish.clone()), 0).is_ok() {
        return Ok(Redriven { items, state: read.state() });
    }
    let state = fulfil(grid, job, Wish::Redrive(wish)).await?;
    Ok(Redriven { items, state })
}

/// As [`redrive`], of everything; somebody else may have wished it already.
pub(crate) async fn redrive_all(grid: &Grid, job: &JobId) -> Result<(), ManagerError> {
    match fulfil(grid, job, Wish::Redrive(Redrive::default())).await {
        Ok(_) | Err(ControlError::Conflict { .. } | ControlError::NotFound(_) | ControlError::Invalid(_)) => Ok(()),
        Err(ControlError::Manager(error)) => Err(error),
    }
}

fn wish_of(job: &Job, filter: Option<&str>, set: &BTreeMap<String, String>) -> Result<Redrive, Vec<InvalidWish>> {
    let mut faults = Vec::new();
    let mut fault = |pointer: String, message: String| faults.push(InvalidWish { pointer, message });
    let pipeline = &job.submission().pipeline;
    let mut wish = Redrive::default();
    match filter.map(str::parse::<Filter>) {
        None => {}
        Some(Err(error)) => fault("/where".into(), error.to_string()),
        Some(Ok(filter)) => {
            for stage in
                filter.stages().into_iter().filter(|name| pipeline.stages.iter().all(|s| s.name.as_str() != *name))
            {
                fault("/where".into(), format!("the pipeline has no stage `{stage}`"));
            }
            wish.filter = Some(filter);
        }
    }
    for (name, value) in set {
        let pointer = || format!("/set/{name}");
        if name == SET_MEMORY {
            wish.memory_factor =
                value.strip_prefix('x').and_then(|n| n.parse().ok()).filter(|n: &f64| *n > 0.0 && n.is_finite());
            if wish.memory_factor.is_none() {
                fault(pointer(), format!("`{value}` is no multiple of the memory limit, such as `x2`"));
            }
        } else if let Err(wrong) = pipeline.check_param(name, value) {
            fault(pointer(), wrong);
        } else {
            wish.params.insert(name.clone(), value.clone());
        }
    }
    if set.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_SET_BYTES {
        fault("/set".into(), format!("names and values have more than {MAX_SET_BYTES} bytes"));
    }
    if !job.has_room_for(&wish.params) {
        fault("/set".into(), format!("{MAX_SETS} different sets of parameters are the most that a job can have"));
    }
    if faults.is_empty() { Ok(wish) } else { Err(faults) }
}

fn messages(faults: &[InvalidWish]) -> String {
    faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
}

async fn fulfil(grid: &Grid, job: &JobId, wish: Wish) -> Result<JobState, ControlError> {
    let head = head(grid, job).await?;
    for _ in 0..TRIES {
        let found = read_meta(grid, job).await?;
        let now = found.as_ref().map_or_else(|| Meta::new(&head.pipeline), |found| found.meta.clone());
        let refused = |state| ControlError::Conflict { job: job.clone(), state, wished: participle(&wish) };
        let then = now.clone().after(&wish, grid.clock.now_ms()).map_err(refused)?;
        if then == now || put_meta(grid, job, found, &then).await? {
            // Also when nothing changed: whoever wrote it may have died before the leader was told.
            if then.state == JobState::Cancelled && then.owed.is_none() {
                return Ok(then.state);
            }
            announce(grid, job, then.round).await?;
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

/// Where a job stands; `None` as long as nobody has taken it on or wished anything of it.
pub(crate) async fn read_state(grid: &Grid, job: &JobId) -> Result<Option<Meta>, ManagerError> {
    Ok(read_meta(grid, job).await?.map(|found| found.meta))
}

async fn read_meta(grid: &Grid, job: &JobId) -> Result<Option<FoundMeta>, ManagerError> {
    let Some(row) = grid.state.get(&meta_key(job)).await? else { return Ok(None) };
    let meta = Meta::read(&row.body).map_err(|error| ManagerError::damaged(format!("job {job}"), error))?;
    Ok(Some(FoundMeta { version: row.version, epoch: row.epoch, meta }))
}

/// Writes the job's own row unless somebody else has; in the epoch that it was written in, since a wish is no leader's.
async fn put_meta(grid: &Grid, job: &JobId, found: Option<FoundMeta>, meta: &Meta) -> Result<bool, ManagerError> {
    let (expect, epoch) = found.map_or((Expect::Absent, 0), |found| (Expect::Version(found.version), found.epoch));
    is_written(grid, Write { key: meta_key(job), expect, epoch, body: Some(encode(meta)), expires_ms: None }).await
}

/// Writes the job's entry in the list of active jobs anew: by its version the leader sees that something was written. Its epoch is the
/// round that the job is in: an entry that was taken off the list begins again at version 1, and whoever takes off that of a round that
/// has ended, perhaps much later, must not take off that of the next. A hint makes the leader look there at once.
pub(crate) async fn announce(grid: &Grid, job: &JobId, round: u32) -> Result<(), ManagerError> {
    let key = RowKey { partition: ACTIVE.to_owned(), sort: job.as_str().to_owned() };
    for _ in 0..TRIES {
        let (expect, epoch, body) = match grid.state.get(&key).await? {
            Some(row) => (Expect::Version(row.version), row.epoch, row.body),
            None => (Expect::Absent, 0, encode(&ActiveRow::default())),
        };
        let epoch = epoch.max(u64::from(round));
        if is_written(grid, Write { key: key.clone(), expect, epoch, body: Some(body), expires_ms: None }).await? {
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

fn participle(wish: &Wish) -> &'static str {
    match wish {
        Wish::Cancel => "cancelled",
        Wish::Pause => "paused",
        Wish::Resume => "resumed",
        Wish::Redrive(_) => "redriven",
    }
}

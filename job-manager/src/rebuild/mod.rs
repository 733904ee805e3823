//! The state table made again from the bucket alone: the manifests there are the truth, the table is an index of them.
//!
//! Of a job its submission, plans, manifests, receipt and tombstone are read. What only the table knew is gone: API
//! tokens, idempotency keys, a pause, a wish of which nothing was done yet, and which tasks were out. The last could do
//! harm, since no item may be handed out in two tasks: so rebuilding begins when no worker has a task in hand, and takes
//! those that wait on the queues for what is out.

mod bucket;
mod handed;
mod job;
mod lead;
mod table;

use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::JobState;
use infra::Grid;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::handed::Handed;
use crate::ManagerError;
use crate::error::{Remedy, with_causes};
use crate::lease::Kept;

/// How a table is made again.
#[derive(Clone, Debug)]
pub struct RebuildConfig {
    /// What becomes of jobs that the table has.
    pub existing: Existing,
    /// What becomes of jobs that have not ended.
    pub unfinished: Unfinished,
    /// How long one look at the queues waits for messages.
    pub poll: Duration,
}

/// What becomes of jobs that the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// With a single one of them nothing is done.
    Refuse,
    /// They stay as they are; the others are made again.
    Keep,
    /// They are made again like the others, and their rows replaced.
    Replace,
}

/// What becomes of jobs that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// They go on as soon as a manager leads.
    Run,
    /// They wait until somebody resumes them.
    Pause,
}

/// What is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebuildNews {
    /// A manager led a short while ago: it is waited for, in case it is dead.
    Led(String),
    /// Workers have about so many tasks in hand: nothing is done before they have ended or were given back.
    InHand(u64),
    /// A job was made again.
    Job(RebuiltJob),
    /// The table has this job: it was left as it is.
    Kept(JobId),
    /// There are files of a job that was never accepted.
    NeverAccepted(JobId),
    /// This job cannot be made again; the others can.
    Broken(JobId, String),
}

/// A job that was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltJob {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Manifests that it was made from.
    pub manifests: u64,
    /// Rows that were written.
    pub rows: u64,
}

/// What was done in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Jobs that were made again.
    pub jobs: u64,
    /// Of those, jobs that have not ended.
    pub unfinished: u64,
    /// Jobs that were left as they are.
    pub kept: u64,
    /// Jobs that cannot be made again.
    pub broken: u64,
}

/// Why a table is not made again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody has to say what becomes of the jobs that are there.
    #[error("the state table has jobs already, such as {0}")]
    NotEmpty(JobId),
    /// Only one may lead, and write rows.
    #[error("a manager leads: {0}")]
    Led(String),
    /// Somebody else has taken the lead meanwhile, or the table did not answer for too long.
    #[error("the lead was lost: {0}")]
    LeadLost(String),
    /// A back end fails. Everything may be done again.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

/// Tries while a back end fails.
const TRIES: u32 = 8;
/// The wait after the first of them; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Makes the state table again, as the manager that leads: refused while another one does. In memory there is one job at a
/// time, a few bits an item of it.
pub async fn rebuild(
    grid: &Grid,
    config: &RebuildConfig,
    mut tell: impl FnMut(RebuildNews) + Send,
) -> Result<Rebuilt, RebuildError> {
    if config.existing == Existing::Refuse
        && let Some(job) = table::any_job(grid).await?
    {
        return Err(RebuildError::NotEmpty(job));
    }
    let (claim, lead) = lead::take(grid, &mut tell).await?;
    let (epoch, done) = (lead.epoch, CancellationToken::new());
    let keeping = claim.keep(lead, &done);
    tokio::pin!(keeping);
    let rebuilt = tokio::select! {
        rebuilt = rebuild_all(grid, config, epoch, &mut tell) => rebuilt,
        kept = &mut keeping => return Err(lost(kept?)),
    };
    done.cancel();
    match keeping.await? {
        Kept::Held(lead) => claim.release(lead).await,
        kept @ Kept::Lost(_) => return Err(lost(kept)),
    }
    Ok(rebuilt?)
}

fn lost(kept: Kept) -> RebuildError {
    match kept {
        Kept::Lost(why) => RebuildError::LeadLost(why),
        Kept::Held(_) => RebuildError::LeadLost("it was handed back".into()),
    }
}

async fn rebuild_all(
    grid: &Grid,
    config: &RebuildConfig,
    epoch: u64,
    tell: &mut (impl FnMut(RebuildNews) + Send),
) -> Result<Rebuilt, ManagerError> {
    let mut handed = Handed::default();
    let rebuilt = async {
        handed.gather(grid, config.poll, tell).await?;
        rebuild_jobs(grid, config, epoch, &handed, tell).await
    };
    let rebuilt = rebuilt.await;
    match &rebuilt {
        Ok(_) => handed.forget(grid).await,
        Err(_) => handed.give_back(grid).await,
    }
    rebuilt
}

async fn rebuild_jobs(
    grid: &Grid,
    config: &RebuildConfig,
    epoch: u64,
    handed: &Handed,
    tell: &mut (impl FnMut(RebuildNews) + Send),
) -> Result<Rebuilt, ManagerError> {
    let mut rebuilt = Rebuilt::default();
    let mut last: Option<JobId> = None;
    while let Some(id) = patiently(async || bucket::next_job(grid, last.as_ref()).await).await? {
        if config.existing == Existing::Keep && patiently(async || table::is_listed(grid, &id).await).await? {
            rebuilt.kept += 1;
            tell(RebuildNews::Kept(id.clone()));
        } else {
            rebuilt.count(job::rebuild_job(grid, config, epoch, handed, &id).await, &id, tell)?;
        }
        last = Some(id);
    }
    Ok(rebuilt)
}

impl Rebuilt {
    fn count(
        &mut self,
        made: Result<Option<RebuiltJob>, ManagerError>,
        id: &JobId,
        tell: &mut impl FnMut(RebuildNews),
    ) -> Result<(), ManagerError> {
        match made {
            Ok(Some(made)) => {
                self.jobs += 1;
                self.unfinished += u64::from(!made.state.is_final());
                tell(RebuildNews::Job(made));
            }
            Ok(None) => tell(RebuildNews::NeverAccepted(id.clone())),
            Err(error) if error.remedy() == Remedy::Blame => {
                self.broken += 1;
                tell(RebuildNews::Broken(id.clone(), with_causes(&error)));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Does something that may be done again, until it works, fails for good, or has failed too often.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, ManagerError>) -> Result<T, ManagerError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.remedy() == Remedy::Wait => {
                tracing::warn!(error = with_causes(&error), "a back end fails; trying again");
            }
            done => return done,
        }
        sleep(wait).await;
        wait *= 2;
    }
    attempt().await
}

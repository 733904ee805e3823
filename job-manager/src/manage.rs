//! A manager among others: it stands by, leads, and stands by again.

use std::time::Duration;

use grid_core::random::Random;
use infra::Grid;
use infra::requests::Account;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::ManagerError;
use crate::config::ManagerConfig;
use crate::error::{Remedy, with_causes};
use crate::lead::{Term, reign};
use crate::lease::{Claim, Kept, Lead, Look, Sight};
use crate::pause::{after_fault, pause};
use crate::roster::Roster;
use crate::status::Progress;

/// How long a leader that is told to stop may take to write what it knows. It would be done again by the next one.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What a manager is to the grid at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It serves, and waits for the lead.
    StandsBy {
        /// What the leader is called, if there is one in sight.
        leader: Option<String>,
    },
    /// It looks after the jobs.
    Leads {
        /// Higher than that of any leader before.
        epoch: u64,
    },
}

impl Default for Role {
    fn default() -> Self {
        Self::StandsBy { leader: None }
    }
}

/// How a lead came to its end.
enum Ended {
    Stopped,
    Lost(String),
}

/// Takes part in a grid until `stop`: of all that do, one leads, and the others stand by to take its place.
///
/// `progress` tells of the jobs as long as this manager leads, and is empty otherwise; `role` says which it is. Back ends
/// that fail are waited for; an error is one that waiting does not mend. After `stop` the lead is handed back. Dropping
/// the future is like the death of the process.
pub async fn manage(
    grid: Grid,
    config: ManagerConfig,
    progress: watch::Sender<Progress>,
    role: watch::Sender<Role>,
    stop: CancellationToken,
) -> Result<(), ManagerError> {
    let claim = Claim::new(&grid, &config);
    let mut random = Random::from_seed(config.seed);
    while let Some(lead) = stand_by(&claim, &mut random, &role, &stop).await? {
        let epoch = lead.epoch;
        tracing::info!(epoch, "taking the lead");
        role.send_replace(Role::Leads { epoch });
        let account = Account::default();
        let term = Term { epoch, roster: Roster::rows(), account: account.clone() };
        let reign = reign(grid.clone(), config.clone(), term, progress.clone(), stop.clone());
        let ended = hold((&claim, lead), &account, reign, &stop).await;
        role.send_replace(Role::default());
        progress.send_replace(Progress::default());
        match ended? {
            Ended::Stopped => return Ok(()),
            Ended::Lost(why) => tracing::warn!(epoch, why, "the lead is lost; standing by"),
        }
    }
    Ok(())
}

/// Waits for the lead; nothing when somebody said stop before.
async fn stand_by(
    claim: &Claim,
    random: &mut Random,
    role: &watch::Sender<Role>,
    stop: &CancellationToken,
) -> Result<Option<Lead>, ManagerError> {
    let mut sight = Sight::default();
    let mut is_blind = false;
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            looked = claim.look(&mut sight) => looked,
        };
        match looked {
            Ok(Look::Taken(lead)) => return Ok(Some(lead)),
            Ok(Look::Other(row)) => {
                is_blind = false;
                let next_look = sight.next_look(&row, Instant::now());
                role.send_if_modified(|role| {
                    let now = Role::StandsBy { leader: Some(row.name) };
                    let is_news = *role != now;
                    *role = now;
                    is_news
                });
                _ = timeout_at(next_look, stop.cancelled()).await;
            }
            Err(error) if error.remedy() == Remedy::Wait => {
                if !is_blind {
                    tracing::warn!(error = with_causes(&error), "cannot see who leads; goes on trying");
                }
                is_blind = true;
                pause(after_fault(random), stop).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Leads for as long as the lead can be kept, and hands it back.
async fn hold(
    (claim, lead): (&Claim, Lead),
    account: &Account,
    reign: impl Future<Output = Result<(), ManagerError>> + Send,
    stop: &CancellationToken,
) -> Result<Ended, ManagerError> {
    let done = CancellationToken::new();
    // A task of its own: a leader that is busy for long does not lose the lead by it.
    let mut keeper = AbortOnDropHandle::new(tokio::spawn(account.of({
        let (claim, done) = (claim.clone(), done.clone());
        async move { claim.keep(lead, &done).await }
    })));
    let mut reign = Box::pin(reign);
    let ruled = tokio::select! {
        biased;
        kept = &mut keeper => return lost(kept),
        ruled = &mut reign => ruled,
        () = long_after(stop) => {
            tracing::warn!("stopped without writing everything: the next leader does it again");
            Ok(())
        }
    };
    drop(reign);
    done.cancel();
    if let Ok(Ok(Kept::Held(lead))) = keeper.await {
        claim.release(lead).await;
    }
    match ruled {
        Ok(()) => Ok(Ended::Stopped),
        Err(ManagerError::Fenced) => Ok(Ended::Lost(ManagerError::Fenced.to_string())),
        // Only when it was told to stop: before, such errors are waited for.
        Err(error) if error.remedy() == Remedy::Wait => {
            let error = with_causes(&error);
            tracing::warn!(error, "stopped without writing everything: the next leader does it again");
            Ok(Ended::Stopped)
        }
        Err(error) => Err(error),
    }
}

async fn long_after(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(STOP_PATIENCE).await;
}

/// The keeper has ended before its time.
fn lost(kept: Result<Result<Kept, ManagerError>, tokio::task::JoinError>) -> Result<Ended, ManagerError> {
    match kept {
        Ok(Ok(Kept::Lost(why))) => Ok(Ended::Lost(why)),
        Ok(Ok(Kept::Held(_))) => Ok(Ended::Lost("it was no longer kept".into())),
        Ok(Err(error)) => Err(error),
        Err(error) => Ok(Ended::Lost(format!("the task that keeps it broke: {error}"))),
    }
}

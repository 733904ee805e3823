//! The lead as a lease: taken, renewed, handed back.
//!
//! No rule compares two machines' clocks. Whoever stands by counts how long the leader's row has not changed; the leader
//! counts from before the write that changed it, and so comes to its end first. All this only saves work: what keeps two
//! leaders from spoiling anything are the conditions on versions and epochs under which every row is written.

use std::time::Duration;

use grid_core::random::Random;
use grid_core::rows::{LEADER, LeaderRow};
use infra::state::Expect;
use infra::{ErrorKind, Grid};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ManagerError;
use crate::config::ManagerConfig;
use crate::error::{Remedy, with_causes};
use crate::pause::{after_fault, pause};
use crate::submit::{read_row, write};

/// How long handing back may take: a standby that hears nothing waits for the lease to end.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Whatever a row says, looks are not closer together.
const SOONEST_LOOK: Duration = Duration::from_millis(100);

/// Looks for a renewal that is due, within the time of one; after that the leader is late, or dead.
const LOOKS_FOR_RENEWAL: u32 = 8;

/// One manager's claim to the lead, with which it marks the leader's row as its own.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    grid: Grid,
    name: String,
    life: String,
    lease: Duration,
    seed: u64,
}

/// The lead, until this manager's clock says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    /// Higher than that of any leader before.
    pub epoch: u64,
    version: u64,
    /// From then on another manager may have it.
    until: Instant,
    renew_at: Instant,
}

/// What one look at the leader's row came to.
#[derive(Debug)]
pub(crate) enum Look {
    /// This manager leads.
    Taken(Lead),
    /// Another one does.
    Other(LeaderRow),
}

/// How the lead was kept.
#[derive(Debug)]
pub(crate) enum Kept {
    /// To the end.
    Held(Lead),
    /// It is lost.
    Lost(String),
}

/// What a manager that stands by knows of the leader's row.
///
/// The lead is free one lease after the row was *seen* to change. So that this is soon after it did, looks follow the leader's
/// renewals: each comes a little earlier than the one before, until it comes before the renewal; then they are close together
/// until that is seen.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The version that the row has now, since when it was seen to have it, and how many looks saw it again.
    seen: Option<(u64, Instant, u32)>,
}

impl Sight {
    /// Whether the lead may be taken from this leader, whose row had this version just now.
    fn is_free(&mut self, version: u64, row: &LeaderRow, now: Instant) -> bool {
        let (since, again) = match self.seen {
            Some((seen, since, again)) if seen == version => (since, again.saturating_add(1)),
            _ => (now, 0),
        };
        self.seen = Some((version, since, again));
        now.duration_since(since) >= Duration::from_millis(row.lease_ms)
    }

    /// When to look again at this row.
    pub fn next_look(&self, row: &LeaderRow, now: Instant) -> Instant {
        let lease = Duration::from_millis(row.lease_ms);
        let Some((_, since, again)) = self.seen else { return now + SOONEST_LOOK };
        let pause = match again {
            0 => renewal(lease) * 63 / 64,
            1..=LOOKS_FOR_RENEWAL => renewal(lease) / LOOKS_FOR_RENEWAL,
            _ => renewal(lease),
        };
        (now + pause).min(since + lease).max(now + SOONEST_LOOK)
    }
}

/// Time between two renewals.
fn renewal(lease: Duration) -> Duration {
    lease / 3
}

impl Claim {
    pub fn new(grid: &Grid, config: &ManagerConfig) -> Self {
        let (name, life) = (config.name.clone(), grid.clock.new_id().to_string());
        Self { grid: grid.clone(), name, life, lease: config.lease, seed: config.seed }
    }

    /// A claim that whoever comes next may push aside.
    pub fn without_lease(grid: &Grid, config: &ManagerConfig) -> Self {
        Self { lease: Duration::ZERO, ..Self::new(grid, config) }
    }

    /// Takes the lead from whoever has it; the new epoch, or nothing when somebody said stop.
    pub async fn take_at_once(&self, stop: &CancellationToken) -> Result<Option<u64>, ManagerError> {
        let mut random = Random::from_seed(self.seed);
        loop {
            let taken = match self.read().await {
                Ok(found) => self.take(found).await,
                Err(error) => Err(error),
            };
            match taken {
                Ok(Some(lead)) => return Ok(Some(lead.epoch)),
                Ok(None) => return Err(ManagerError::Fenced),
                Err(error) if error.remedy() == Remedy::Wait => {
                    tracing::warn!(error = with_causes(&error), "the lead cannot be taken; trying again");
                    pause(after_fault(&mut random), stop).await;
                    if stop.is_cancelled() {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the leader's row, and takes the lead if it is free.
    pub async fn look(&self, sight: &mut Sight) -> Result<Look, ManagerError> {
        let found = self.read().await?;
        if let Some((version, row)) = &found {
            // Its own row is that of a write whose answer was lost, or of a lead that it has given up since.
            let is_own = row.life == self.life;
            if !is_own && !sight.is_free(*version, row, Instant::now()) {
                return Ok(Look::Other(row.clone()));
            }
        }
        match self.take(found).await? {
            Some(lead) => Ok(Look::Taken(lead)),
            None => Ok(self.read().await?.map_or(Look::Other(LeaderRow::default()), |(_, row)| Look::Other(row))),
        }
    }

    /// Renews the lead until `done`, or until it is lost: to another manager, or by this one's own clock.
    pub async fn keep(&self, mut lead: Lead, done: &CancellationToken) -> Result<Kept, ManagerError> {
        let mut random = Random::from_seed(self.seed);
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return Ok(Kept::Held(lead)),
                () = sleep_until(lead.renew_at) => {}
            }
            let asked = Instant::now();
            if asked >= lead.until {
                return Ok(Kept::Lost("it was not renewed in time".into()));
            }
            match timeout_at(lead.until, self.renew(&mut lead)).await {
                Ok(Ok(true)) => lead = self.lead(lead.epoch, lead.version, asked),
                Ok(Ok(false)) => return Ok(Kept::Lost("another manager has taken it".into())),
                Ok(Err(error)) if error.remedy() == Remedy::Wait => {
                    tracing::warn!(error = with_causes(&error), "the lead was not renewed; trying again");
                    lead.renew_at = asked + (self.lease / 15).mul_f64(0.5 + random.unit());
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(Kept::Lost("the state table did not answer in time".into())),
            }
        }
    }

    /// Hands the lead back, so that another manager takes it at once. When that fails the others wait for the lease to
    /// end.
    pub async fn release(&self, mut lead: Lead) {
        let row = LeaderRow { lease_ms: 0, ..self.row(lead.epoch) };
        match timeout(RELEASE_PATIENCE, self.write_own(&mut lead, &row)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(error = with_causes(&error), "the lead was not handed back"),
            Err(_) => tracing::warn!("the lead was not handed back: the state table does not answer"),
        }
    }

    async fn read(&self) -> Result<Option<(u64, LeaderRow)>, ManagerError> {
        read_row::<LeaderRow>(&self.grid, LEADER, LEADER).await
    }

    /// Takes the lead on condition that the row is as it was found; `None` when it is not.
    async fn take(&self, found: Option<(u64, LeaderRow)>) -> Result<Option<Lead>, ManagerError> {
        let epoch = found.as_ref().map_or(1, |(_, row)| row.epoch + 1);
        let expect = found.map_or(Expect::Absent, |(version, _)| Expect::Version(version));
        let asked = Instant::now();
        let version = self.put(expect, &self.row(epoch)).await?;
        Ok(version.map(|version| self.lead(epoch, version, asked)))
    }

    /// `Ok(false)` when the lead is another manager's.
    async fn renew(&self, lead: &mut Lead) -> Result<bool, ManagerError> {
        let row = self.row(lead.epoch);
        self.write_own(lead, &row).await
    }

    /// Writes the row of a lead, also when an earlier write of it was applied without an answer.
    async fn write_own(&self, lead: &mut Lead, row: &LeaderRow) -> Result<bool, ManagerError> {
        loop {
            if let Some(version) = self.put(Expect::Version(lead.version), row).await? {
                lead.version = version;
                return Ok(true);
            }
            match self.read().await? {
                Some((version, found)) if found.life == self.life && found.epoch == lead.epoch => {
                    lead.version = version;
                }
                _ => return Ok(false),
            }
        }
    }

    /// The row's new version; `None` when the condition does not hold.
    async fn put(&self, expect: Expect, row: &LeaderRow) -> Result<Option<u64>, ManagerError> {
        let mut answers = self.grid.state.write(vec![write(LEADER, LEADER, expect, row)]).await?;
        match answers.pop() {
            Some(Ok(version)) => Ok(Some(version)),
            Some(Err(error)) if error.kind == ErrorKind::Conflict => Ok(None),
            Some(Err(error)) => Err(error.into()),
            None => Err(infra::Error::new(ErrorKind::Unavailable, "the state table gave no answer to a write").into()),
        }
    }

    fn row(&self, epoch: u64) -> LeaderRow {
        let lease_ms = self.lease.as_millis() as u64;
        LeaderRow { epoch, name: self.name.clone(), life: self.life.clone(), lease_ms }
    }

    /// Ends a tenth early: for clocks that do not run alike, and for the time that it takes to stop.
    fn lead(&self, epoch: u64, version: u64, asked: Instant) -> Lead {
        Lead { epoch, version, until: asked + self.lease * 9 / 10, renew_at: asked + renewal(self.lease) }
    }
}

/// Refuses to go on when another manager has taken the lead since.
pub(crate) async fn check_lead(grid: &Grid, epoch: u64) -> Result<(), ManagerError> {
    let found = read_row::<LeaderRow>(grid, LEADER, LEADER).await?;
    if found.is_some_and(|(_, row)| row.epoch == epoch) { Ok(()) } else { Err(ManagerError::Fenced) }
}

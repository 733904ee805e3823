//! Accepting a job that came over HTTP: a new one every time, unless its idempotency key says otherwise.

use grid_core::ids::JobId;
use grid_core::limits::IDEMPOTENCY_KEPT;
use grid_core::rows::{IdempotencyRow, idempotency_partition};
use grid_core::spending::Spending;
use grid_core::submission::ProgramFile;
use infra::clock::Clock;
use infra::requests::Account;
use infra::state::{Expect, Write};
use infra::{ErrorKind, Grid};

use crate::ManagerError;
use crate::submit::{SubmitRequest, entries, hint, read_row, store, tell_leader, write};

/// A job to be accepted. Its uploads lie in its folder already.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id, made by [`new_job_id`].
    pub job: JobId,
    /// What is submitted.
    pub request: SubmitRequest,
    /// The files that came along for the folder in which commands run.
    pub program_files: Vec<ProgramFile>,
    /// On whose behalf; empty where there are no tenants.
    pub tenant: String,
    /// What makes a repeat of the request known.
    pub once: Option<Once>,
}

/// An idempotency key and what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Digest of tenant and key.
    pub key: String,
    /// Digest of what is submitted.
    pub body: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A job of its own.
    New(JobId),
    /// The same request was accepted before: this is its job.
    Before(JobId),
    /// The key was used before, for something else.
    OtherBody,
}

/// An id that sorts by time.
pub fn new_job_id(clock: &dyn Clock) -> JobId {
    JobId::new(clock.new_id().to_string())
}

impl Once {
    /// The key of a tenant, for what has the digest `body`.
    pub fn new(tenant: &str, key: &str, body: String) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes()).update(key.as_bytes());
        Self { key: hasher.finalize().to_hex().to_string(), body }
    }
}

/// What became of an earlier request under this key; `None` where there was none.
pub async fn earlier(grid: &Grid, once: &Once) -> Result<Option<Accepted>, ManagerError> {
    Ok(match look_up(grid, once).await? {
        Earlier::Taken(accepted) => Some(accepted),
        Earlier::Unused(_) => None,
    })
}

/// Accepts a job, or finds the one that its idempotency key stands for. A repeat of the call may find the key taken by
/// the first one, which is what the key is for.
pub async fn accept(grid: &Grid, new: NewJob) -> Result<Accepted, ManagerError> {
    let mut expect = match &new.once {
        Some(once) => match look_up(grid, once).await? {
            Earlier::Taken(accepted) => return Ok(accepted),
            Earlier::Unused(expect) => expect,
        },
        None => Expect::Absent,
    };
    let (job, once) = (new.job.clone(), new.once.clone());
    let digest = new.request.digest();
    let submission = store(grid, new).await?;
    let mut bill = Bill::default();
    for is_last in [false, true] {
        let entry = once.as_ref().map(|once| entry_of(grid, once, &job, expect));
        let rows = |asked| entries(&submission, &digest, asked).into_iter().chain(entry.clone()).collect::<Vec<_>>();
        let asked = bill.with(grid, &rows(Spending::NOTHING), &job);
        match (grid.state.transact(rows(asked)).await, &once) {
            (Ok(()), _) => break,
            // Another request with this key was faster, or an earlier try of this write was applied; or the table has
            // removed the row of a key whose time was over, at this moment.
            (Err(error), Some(once)) if error.kind == ErrorKind::Conflict => match look_up(grid, once).await? {
                Earlier::Taken(Accepted::Before(found)) if found == job => break,
                Earlier::Taken(accepted) => return Ok(accepted),
                Earlier::Unused(_) if is_last => return Err(error.into()),
                Earlier::Unused(now) => expect = now,
            },
            (Err(error), _) => return Err(error.into()),
        }
    }
    tell_leader(grid, &job).await;
    bill.end();
    Ok(Accepted::New(job))
}

/// What a submission asks of services, for its job to be charged with: all that is asked on the [account](Account) under which
/// it is accepted. It is written down in the last write, which tells of itself and of the hint that follows.
#[derive(Debug, Default)]
struct Bill(Spending);

impl Bill {
    /// All until now, and what writing these rows and telling the leader is going to ask.
    fn with(&mut self, grid: &Grid, rows: &[Write], job: &JobId) -> Spending {
        let Some(account) = Account::current() else { return Spending::NOTHING };
        self.0.add(&account.take());
        let mut asked = self.0.clone();
        asked.add(&grid.state.transact_asks(rows));
        asked.add(&grid.reports.send_asks(&[hint(job)]));
        asked
    }

    /// What was asked since was told before.
    fn end(self) {
        _ = Account::current().map(|account| account.take());
    }
}

/// The row that makes a key stand for a job.
fn entry_of(grid: &Grid, once: &Once, job: &JobId, expect: Expect) -> Write {
    let expires_ms = grid.clock.now_ms().saturating_add(IDEMPOTENCY_KEPT.as_millis() as u64);
    let row = IdempotencyRow { job: job.clone(), body: once.body.clone(), expires_ms };
    let entry = write(&idempotency_partition(&once.key), &once.key, expect, &row);
    Write { expires_ms: Some(expires_ms), ..entry }
}

enum Earlier {
    Taken(Accepted),
    Unused(Expect),
}

async fn look_up(grid: &Grid, once: &Once) -> Result<Earlier, ManagerError> {
    let found = read_row::<IdempotencyRow>(grid, &idempotency_partition(&once.key), &once.key).await?;
    Ok(match found {
        None => Earlier::Unused(Expect::Absent),
        Some((version, row)) if row.expires_ms <= grid.clock.now_ms() => Earlier::Unused(Expect::Version(version)),
        Some((_, row)) if row.body == once.body => Earlier::Taken(Accepted::Before(row.job)),
        Some(_) => Earlier::Taken(Accepted::OtherBody),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::all_jobs;

    fn new(grid: &Grid, once: Option<Once>) -> NewJob {
        let text = "name: one\nstages:\n  work:\n    range: 1..1\n    run: [\"true\"]\n";
        let request = SubmitRequest::of_defaults(grid_core::pipeline::parse(text, "pipeline.yaml").unwrap()).unwrap();
        NewJob {
            job: new_job_id(grid.clock.as_ref()),
            request,
            program_files: Vec::new(),
            tenant: "finance".into(),
            once,
        }
    }

    fn once(tenant: &str, body: &str) -> Option<Once> {
        Some(Once::new(tenant, "key", body.into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_stands_for_one_job_of_its_tenant_and_for_one_body() {
        let grid = infra::memory::grid();
        let first = new(&grid, once("finance", "body"));
        let job = first.job.clone();
        assert_eq!(accept(&grid, first).await.unwrap(), Accepted::New(job.clone()));
        assert_eq!(accept(&grid, new(&grid, once("finance", "body"))).await.unwrap(), Accepted::Before(job.clone()));
        assert_eq!(accept(&grid, new(&grid, once("finance", "other"))).await.unwrap(), Accepted::OtherBody);
        assert!(matches!(accept(&grid, new(&grid, once("sales", "body"))).await.unwrap(), Accepted::New(_)));
        assert_eq!(all_jobs(&grid).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_key_every_request_is_a_job() {
        let grid = infra::memory::grid();
        for jobs in 1..=2 {
            assert!(matches!(accept(&grid, new(&grid, None)).await.unwrap(), Accepted::New(_)));
            assert_eq!(all_jobs(&grid).await.unwrap().len(), jobs);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_means_nothing_after_its_time() {
        let grid = infra::memory::grid();
        accept(&grid, new(&grid, once("finance", "body"))).await.unwrap();
        tokio::time::advance(IDEMPOTENCY_KEPT).await;
        assert!(matches!(accept(&grid, new(&grid, once("finance", "other"))).await.unwrap(), Accepted::New(_)));
        assert_eq!(accept(&grid, new(&grid, once("finance", "body"))).await.unwrap(), Accepted::OtherBody);
    }

    #[tokio::test]
    async fn of_requests_at_the_same_moment_one_makes_the_job() {
        // Its calls wait, so that all requests look the key up before one has written it.
        let dir = tempfile::tempdir().unwrap();
        let (_state, grid) = infra::embedded::StateDir::open(dir.path()).unwrap();
        let requests = (0..8).map(|_| accept(&grid, new(&grid, once("finance", "body"))));
        let answers = futures::future::try_join_all(requests).await.unwrap();
        let made = answers.iter().filter(|answer| matches!(answer, Accepted::New(_))).count();
        assert_eq!((made, all_jobs(&grid).await.unwrap().len()), (1, 1));
    }
}

//! What the leader asks of services, and what that costs: each request is some job's, and no two jobs'. What the same process
//! asks to answer people is not the leader's; of that, only what a submission asks is its job's, whoever took it.

use std::sync::Arc;

use grid_core::job::Job;
use grid_core::price::PriceList;
use infra::requests::Account;

/// What was asked and is no job's yet, and the prices.
#[derive(Debug)]
pub(crate) struct Accounts {
    account: Account,
    pub prices: Arc<PriceList>,
}

impl Accounts {
    pub fn new(account: Account, prices: Arc<PriceList>) -> Self {
        Self { account, prices }
    }

    /// A future whose requests are the leader's.
    pub fn of<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.account.of(future)
    }

    /// What was asked since the last time is this job's: of several under way, the one whose rows are written.
    pub fn charge(&self, job: &mut Job) {
        job.charge(&self.account.take());
    }

    /// The same, of a job whose round has ended: no row but its own is written any more.
    pub fn charge_end(&self, job: &mut Job) {
        job.charge_end(&self.account.take());
    }

    /// There is no job: what was asked since is nobody's.
    pub fn is_idle(&self) {
        self.account.take();
    }
}

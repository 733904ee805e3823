//! What the leader asks of services, and what that costs: each request is some job's, and no two jobs'.

use std::sync::Arc;

use grid_core::job::Job;
use grid_core::price::PriceList;
use infra::requests::{Meter, Requests};

/// What was asked and is no job's yet, and the prices.
#[derive(Debug)]
pub(crate) struct Accounts {
    meter: Meter,
    pub prices: Arc<PriceList>,
}

impl Accounts {
    pub fn new(requests: Requests, prices: Arc<PriceList>) -> Self {
        Self { meter: Meter::new(requests), prices }
    }

    /// What was asked since the last time is this job's: of several under way, the one whose rows are written.
    pub fn charge(&self, job: &mut Job) {
        job.charge(&self.meter.take());
    }

    /// There is no job: what was asked since is nobody's.
    pub fn is_idle(&self) {
        self.meter.take();
    }
}

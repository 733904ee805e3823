//! What a manager is told when it starts.

use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::job::Tuning;
use grid_core::limits::{BUNDLE_TARGET, REMOTE_BUNDLE_LEAST};
use grid_core::price::PriceList;
use grid_core::share::Agreements;

use crate::fleet::FleetConfig;

/// How a manager goes about its work.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// Items in a bundle.
    pub tuning: Tuning,
    /// Tasks handed out for every slot in sight: enough that no slot waits, few enough that priorities act at once.
    pub window_per_slot: u32,
    /// News is written at the latest after this long.
    pub flush: Duration,
    /// Time between two looks at what should be happening.
    pub reconcile: Duration,
    /// The same while there is no job: one that is submitted says so, and is found by this only when that was lost.
    pub idle_reconcile: Duration,
    /// A task is silent when nothing was heard of it for this long; a worker is gone.
    pub patience: Duration,
    /// How long a report is leased to this manager.
    pub report_lease: Duration,
    /// A task that is far slower than the others of its stage is copied once it has run for so long; none: nothing is copied, as where
    /// all slots are on one machine.
    pub copy_after: Option<Duration>,
    /// The one job to look after; all active ones without it.
    pub only: Option<JobId>,
    /// What people call this manager, in the leader's row and in logs.
    pub name: String,
    /// How long a leader that has gone without a word is waited for before another manager takes the lead. A leader renews
    /// its claim three times as often.
    pub lease: Duration,
    /// What is agreed with tenants about their share of the slots.
    pub agreements: Agreements,
    /// What requests and slots cost, for receipts; budgets are kept by the price of an hour of a slot.
    pub prices: Arc<PriceList>,
    /// The fleet to look after while it leads; none where machines come and go by other means.
    pub fleet: Option<FleetConfig>,
    /// Seed of the jitter.
    pub seed: u64,
}

impl ManagerConfig {
    /// On services elsewhere, where every call is paid: larger bundles, fewer writes, fewer looks.
    pub fn across_machines() -> Self {
        Self {
            tuning: Tuning::across_machines(),
            flush: Duration::from_secs(1),
            copy_after: Some(REMOTE_BUNDLE_LEAST),
            reconcile: Duration::from_secs(10),
            ..Self::default()
        }
    }
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            tuning: Tuning::default(),
            window_per_slot: 3,
            flush: Duration::from_millis(500),
            reconcile: Duration::from_secs(2),
            idle_reconcile: Duration::from_secs(60),
            patience: Duration::from_secs(6),
            report_lease: Duration::from_secs(30),
            copy_after: Some(BUNDLE_TARGET),
            only: None,
            name: String::new(),
            lease: Duration::from_secs(15),
            agreements: Agreements::new(),
            prices: Arc::new(PriceList::us_east_1().with_slot_hour(None)),
            fleet: None,
            seed: 0,
        }
    }
}

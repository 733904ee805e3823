//! What the scaler is told once: the groups, and how it weighs time against cost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::GroupName;

/// Parameters of one pool's scaler. The defaults are those of a fleet of ordinary virtual machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Params {
    /// Slots of a machine that is yet to come, at least 1.
    pub slots: u32,
    /// Machines that always stay.
    pub min_machines: u32,
    /// Machines at most, all groups together.
    pub max_machines: u32,
    /// The groups, the preferred one first; never empty.
    pub groups: Vec<Group>,
    /// How soon the last task of a job without a deadline shall have *started*. None: as the square-root law says.
    pub drain_target: Option<Duration>,
    /// What an hour of earlier completion is worth in dollars; 0 means that only deadlines matter.
    pub usd_per_hour_saved: f64,
    /// From request to first heartbeat, before any was measured.
    pub boot: Duration,
    /// Slot time of a task of which nothing is known.
    pub task: Duration,
    /// Estimates of task times are taken this many times longer. 1.2 costs 1 % more machine-hours than 1.1, 1.5 another 2 to 6 %,
    /// and neither makes fewer jobs late (`bench/scaling`).
    pub safety: f64,
    /// Between the end of a task and the start of the next one: a decision's interval, a poll, a heartbeat.
    pub slack: Duration,
    /// An idle machine stays at most this many boot times before it is closed. Ski rental says one boot time in all (keeping a
    /// machine costs at most what buying it again would), and the way out - two decisions and a heartbeat - takes most of that:
    /// what is left is enough that idle machines do not all go at once.
    pub idle_boots: f64,
    /// Views older than this remove nothing.
    pub stale: Duration,
    /// A worker that was not heard for so long is no capacity.
    pub silent: Duration,
    /// A job that would be late by a reclaim, for its tasks do not fit into its time twice, is bought machines of a group in
    /// which that is less likely than this, if there is one. 1: what is cheapest, always.
    pub late_risk: f64,
    /// Machine-hours a day, counted from midnight UTC; a last resort against any fault.
    pub daily_machine_hours: Option<f64>,
}

/// Machines that are bought alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Dollars a machine-hour.
    pub usd_per_hour: f64,
    /// How often a machine of it is taken away, per hour; 0 for on-demand.
    pub taken_per_hour: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            slots: 4,
            min_machines: 0,
            max_machines: 200,
            groups: vec![Group { name: GroupName::new("default"), usd_per_hour: 0.17, taken_per_hour: 0.0 }],
            drain_target: Some(Duration::from_secs(900)),
            usd_per_hour_saved: 0.0,
            boot: Duration::from_secs(80),
            task: Duration::from_secs(60),
            safety: 1.1,
            slack: Duration::from_secs(30),
            idle_boots: 0.05,
            stale: Duration::from_secs(60),
            silent: Duration::from_secs(30),
            late_risk: 0.02,
            daily_machine_hours: None,
        }
    }
}

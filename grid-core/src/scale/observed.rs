//! What the scaler is shown: the demand as the ledger has it, and the fleet as it is seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ClassName, GroupName, JobId, MachineId};

/// Everything that a decision may depend on beside the parameters and the memory.
///
/// Views are told with their age, and the last good one again when a new one could not be had: what is stale may launch
/// machines, but removes none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Unix milliseconds.
    pub now_ms: u64,
    /// What has to be done, in the order in which the queue serves it. Without it nothing is known of the work.
    pub demand: Option<Seen<Vec<Demand>>>,
    /// The machines. Without it nothing is launched either: nobody knows what runs already.
    pub fleet: Option<Seen<Fleet>>,
}

/// Something, and when it was so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen<T> {
    /// Unix milliseconds.
    pub as_of_ms: u64,
    /// What was seen.
    pub value: T,
}

/// The tasks of one stage of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// The job.
    pub job: JobId,
    /// Where its task times are kept.
    pub class: ClassName,
    /// Tasks that could start now: handed out or not, but in no slot. Those that wait to be tried again do not count.
    pub waiting: u64,
    /// How long each task in a slot has run, in any order.
    pub running: Vec<Duration>,
    /// When the job arrived, Unix milliseconds.
    pub arrived_ms: u64,
    /// When its last task shall have ended, Unix milliseconds. Without it [`drain_target`](super::Params::drain_target) holds.
    pub deadline_ms: Option<u64>,
    /// What has ended of it since the job began: counters that only rise, so that a lost or repeated look does no harm.
    pub ended: Ended,
}

/// Executions of tasks that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// That succeeded.
    pub ok: u64,
    /// That failed, whosever fault it was.
    pub failed: u64,
    /// Slot time of those that succeeded, transfers included, in seconds.
    pub ok_secs: f64,
    /// The sum of their squares, in square seconds.
    pub ok_secs_squared: f64,
    /// The longest of them, in seconds.
    pub longest_secs: f64,
}

/// The machines of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// All that exist, as the fleet says (Auto Scaling: whatever is not terminated).
    pub machines: Vec<Machine>,
    /// Capacity that was asked for and for which there is no machine yet, by group.
    pub unfilled: Vec<(GroupName, u32)>,
    /// Launches that failed since the last decision: no capacity, a quota, a broken image.
    pub refused: Vec<Refused>,
}

/// A launch that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whose it was.
    pub group: GroupName,
    /// When, Unix milliseconds. One that is told again by the same group and time is the same one.
    pub at_ms: u64,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub id: MachineId,
    /// The group that it belongs to.
    pub group: GroupName,
    /// Its parallel places.
    pub slots: u32,
    /// When it was asked for, Unix milliseconds.
    pub requested_ms: u64,
    /// What its worker says; nothing before the first heartbeat.
    pub worker: Option<Worker>,
    /// It was ordered to take no more tasks, and the order stands.
    pub is_closing: bool,
    /// It goes, whatever we do: a spot notice, a termination under way.
    pub is_leaving: bool,
}

/// What a worker says in its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The first heartbeat, Unix milliseconds.
    pub first_heard_ms: u64,
    /// The last one, Unix milliseconds.
    pub heard_ms: u64,
    /// Slots in use.
    pub busy: u32,
    /// Since when no slot was in use, Unix milliseconds; none while one is.
    pub idle_since_ms: Option<u64>,
    /// It takes no more tasks: its own word, not what we ordered.
    pub is_closed: bool,
}

//! What the manager that leads is told: that an attempt's manifest exists, that a worker lives, that somebody wants
//! something of a job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, JobId, MachineId, StageName, WorkerId};
use crate::limits::{IDLE_HEARTBEATS, MAX_HEARTBEAT};
use crate::spending::Spending;

/// A message on the output queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Manifests were committed.
    Completed(Completion),
    /// A worker lives.
    Heartbeat(Heartbeat),
    /// Somebody wants something of a job.
    Wanted(Wanted),
}

/// Says that a job was entered in the list of active ones, or its entry written anew, so that this is not found only
/// when the manager looks there again. A hint: the list is the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
}

/// Says that an attempt has a manifest. A hint: the manifest is the truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The attempt.
    #[serde(flatten)]
    pub key: AttemptKey,
    /// What this worker has asked of services since it last told, for whatever: counted with the news that this brings,
    /// and so never twice.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    pub spending: Spending,
}

/// Says that a worker lives and what it is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// Who.
    pub worker: WorkerId,
    /// Rises with every heartbeat of this worker, so that a late one is seen as such.
    pub sequence: u64,
    /// The pool that it serves.
    pub pool: String,
    /// Parallel places it has; 0 once it drains.
    pub slots: u32,
    /// Seconds to the next heartbeat at the latest while something runs there;
    /// [`IDLE_HEARTBEATS`] times as many while nothing does.
    pub interval_secs: f64,
    /// What runs there.
    pub running: Vec<RunningTask>,
    /// The machine of a fleet that it lives on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The order by which it takes no more tasks: it has asked the queue for none since, and has none in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<u64>,
}

/// An order to the worker of a machine, in its place in the bucket, to take no more tasks; none there, and it takes tasks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineOrder {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// Differs from that of any earlier order about the machine, so that an old word of obedience is known as such.
    pub number: u64,
}

/// A sign to workers that somebody looks after the fleet, in its place in the bucket. That it has changed is all that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerSign {
    /// [`WIRE_VERSION`](crate::limits::WIRE_VERSION).
    pub v: u32,
    /// The leader's.
    pub epoch: u64,
    /// Unix milliseconds, for people.
    pub at_ms: u64,
}

impl Heartbeat {
    /// How long it takes at most until the next one.
    pub fn next_within(&self) -> Duration {
        let interval = self.interval();
        if self.running.is_empty() { interval * IDLE_HEARTBEATS } else { interval }
    }

    /// How long it takes at most until the next one, while something runs there.
    pub fn interval(&self) -> Duration {
        Duration::try_from_secs_f64(self.interval_secs).map_or(MAX_HEARTBEAT, |interval| interval.min(MAX_HEARTBEAT))
    }
}

/// An attempt that is being executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningTask {
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The attempt.
    #[serde(flatten)]
    pub key: AttemptKey,
    /// Which execution of the attempt this is: 0 the one that it was sent for, from 1 a copy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: u32,
    /// Seconds that it has executed. Workers of earlier releases do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<f64>,
    /// Items of it that have ended.
    pub items_done: u32,
    /// What the command said of the item in hand, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f32>,
    /// The command's own words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

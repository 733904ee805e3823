//! What the scaler wants done. Every action may be ordered twice.

use serde::{Deserialize, Serialize};

use crate::ids::{GroupName, JobId, MachineId};

/// Something to do about the fleet, or about a job that burdens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Ask for more machines of a group, beside those that were asked for before.
    Launch {
        /// The group.
        group: GroupName,
        /// At least 1.
        machines: u32,
    },
    /// Order a machine to take no more tasks.
    Close {
        /// The machine.
        machine: MachineId,
    },
    /// Take that order back.
    Reopen {
        /// The machine.
        machine: MachineId,
    },
    /// End a machine.
    Terminate {
        /// The machine.
        machine: MachineId,
        /// Why it goes.
        because: Because,
        /// Another one shall come in its place: the group's desired number stays as it is.
        replace: bool,
    },
    /// Hand out one task of this job at a time, to see whether it still fails.
    Suspend {
        /// The job.
        job: JobId,
    },
    /// Hand out its tasks as usual again.
    Resume {
        /// The job.
        job: JobId,
    },
    /// Tell people.
    Alarm(Alarm),
}

/// Why a machine is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Because {
    /// It is closed and empty, by its own word.
    Idle,
    /// It was asked for long ago and never spoke.
    NeverCame,
    /// It has been silent for so long that its tasks are with others.
    Silent,
}

/// What people have to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alarm {
    /// Launches of a group fail; it is left alone until then.
    LaunchesFail {
        /// The group.
        group: GroupName,
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// Nearly everything that a job runs fails.
    Poison {
        /// The job.
        job: JobId,
    },
    /// Work waits, machines stand idle, and nothing moves.
    Stuck,
    /// The machine-hours of this day are spent; nothing is launched until the next.
    BudgetSpent,
    /// Most machines are silent at once: more likely it is us who do not hear. None is removed for it.
    MostAreSilent,
}

//! The machines of a grid: Auto Scaling groups, worker processes on this one, or workers of this process. How many there
//! should be and which ones go is not known here; `grid_core::scale` says so.

#[cfg(feature = "aws")]
mod autoscaling;
#[cfg(feature = "aws")]
mod hook;
mod local;

use std::fmt::Debug;

use async_trait::async_trait;
use grid_core::ids::{GroupName, MachineId};
use grid_core::scale::Refused;

#[cfg(feature = "aws")]
pub use self::autoscaling::AutoScaling;
#[cfg(feature = "aws")]
pub use self::hook::Hook;
pub use self::local::{Life, LocalFleet, Over, Process, Task};

use crate::Result;

/// Machines that come and go.
#[async_trait]
pub trait Fleet: Debug + Send + Sync {
    /// What there is now. One that was asked for shows as a machine or as unfilled, or was refused; it may take some seconds
    /// until it shows. A machine that has gone shows no more.
    async fn look(&self) -> Result<Sight>;

    /// Asks for more machines of a group, beside those that were asked for before: a repeat asks for more. `Full` where the
    /// group may have no more, `Conflict` where it tries in vain for what it was asked for before, `NotFound` where there is no
    /// such group.
    async fn launch(&self, group: &GroupName, machines: u32) -> Result<()>;

    /// Ends a machine, whatever it does; it may take a while to go, and shows as leaving meanwhile. `NotFound` where it is
    /// none of ours, or has gone; `Conflict` where the group would have less than it must.
    async fn terminate(&self, machine: &MachineId, then: Then) -> Result<()>;
}

/// What becomes of a group when a machine of it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It has one less.
    Shrink,
    /// Another one comes in its place.
    Replace,
}

/// What a fleet shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// All machines that exist.
    pub machines: Vec<SeenMachine>,
    /// What was asked for and for which there is no machine yet, by group.
    pub unfilled: Vec<(GroupName, u32)>,
    /// Launches that failed of late. The same one may be told again, with the same group and time.
    pub refused: Vec<Refused>,
    /// What people should know of a group: why nothing comes.
    pub words: Vec<(GroupName, String)>,
}

/// A machine that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMachine {
    /// Its name; never used again by another.
    pub id: MachineId,
    /// The group that it belongs to.
    pub group: GroupName,
    /// When it was asked for, or first seen, Unix milliseconds.
    pub requested_ms: u64,
    /// It goes, whatever we do.
    pub is_leaving: bool,
}

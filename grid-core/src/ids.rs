//! Names of things: jobs, stages, tasks, workers. One type each, so that a wrong order does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Index of an item in its stage, from 0.
pub type ItemIndex = u32;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps a name that has been checked where it came in.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// One submission of a pipeline: a UUID of version 7, so that ids sort by time.
    JobId
);
name_type!(
    /// A node of the graph: `[A-Za-z_][A-Za-z0-9_-]*`, at most 64 characters, checked by the pipeline parser.
    StageName
);
name_type!(
    /// One life of one worker process.
    WorkerId
);
name_type!(
    /// A machine of a fleet, as the fleet calls it: an instance id, a process.
    MachineId
);
name_type!(
    /// Machines that are bought alike: an Auto Scaling group, spot or on-demand.
    GroupName
);
name_type!(
    /// Tasks whose times are alike and kept across jobs: a stage of a pipeline, by its digest.
    ClassName
);

/// One numbered try of a task: the task begins at item `first` of its stage.
///
/// `(stage, first, attempt)` names an attempt for ever: an item's attempts only count upwards, and a task that is cut
/// in pieces gives every piece a higher attempt than its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The task's first item.
    pub first: ItemIndex,
    /// The try, from 1.
    pub attempt: u32,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}.{}", self.first, self.attempt)
    }
}

/// Consecutive items of one stage: `first .. first + count`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageItems {
    /// The stage.
    pub stage: StageName,
    /// The first item.
    pub first: ItemIndex,
    /// How many; may be zero.
    pub count: u32,
}

//! The worker's own bounds, with their reasons; those that others share are in `grid_core::limits`.

use std::time::Duration;

/// Submissions kept in memory: a worker serves few jobs at a time, and a submission may name many files.
pub(crate) const JOBS_KEPT: u64 = 16;

/// Jobs whose folders of programs stay on the worker: what their setups made lies in there, too.
pub(crate) const WORK_FOLDERS_KEPT: usize = 32;

/// Rounds of jobs whose tombstones are remembered.
pub(crate) const TOMBSTONES_KEPT: u64 = 1_024;

/// First wait after an error that may pass; drawn between zero and this.
pub(crate) const BACKOFF_INITIAL: Duration = Duration::from_millis(50);

/// Longest wait between two tries of the same call.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long a message stays away that this worker cannot use: another worker may be newer, or have more room.
pub(crate) const GIVE_BACK_DELAY: Duration = Duration::from_secs(30);

/// How long a worker asks for nothing after the copy of a task came to it that it executes itself: others take that meanwhile. It comes
/// back five times at most, so that this gives those whose slots become free some time.
pub(crate) const COPY_REST: Duration = Duration::from_secs(5);

/// Tries to delete a message; when all fail it comes again, its manifest is found, and it is deleted then.
pub(crate) const DELETE_TRIES: u32 = 4;

/// Running tasks named in one heartbeat, so that it stays far below the size of a message.
pub(crate) const HEARTBEAT_TASKS: usize = 256;

/// Characters of a command's own words that a heartbeat carries.
pub(crate) const HEARTBEAT_STATUS_CHARS: usize = 100;

/// How long the store is tried for the last checkpoint of an item that was cut short: the machine may be about to go.
pub(crate) const LAST_CHECKPOINT_PATIENCE: Duration = Duration::from_secs(15);

/// Looks for the newest checkpoint: one that is removed while it is read has been followed by a newer one.
pub(crate) const CHECKPOINT_LOOKS: u32 = 5;

/// Times as many tasks in hand as slots: those beyond the slots have been executed and wait for their commit.
pub(crate) const IN_HAND_PER_SLOT: usize = 2;

//! What happened in a run. A run in which nothing went wrong has shown nothing.

use std::collections::BTreeMap;
use std::fmt;

use infra::queue::Mishaps;

use crate::weather::Climate;

/// Something that ought to happen now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A call took effect after its caller had given up, or was dead.
    LateCall,
    /// A call took effect and its answer was lost.
    AnswerLost,
    /// A call got no answer and had no effect.
    CallLost,
    /// A call was refused for being too fast.
    Throttled,
    /// The manifest of an attempt was there already.
    CommitRace,
    /// A message was received once more.
    Redelivery,
    /// A message went to the dead tasks.
    DeadTask,
    /// A lease was over when it was to be extended.
    LeaseLost,
    /// A task was sent that was sent before.
    Resend,
    /// A leader had no news of a task, and sent it again.
    SentAgain,
    /// A copy of a slow attempt was sent.
    Copied,
    /// It committed first.
    CopyWon,
    /// The first execution did.
    CopyLost,
    /// A message was delivered once more than needed.
    Duplicated,
    /// A message came late.
    Delayed,
    /// A message that was accepted was lost.
    MessageLost,
    /// An entry of a batch got no answer.
    EntryFailed,
    /// A message came out of its order.
    Shuffled,
    /// A message was gone because of its age.
    Expired,
    /// A message was not deleted, since the receipt was one of before.
    StaleDelete,
    /// Nothing was received, since too much was in flight.
    QueueFull,
    /// A queue told a depth of a while ago.
    OldDepth,
    /// A stream broke off.
    BrokenStream,
    /// An actor's clock was wrong.
    Skewed,
    /// An item ran for long.
    Sluggish,
    /// A worker was slower than the others.
    SlowWorker,
    /// A delete was confirmed and did not stick.
    DeleteUndone,
    /// A manifest says that one of several items is to blame.
    BlameUnknown,
    /// An attempt gave items back that were not run.
    GivenBack,
    /// A later attempt than the first was sent.
    Retry,
    /// A result of an earlier job was taken.
    Reuse,
    /// A row was not written: it had another version, or a later epoch.
    RowRefused,
    /// A row failed that others were written with.
    TornWrite,
    /// A manager took the lead from another.
    Failover,
    /// A manager was killed.
    ManagerKilled,
    /// A worker was killed.
    WorkerKilled,
    /// Somebody died at a call of theirs, before it took effect or after.
    DeathAtCall,
    /// A worker was told to drain.
    Spot,
    /// An actor was frozen.
    Frozen,
    /// An actor was cut off.
    CutOff,
    /// An item killed its worker.
    Poison,
    /// A disk was full.
    DiskFull,
    /// An item had too little memory.
    OutOfMemory,
    /// A message of the next release came to somebody of this one.
    NewerMessage,
    /// Nothing answered to anybody.
    Outage,
    /// Others were told of what was committed.
    Told,
    /// A job was submitted on behalf of a tenant.
    Tenant,
    /// A job was cancelled.
    Cancelled,
    /// A job was paused.
    Paused,
    /// Failed items were run again.
    Redriven,
    /// They were, though the job had succeeded without them.
    SuccessRedriven,
    /// A job was submitted once more.
    Resubmitted,
    /// A job failed.
    JobFailed,
    /// A job succeeded.
    JobSucceeded,
    /// An item was given up on.
    ItemDead,
    /// An item was left out.
    ItemSkipped,
    /// An item was given up on through the fault of machines alone.
    Excused,
    /// An execution began.
    Execution,
    /// An attempt was recorded.
    Attempt,
    /// An object was written.
    ObjectWrite,
    /// A call to a back end.
    Call,
}

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Event, u64>);

impl Tally {
    /// One more.
    pub fn note(&mut self, event: Event) {
        self.note_times(event, 1);
    }

    /// So many more.
    pub fn note_times(&mut self, event: Event, times: u64) {
        *self.0.entry(event).or_default() += times;
    }

    /// What went wrong in a queue.
    pub fn note_mishaps(&mut self, mishaps: Mishaps) {
        let Mishaps { duplicated, delayed, lost, failed_entries, shuffled, expired, stale_deletes, full } = mishaps;
        for (event, times) in [
            (Event::Duplicated, duplicated),
            (Event::Delayed, delayed),
            (Event::MessageLost, lost),
            (Event::EntryFailed, failed_entries),
            (Event::Shuffled, shuffled),
            (Event::Expired, expired),
            (Event::StaleDelete, stale_deletes),
            (Event::QueueFull, full),
        ] {
            self.note_times(event, times);
        }
    }

    /// How often it happened.
    pub fn of(&self, event: Event) -> u64 {
        self.0.get(&event).copied().unwrap_or(0)
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        for (event, count) in &other.0 {
            *self.0.entry(*event).or_default() += count;
        }
    }

    /// What never happened, of what should in a large enough set of runs, in a climate or without one.
    pub fn missing(&self, climate: Option<Climate>) -> Vec<Event> {
        let expected = climate.map_or(&Event::ALL[..], Climate::brings);
        expected.iter().copied().filter(|event| self.of(*event) == 0).collect()
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 61] = [
        Self::LateCall,
        Self::AnswerLost,
        Self::CallLost,
        Self::Throttled,
        Self::CommitRace,
        Self::Redelivery,
        Self::DeadTask,
        Self::LeaseLost,
        Self::Resend,
        Self::SentAgain,
        Self::Copied,
        Self::CopyWon,
        Self::CopyLost,
        Self::Duplicated,
        Self::Delayed,
        Self::MessageLost,
        Self::EntryFailed,
        Self::Shuffled,
        Self::Expired,
        Self::StaleDelete,
        Self::QueueFull,
        Self::OldDepth,
        Self::BrokenStream,
        Self::Skewed,
        Self::Sluggish,
        Self::SlowWorker,
        Self::DeleteUndone,
        Self::BlameUnknown,
        Self::GivenBack,
        Self::Retry,
        Self::Reuse,
        Self::RowRefused,
        Self::TornWrite,
        Self::Failover,
        Self::ManagerKilled,
        Self::WorkerKilled,
        Self::DeathAtCall,
        Self::Spot,
        Self::Frozen,
        Self::CutOff,
        Self::Poison,
        Self::DiskFull,
        Self::OutOfMemory,
        Self::NewerMessage,
        Self::Outage,
        Self::Told,
        Self::Tenant,
        Self::Cancelled,
        Self::Paused,
        Self::Redriven,
        Self::SuccessRedriven,
        Self::Resubmitted,
        Self::JobFailed,
        Self::JobSucceeded,
        Self::ItemDead,
        Self::ItemSkipped,
        Self::Excused,
        Self::Execution,
        Self::Attempt,
        Self::ObjectWrite,
        Self::Call,
    ];
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in Event::ALL {
            writeln!(f, "{:>12}  {event:?}", self.of(event))?;
        }
        Ok(())
    }
}

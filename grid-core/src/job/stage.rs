//! What is known of one stage of a job.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::bits::Outcomes;
use super::bundle::Pace;
use super::gather::Gather;
use super::index::Committed;
use super::retry::Spent;
use super::reuse::Found;
use crate::ids::{AttemptKey, ItemIndex, WorkerId};
use crate::limits::SHARD_ITEMS;
use crate::reason::Reason;
use crate::spending::Spending;

/// A task that was handed out, or waits to be.
#[derive(Clone, Debug, PartialEq)]
pub struct OutTask {
    /// The first item.
    pub first: ItemIndex,
    /// How many items.
    pub count: u32,
    /// The try, from 1.
    pub attempt: u32,
    /// What was spent on its items before.
    pub spent: Spent,
    /// How often it was sent again because nothing was heard of it, or because the queue had given its message up.
    pub resends: u32,
    /// Copies of it that were sent, or are to be.
    pub copies: u32,
    /// The message of the last of these is to be sent. Not written down: what was not sent before the manager ended is not sent.
    pub is_copy_due: bool,
    /// The workers that fell silent while they ran it. Names and not a number: each counts once, however often it is told.
    pub died: BTreeSet<WorkerId>,
    /// The place of the parameters that a redrive has set for it, if one has.
    pub set: Option<u32>,
    /// The round in which it was handed out; 0 while it waits for that. What was out before a round began goes on in it.
    pub round: u32,
    /// Where it stands.
    pub phase: TaskPhase,
}

/// Where a task stands that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// Waits until this time before it is tried again.
    Waiting {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// Recorded; its message is to be sent.
    Due,
    /// Its message was sent.
    Sent {
        /// Unix milliseconds.
        at_ms: u64,
    },
    /// Was out when the manager began: there may be a manifest, a message, both or neither.
    Unknown,
}

impl OutTask {
    /// A task that is to be sent, and on which nothing was spent yet.
    pub fn due(first: ItemIndex, count: u32, attempt: u32) -> Self {
        let (spent, died) = (Spent::default(), BTreeSet::new());
        let (resends, copies, is_copy_due, set, round) = (0, 0, false, None, 0);
        Self { first, count, attempt, spent, resends, copies, is_copy_due, died, set, round, phase: TaskPhase::Due }
    }

    /// Whether its message was sent, as far as is known: somebody may execute it.
    pub fn is_executable(&self) -> bool {
        matches!(self.phase, TaskPhase::Sent { .. } | TaskPhase::Unknown)
    }

    /// The attempt's name within its stage.
    pub fn key(&self) -> AttemptKey {
        AttemptKey { first: self.first, attempt: self.attempt }
    }
}

/// Second executions of attempts that were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// Copies that were started.
    pub started: u64,
    /// Of those, the ones that committed first.
    #[serde(default)]
    pub won: u64,
    /// Microseconds of slot time of the executions that did not, as far as their workers told.
    #[serde(default)]
    pub lost_us: u64,
}

impl Copies {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.won += other.won;
        self.lost_us += other.lost_us;
    }
}

/// Sums over the items of a shard that have ended. In the row of the shard, so that they change together with its bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub attempts: u64,
    pub reused: u64,
    pub busy_us: u64,
    #[serde(default, skip_serializing_if = "Copies::is_none")]
    pub copies: Copies,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<Reason, u64>,
    /// What was asked of services for these items, or for the job while their row was written.
    #[serde(default, skip_serializing_if = "Spending::is_empty")]
    pub spending: Spending,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.attempts += other.attempts;
        self.reused += other.reused;
        self.busy_us += other.busy_us;
        self.copies.add(&other.copies);
        self.spending.add(&other.spending);
        for (reason, count) in &other.failures {
            *self.failures.entry(*reason).or_default() += count;
        }
    }
}

/// How far a stage's plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Planned {
    /// Items found so far.
    pub items: u32,
    /// Whether that is all.
    pub complete: bool,
    /// Bytes of input in them.
    pub bytes: u64,
    /// Records in them, where they were counted.
    pub records: Option<u64>,
}

/// Everything known of one stage.
#[derive(Clone, Debug, Default)]
pub(super) struct StageBook {
    pub planned: Planned,
    pub pace: Pace,
    pub outcomes: Outcomes,
    pub committed: Committed,
    pub tallies: BTreeMap<u32, Tally>,
    /// Tasks that were handed out or wait to be, by their first item.
    pub out: BTreeMap<ItemIndex, OutTask>,
    /// Items that may be handed out: what they need is there. Derived.
    pub ready: RoaringBitmap,
    /// For `group` and `all`: what each item waits for. Derived, once everything upstream is planned.
    pub gather: Option<Gather>,
    /// Set where an earlier job may have results. Not written down: it is looked for again.
    pub found: Option<Found>,
    /// For `each`: how many of its items are linked to those that they are made of. Derived.
    pub linked: ItemIndex,
    /// Whether the stage's own row changed.
    pub dirty: bool,
    /// Shards that changed.
    pub dirty_shards: BTreeSet<u32>,
}

/// Numbers of a stage for people.
#[derive(Clone, Debug, PartialEq)]
pub struct StageView {
    /// Items found so far.
    pub items: u64,
    /// Whether that is all.
    pub planned: bool,
    /// Bytes of input in them.
    pub bytes_planned: u64,
    /// Records in them, where they were counted.
    pub records: Option<u64>,
    /// Committed.
    pub ok: u64,
    /// Of those, taken from an earlier job.
    pub reused: u64,
    /// Left out.
    pub skipped: u64,
    /// Given up on.
    pub dead: u64,
    /// In tasks that were handed out.
    pub running: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Failures by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// Bytes of input of the items that ended.
    pub bytes_in: u64,
    /// Bytes committed.
    pub bytes_out: u64,
    /// Microseconds that items took.
    pub busy_us: u64,
    /// Second executions of attempts.
    pub copies: Copies,
}

impl StageBook {
    /// Whether every item has ended.
    pub fn is_complete(&self) -> bool {
        self.planned.complete && self.outcomes.ended() == u64::from(self.planned.items)
    }

    /// Whether every item that a shard will ever have has ended.
    pub fn has_ended(&self, shard: u32) -> bool {
        let first = shard * SHARD_ITEMS;
        let count = if self.planned.complete { SHARD_ITEMS.min(self.planned.items - first) } else { SHARD_ITEMS };
        self.outcomes.ended_among(first, count) == u64::from(count)
    }

    /// Items planned that have neither ended nor are in a task that is out.
    pub fn not_handed_out(&self) -> u64 {
        let out: u64 = self.out.values().map(|task| u64::from(task.count)).sum();
        u64::from(self.planned.items).saturating_sub(self.outcomes.ended() + out)
    }

    pub fn tally_mut(&mut self, item: ItemIndex) -> &mut Tally {
        let shard = item / SHARD_ITEMS;
        self.dirty_shards.insert(shard);
        self.tallies.entry(shard).or_default()
    }

    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.tallies.values().for_each(|tally| total.add(tally));
        total
    }

    /// What some items need is there. Those that are out or have ended already are left as they are: after a failed
    /// write the rows may know more of them than of what they need.
    pub fn make_ready(&mut self, first: ItemIndex, count: u32) {
        let mut items = RoaringBitmap::new();
        items.insert_range(first..first + count);
        self.outcomes.remove_from(&mut items);
        let before = self.out.range(..first).next_back().map(|(_, task)| task);
        for task in self.out.range(first..first + count).map(|(_, task)| task).chain(before) {
            items.remove_range(task.first..task.first + task.count);
        }
        self.ready |= items;
    }

    /// Records a task, in place of any that begins at the same item.
    pub fn put_out(&mut self, task: OutTask) {
        self.dirty_shards.insert(task.first / SHARD_ITEMS);
        self.ready.remove_range(task.first..task.first + task.count);
        self.out.insert(task.first, task);
    }

    pub fn take_out(&mut self, first: ItemIndex) -> Option<OutTask> {
        self.dirty_shards.insert(first / SHARD_ITEMS);
        self.out.remove(&first)
    }

    pub fn view(&self) -> StageView {
        let total = self.total();
        // Rows do not say how far a task is: to those who only read them, what is out is handed out.
        let is_running = |task: &&OutTask| matches!(task.phase, TaskPhase::Sent { .. } | TaskPhase::Unknown);
        StageView {
            items: u64::from(self.planned.items),
            planned: self.planned.complete,
            bytes_planned: self.planned.bytes,
            records: self.planned.records,
            ok: self.outcomes.ok.len(),
            reused: total.reused,
            skipped: self.outcomes.skipped.len(),
            dead: self.outcomes.dead.len(),
            running: self.out.values().filter(is_running).map(|task| u64::from(task.count)).sum(),
            attempts: total.attempts,
            failures: total.failures,
            bytes_in: total.bytes_in,
            bytes_out: total.bytes_out,
            busy_us: total.busy_us,
            copies: total.copies,
        }
    }
}

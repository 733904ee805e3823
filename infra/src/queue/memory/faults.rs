//! What a queue does wrong on purpose, by a seed.

use std::time::Duration;

use grid_core::random::Random;

/// What goes wrong, and how often (0 never, 1 always). The default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueFaults {
    /// The same seed and the same calls give the same faults.
    pub seed: u64,
    /// How often a message is delivered once more than needed.
    pub duplicate: f64,
    /// How often a message is late.
    pub delay: f64,
    /// The latest that a late message comes.
    pub max_delay: Duration,
    /// How often a message that was accepted is lost.
    pub lose: f64,
    /// How often an entry of a batch answers `Unavailable`; half of those were applied all the same.
    pub fail_entry: f64,
    /// How often a message comes out of its order.
    pub shuffle: f64,
}

/// How often what went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// A message was delivered once more than needed.
    pub duplicated: u64,
    /// A message came late.
    pub delayed: u64,
    /// A message that was accepted was lost.
    pub lost: u64,
    /// An entry of a batch answered `Unavailable`.
    pub failed_entries: u64,
    /// A message came out of its order.
    pub shuffled: u64,
    /// A message was gone because of its age.
    pub expired: u64,
    /// A message was not deleted, since it was leased again, or to nobody, by then.
    pub stale_deletes: u64,
    /// Nothing was received although something waited: too many messages were in flight.
    pub full: u64,
}

/// Draws faults, and counts them.
#[derive(Debug)]
pub(super) struct FaultSource {
    faults: QueueFaults,
    random: Random,
    pub(super) mishaps: Mishaps,
}

/// What becomes of one copy of a message.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) delay: Option<Duration>,
    /// Its place in the queue; `None` for the end.
    pub(super) place: Option<u64>,
}

/// An entry that gets no answer.
#[derive(Debug)]
pub(super) struct LostAnswer {
    pub(super) is_applied: bool,
}

impl FaultSource {
    pub(super) fn new(faults: QueueFaults) -> Self {
        Self { faults, random: Random::from_seed(faults.seed), mishaps: Mishaps::default() }
    }

    /// No more faults.
    pub(super) fn calm(&mut self) {
        self.faults = QueueFaults::default();
    }

    pub(super) fn entry(&mut self) -> Option<LostAnswer> {
        let is_lost = self.random.chance(self.faults.fail_entry);
        self.mishaps.failed_entries += u64::from(is_lost);
        is_lost.then(|| LostAnswer { is_applied: self.random.chance(0.5) })
    }

    /// The copies of a message that will be delivered: mostly one.
    pub(super) fn copies(&mut self) -> Vec<Fate> {
        if self.random.chance(self.faults.lose) {
            self.mishaps.lost += 1;
            return Vec::new();
        }
        let copies = 1 + u64::from(self.random.chance(self.faults.duplicate));
        self.mishaps.duplicated += copies - 1;
        (0..copies).map(|_| self.fate()).collect()
    }

    fn fate(&mut self) -> Fate {
        let is_late = self.random.chance(self.faults.delay);
        let is_shuffled = self.random.chance(self.faults.shuffle);
        self.mishaps.delayed += u64::from(is_late);
        self.mishaps.shuffled += u64::from(is_shuffled);
        Fate {
            delay: is_late.then(|| self.random.duration(self.faults.max_delay)),
            place: is_shuffled.then(|| self.random.next_u64()),
        }
    }
}

//! How an item behaves.

use grid_core::random::Random;

use super::{Source, Workload};

/// How an item behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Does its work.
    Sweet,
    /// Fails in its first attempts, so many.
    Flaky(u32),
    /// Fails whenever it is run.
    Sour,
    /// Fails with the status for which a rule says that it be left out.
    Needless,
    /// Kills whoever runs it.
    Poison,
    /// Gets too little memory until it has twice as much.
    Hungry,
}

impl Temper {
    /// Whether the item ends well in the end, if machines do.
    pub fn is_good(self) -> bool {
        match self {
            Self::Sweet | Self::Flaky(_) | Self::Hungry => true,
            Self::Sour | Self::Needless | Self::Poison => false,
        }
    }
}

impl Workload {
    /// How an item behaves; `is_mended` when a redrive has set the parameter that makes all well.
    pub fn temper(&self, stage: usize, item: u32, is_mended: bool) -> Temper {
        let plan = &self.stages[stage];
        let mut random = Random::from_seed(self.seed ^ (stage as u64) << 48 ^ u64::from(item) << 16 ^ 0x5eed);
        random.next_u64();
        if let Some(temper) = self.tempers.get(&(stage, item)).filter(|_| !is_mended) {
            return *temper;
        }
        if is_mended || !random.chance(plan.malice) {
            return Temper::Sweet;
        }
        // What puts things together would take everything down with it.
        let is_central = matches!(plan.source, Source::All(..));
        let kinds = if is_central { 2 } else { 10 };
        match random.below(kinds) {
            0 => Temper::Flaky(1 + random.below(u64::from(plan.attempts - 1).max(1)) as u32),
            1 => Temper::Flaky(1),
            2 => Temper::Needless,
            3 => Temper::Poison,
            4 | 5 => Temper::Hungry,
            _ => Temper::Sour,
        }
    }
}

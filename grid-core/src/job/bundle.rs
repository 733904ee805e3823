//! How many items make a task.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{BUNDLE_TARGET, MAX_STAGED_INPUT_BYTES, REMOTE_BUNDLE_LEAST, REMOTE_BUNDLE_TARGET, SHARD_ITEMS};

/// How long the items of a stage take: an exponentially weighted mean over its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Mean seconds an item, none before the first attempt has ended.
    pub item_secs: Option<f64>,
}

/// What bundle sizes depend on beside the measured pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    /// What a bundle should last.
    pub target: Duration,
    /// What one should last at least towards the end of a stage: below it, what a task costs is more than what an even
    /// end saves.
    pub least: Duration,
    /// Most items in a bundle.
    pub max_items: u32,
    /// Tasks for each slot that are out while nobody knows how long the items of a stage take: each is a single item.
    pub probes_per_slot: u32,
    /// Slots in sight.
    pub slots: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            target: BUNDLE_TARGET,
            least: BUNDLE_TARGET / 32,
            max_items: SHARD_ITEMS,
            probes_per_slot: u32::MAX,
            slots: 1,
        }
    }
}

impl Tuning {
    /// Where tasks go through services elsewhere.
    pub fn across_machines() -> Self {
        Self { target: REMOTE_BUNDLE_TARGET, least: REMOTE_BUNDLE_LEAST, probes_per_slot: 1, ..Self::default() }
    }
}

/// Weight of the newest item in the mean.
const NEWEST: f64 = 0.3;

/// Items of an attempt that weigh for themselves: a bundle tells more than the first single items do, which also start
/// cold, but not everything, since neighbours are often alike.
const WEIGHTY_ITEMS: u64 = 4;

impl Pace {
    /// Learns from an attempt in which `items` items took `busy` together.
    pub fn learn(&mut self, items: u64, busy: Duration) {
        if items == 0 {
            return;
        }
        let seen = busy.as_secs_f64() / items as f64;
        self.item_secs = Some(match self.item_secs {
            None => seen,
            Some(mean) => mean + (1.0 - (1.0 - NEWEST).powi(items.min(WEIGHTY_ITEMS) as i32)) * (seen - mean),
        });
    }

    /// How many items the next bundle takes: as many as fill the target, one while nothing was measured, fewer towards
    /// the end of the stage so that all slots end together, and no more input than is read ahead in one piece.
    /// `not_handed_out` counts the items of the stage that are in no task yet: half of what every slot can still get is
    /// guided self-scheduling (Polychronopoulos and Kuck, 1987) with a factor of two for tasks that differ.
    pub fn bundle_items(&self, tuning: &Tuning, not_handed_out: u64, mean_item_bytes: u64) -> u32 {
        let Some(item_secs) = self.item_secs else { return 1 };
        let fill = |duration: Duration| (duration.as_secs_f64() / item_secs.max(1e-9)).floor() as u64;
        let by_time = fill(tuning.target);
        let by_tail = not_handed_out.div_ceil(2 * u64::from(tuning.slots.max(1))).max(fill(tuning.least));
        let by_input = MAX_STAGED_INPUT_BYTES.checked_div(mean_item_bytes).unwrap_or(u64::MAX);
        let items = by_time.min(by_tail).min(by_input).min(u64::from(tuning.max_items));
        u32::try_from(items).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNING: Tuning = Tuning {
        target: Duration::from_millis(500),
        least: Duration::from_micros(15_625),
        max_items: 8_192,
        probes_per_slot: 1,
        slots: 2,
    };

    fn pace(item_secs: f64) -> Pace {
        Pace { item_secs: Some(item_secs) }
    }

    #[test]
    fn nothing_is_bundled_before_it_was_measured() {
        assert_eq!(Pace::default().bundle_items(&TUNING, 1_000_000, 0), 1);
    }

    #[test]
    fn a_bundle_fills_the_target_and_shrinks_towards_the_end() {
        assert_eq!(pace(0.001).bundle_items(&TUNING, 1_000_000, 0), 500);
        assert_eq!(pace(0.001).bundle_items(&TUNING, 400, 0), 100);
        assert_eq!(pace(0.001).bundle_items(&Tuning { slots: 4, ..TUNING }, 400, 0), 50);
        assert_eq!(pace(0.001).bundle_items(&TUNING, 40, 0), 15);
        assert_eq!(pace(0.1).bundle_items(&TUNING, 40, 0), 5);
        assert_eq!(pace(0.1).bundle_items(&TUNING, 4, 0), 1);
        assert_eq!(pace(3.0).bundle_items(&TUNING, 1_000_000, 0), 1);
        assert_eq!(pace(0.0).bundle_items(&TUNING, 1_000_000, 0), 8_192);
    }

    #[test]
    fn a_bundle_has_no_more_input_than_is_read_ahead() {
        assert_eq!(pace(0.001).bundle_items(&TUNING, 1_000_000, 4 << 20), 2);
        assert_eq!(pace(0.001).bundle_items(&TUNING, 1_000_000, 64 << 20), 1);
    }

    #[test]
    fn the_mean_follows_what_is_newest() {
        let mut pace = Pace::default();
        pace.learn(10, Duration::from_secs(10));
        assert_eq!(pace.item_secs, Some(1.0));
        pace.learn(1, Duration::from_secs(2));
        assert_eq!(pace.item_secs, Some(1.3));
        pace.learn(0, Duration::from_secs(9));
        assert_eq!(pace.item_secs, Some(1.3));
        let mut pace = self::pace(0.1);
        pace.learn(500, Duration::from_millis(500));
        let now = pace.item_secs.unwrap();
        assert!((0.001..0.03).contains(&now), "a bundle says more than what was begun with: {now}");
    }
}

//! What is remembered of a group of machines: how long they take to come, and whether launches fail.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Launches whose boot times are kept.
const BOOTS: usize = 50;

/// Below this many measured boots the parameter holds.
const ENOUGH_BOOTS: usize = 4;

/// No machine is said to need less, in seconds: processes come at once, and nothing shall be divided by that.
const LEAST_BOOT: f64 = 0.1;

/// Of the last so many launches ..
const OUTCOMES: usize = 5;

/// .. so many have failed: then the group is left alone for a while.
const TOO_MANY_FAILED: usize = 3;

/// How long a group is left alone: this first, then twice as long each time ..
const FIRST_HOLD: Duration = Duration::from_secs(60);

/// .. up to this: a try costs a call or two, and what is missed between the return of capacity and the next one makes jobs late
/// (`bench/scaling`, drought: 4.5 % of them, 5.2 % with a quarter of an hour).
const LONGEST_HOLD: Duration = Duration::from_secs(4 * 60);

/// What is remembered of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupMemory {
    /// Seconds from request to first heartbeat, the newest last.
    boots: VecDeque<f64>,
    /// Whether the last launches came.
    outcomes: VecDeque<bool>,
    /// Holds in a row.
    holds: u32,
    /// Nothing is launched before, Unix milliseconds.
    held_until_ms: u64,
    /// The newest refusal that was counted, Unix milliseconds.
    refused_ms: u64,
}

impl GroupMemory {
    /// What a machine needs from request to first heartbeat, in seconds: the 75th percentile of the last launches.
    pub fn boot(&self, unmeasured: Duration) -> f64 {
        self.percentile(0.75).unwrap_or(unmeasured.as_secs_f64()).max(LEAST_BOOT)
    }

    /// After so many seconds without a word a machine will not come any more: twice the 99th percentile.
    pub fn overdue(&self, unmeasured: Duration) -> f64 {
        // Of 50 launches the 99th percentile is the longest; with few measured, three boot times stand for it.
        let longest = self.percentile(0.99).unwrap_or(0.0);
        2.0 * longest.max(if self.boots.len() < BOOTS { 3.0 * self.boot(unmeasured) } else { 0.0 })
    }

    /// Whether launches are on hold.
    pub fn is_held(&self, now_ms: u64) -> bool {
        now_ms < self.held_until_ms
    }

    /// Whether one of the last launches failed.
    pub fn has_failed_lately(&self) -> bool {
        self.outcomes.contains(&false)
    }

    /// A machine came.
    pub fn came(&mut self, boot: Duration) {
        push(&mut self.boots, boot.as_secs_f64(), BOOTS);
        push(&mut self.outcomes, true, OUTCOMES);
        self.holds = 0;
    }

    /// A launch was refused; one that was counted before is not counted again. Some: the group is held until then.
    pub fn refused(&mut self, at_ms: u64, now_ms: u64) -> Option<u64> {
        if at_ms <= self.refused_ms {
            return None;
        }
        self.refused_ms = at_ms;
        self.failed(now_ms)
    }

    /// A launch failed. Some: the group is held until then.
    pub fn failed(&mut self, now_ms: u64) -> Option<u64> {
        push(&mut self.outcomes, false, OUTCOMES);
        let failed = self.outcomes.iter().filter(|came| !**came).count();
        if failed < TOO_MANY_FAILED || self.is_held(now_ms) {
            return None;
        }
        let hold = FIRST_HOLD.saturating_mul(1 << self.holds.min(10)).min(LONGEST_HOLD);
        self.holds += 1;
        self.held_until_ms = now_ms + hold.as_millis() as u64;
        Some(self.held_until_ms)
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        if self.boots.len() < ENOUGH_BOOTS {
            return None;
        }
        let mut sorted: Vec<f64> = self.boots.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(place.saturating_sub(1)).copied()
    }
}

fn push<T>(last: &mut VecDeque<T>, newest: T, most: usize) {
    if last.len() == most {
        last.pop_front();
    }
    last.push_back(newest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNMEASURED: Duration = Duration::from_secs(80);

    #[test]
    fn boot_time_is_the_75th_percentile_once_enough_were_measured() {
        let mut group = GroupMemory::default();
        for secs in [10, 20, 30] {
            group.came(Duration::from_secs(secs));
        }
        assert_eq!(group.boot(UNMEASURED), 80.0);
        group.came(Duration::from_secs(40));
        assert_eq!(group.boot(UNMEASURED), 30.0);
    }

    #[test]
    fn three_failures_of_five_hold_the_group_longer_each_time_up_to_four_minutes() {
        let mut group = GroupMemory::default();
        let mut now_ms = 1_000;
        let mut holds = Vec::new();
        for _ in 0..10 {
            if let Some(until_ms) = group.refused(now_ms, now_ms) {
                holds.push((until_ms - now_ms) / 1_000);
                now_ms = until_ms;
            }
            now_ms += 1;
        }
        assert_eq!(holds, [60, 120, 240, 240, 240, 240, 240, 240]);
    }

    #[test]
    fn a_refusal_that_is_told_twice_counts_once() {
        let mut group = GroupMemory::default();
        assert!([5, 5, 5, 5].iter().all(|at_ms| group.refused(*at_ms, 9).is_none()));
    }

    #[test]
    fn a_machine_that_came_ends_the_growth_of_holds() {
        let mut group = GroupMemory::default();
        for at_ms in 1..=3 {
            group.refused(at_ms, at_ms);
        }
        assert!(group.is_held(1_000) && group.has_failed_lately());
        for _ in 0..OUTCOMES {
            group.came(Duration::from_secs(1));
        }
        assert!(!group.has_failed_lately());
        let held: Vec<_> = (100_000..100_003).filter_map(|at_ms| group.refused(at_ms, at_ms)).collect();
        assert_eq!(held, [160_002]);
    }
}

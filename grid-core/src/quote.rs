//! What a job will take, by what jobs of the same pipeline took: ranges, since no two jobs are alike.

use serde::{Deserialize, Serialize};

/// Beyond the least and the most that was seen, where several jobs were seen.
const BEYOND_SEVERAL: f64 = 1.15;

/// The same where only one was seen.
const BEYOND_ONE: f64 = 1.5;

/// A range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Hardly less.
    pub least: f64,
    /// In the middle.
    pub likely: f64,
    /// Hardly more.
    pub most: f64,
}

/// How large a stage is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Items.
    pub items: u64,
    /// Bytes of input, where they are known.
    pub bytes: Option<u64>,
}

/// What a stage of an earlier job took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// Items that were run and committed.
    pub items: u64,
    /// Bytes that these read.
    pub bytes: u64,
    /// Slot time, seconds.
    pub busy_secs: f64,
}

/// Slot time of a stage in seconds; `None` where nothing is known. By bytes where all of them are known, else by items.
pub fn slot_secs(size: Size, past: &[Past]) -> Option<Range> {
    let bytes = size.bytes.filter(|_| past.iter().all(|past| past.bytes > 0));
    let amount = bytes.unwrap_or(size.items) as f64;
    let of = |past: &Past| if bytes.is_some() { past.bytes as f64 } else { past.items as f64 };
    let (mut all, mut secs, mut least, mut most) = (0.0, 0.0, f64::INFINITY, 0.0_f64);
    for past in past.iter().filter(|past| past.items > 0) {
        let rate = past.busy_secs / of(past);
        (all, secs) = (all + of(past), secs + past.busy_secs);
        (least, most) = (least.min(rate), most.max(rate));
    }
    if all == 0.0 {
        return None;
    }
    let beyond = if least < most { BEYOND_SEVERAL } else { BEYOND_ONE };
    Some(Range { least: amount * least / beyond, likely: amount * secs / all, most: amount * most * beyond })
}

/// How long stages of such slot times (with their numbers of items) take on so many slots, in seconds: at the least they
/// run beside each other without a gap, at the most one after the other, and each ends with an item that began when all
/// others had ended (the bound of list scheduling, Graham 1966).
pub fn elapsed(stages: &[(Range, u64)], slots: u32) -> Range {
    let slots = f64::from(slots.max(1));
    let alone = |secs: f64, items: u64| secs / slots.min(items.max(1) as f64);
    let last = |secs: f64, items: u64| secs / items.max(1) as f64 * (1.0 - 1.0 / slots);
    let least = stages.iter().map(|(range, items)| alone(range.least, *items)).fold(0.0, f64::max);
    let all: f64 = stages.iter().map(|(range, _)| range.least / slots).sum();
    Range {
        least: least.max(all),
        likely: stages.iter().map(|(range, items)| alone(range.likely, *items)).sum(),
        most: stages.iter().map(|(range, items)| alone(range.most, *items) + last(range.most, *items)).sum(),
    }
}

impl Range {
    /// The same in another unit.
    pub fn times(self, factor: f64) -> Self {
        Self { least: self.least * factor, likely: self.likely * factor, most: self.most * factor }
    }
}

impl std::iter::Sum for Range {
    fn sum<I: Iterator<Item = Self>>(ranges: I) -> Self {
        ranges.fold(Self::default(), |sum, range| Self {
            least: sum.least + range.least,
            likely: sum.likely + range.likely,
            most: sum.most + range.most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(items: u64, bytes: u64, busy_secs: f64) -> Past {
        Past { items, bytes, busy_secs }
    }

    fn range(least: f64, likely: f64, most: f64) -> Range {
        Range { least, likely, most }
    }

    #[test]
    fn a_stage_takes_what_it_took_before_by_items_or_by_bytes() {
        let size = Size { items: 100, bytes: None };
        assert_eq!(slot_secs(size, &[past(10, 0, 20.0)]), Some(range(200.0 / 1.5, 200.0, 300.0)));
        let bytes = Size { items: 100, bytes: Some(5_000) };
        assert_eq!(slot_secs(bytes, &[past(10, 1_000, 20.0)]), Some(range(100.0 / 1.5, 100.0, 150.0)));
        assert_eq!(slot_secs(bytes, &[past(10, 0, 20.0)]), slot_secs(size, &[past(10, 0, 20.0)]));
    }

    #[test]
    fn several_jobs_show_how_much_they_differ_and_large_ones_count_for_more() {
        let seen = slot_secs(Size { items: 10, bytes: None }, &[past(10, 0, 10.0), past(30, 0, 60.0)]).unwrap();
        assert_eq!(seen, range(10.0 / 1.15, 17.5, 20.0 * 1.15));
    }

    #[test]
    fn nothing_is_known_of_what_never_ran() {
        assert_eq!(slot_secs(Size { items: 10, bytes: None }, &[]), None);
        assert_eq!(slot_secs(Size { items: 10, bytes: None }, &[past(0, 0, 0.0)]), None);
    }

    #[test]
    fn stages_run_beside_each_other_or_one_after_the_other() {
        let same = |secs| range(secs, secs, secs);
        assert_eq!(elapsed(&[(same(80.0), 8)], 4), range(20.0, 20.0, 20.0 + 7.5));
        // One item fills one slot, however many there are.
        assert_eq!(elapsed(&[(same(80.0), 1)], 4), range(80.0, 80.0, 140.0));
        assert_eq!(elapsed(&[(same(80.0), 8), (same(40.0), 8)], 4), range(30.0, 30.0, 30.0 + 7.5 + 3.75));
        assert_eq!(elapsed(&[], 4), range(0.0, 0.0, 0.0));
    }
}

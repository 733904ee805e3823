//! Which attempts committed the items of a stage: so that whoever reads an item's output knows the manifest to open.

use std::collections::BTreeMap;
use std::ops::Range;

use roaring::RoaringBitmap;

use crate::ids::{AttemptKey, ItemIndex};
use crate::limits::SHARD_ITEMS;

/// The attempts of a stage that committed items. Nearly every task is done at its first attempt, and costs one bit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// First items of tasks whose first attempt committed every item.
    pub(super) plain: RoaringBitmap,
    /// All other attempts that committed something: the number of items in the task.
    pub(super) others: BTreeMap<AttemptKey, u32>,
}

impl Committed {
    /// Notes an attempt that committed items.
    pub(super) fn insert(&mut self, key: AttemptKey, count: u32, is_whole: bool) {
        if key.attempt == 1 && is_whole {
            self.plain.insert(key.first);
        } else {
            self.others.insert(key, count);
        }
    }

    /// The attempts that hold the committed items among `items`, ascending; perhaps a few more.
    pub fn covering(&self, items: Range<ItemIndex>) -> Vec<AttemptKey> {
        if items.is_empty() {
            return Vec::new();
        }
        let shard_start = items.start / SHARD_ITEMS * SHARD_ITEMS;
        let begin = self.plain.range(shard_start..=items.start).next_back().unwrap_or(items.start);
        let plain = self.plain.range(begin..items.end).map(|first| AttemptKey { first, attempt: 1 });
        let from = AttemptKey { first: shard_start, attempt: 0 };
        let to = AttemptKey { first: items.end, attempt: 0 };
        let others = self.others.range(from..to).filter(|(key, count)| key.first + **count > items.start);
        let mut keys: Vec<AttemptKey> = plain.chain(others.map(|(key, _)| *key)).collect();
        keys.sort_unstable();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u32, attempt: u32) -> AttemptKey {
        AttemptKey { first, attempt }
    }

    #[test]
    fn the_attempts_around_a_range_are_found() {
        let mut committed = Committed::default();
        committed.insert(key(0, 1), 100, true);
        committed.insert(key(100, 1), 100, false);
        committed.insert(key(150, 2), 1, true);
        committed.insert(key(200, 1), 50, true);
        assert_eq!(committed.covering(10..20), vec![key(0, 1)]);
        assert_eq!(committed.covering(149..151), vec![key(0, 1), key(100, 1), key(150, 2)]);
        assert_eq!(committed.covering(200..201), vec![key(200, 1)]);
        assert_eq!(committed.covering(5..5), vec![]);
    }

    #[test]
    fn a_task_never_reaches_into_the_next_shard() {
        let mut committed = Committed::default();
        committed.insert(key(8_000, 1), 192, true);
        assert_eq!(committed.covering(8_192..8_200), vec![]);
    }
}

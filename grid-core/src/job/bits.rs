//! What became of the items of a stage: three sets that never overlap.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::ids::ItemIndex;
use crate::limits::SHARD_ITEMS;

/// How an item ended, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Committed.
    Ok,
    /// Left out.
    Skipped,
    /// Given up on.
    Dead,
}

/// Items that have ended, by how they ended. Sets, not counters: the same news twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcomes {
    pub ok: RoaringBitmap,
    pub skipped: RoaringBitmap,
    pub dead: RoaringBitmap,
}

impl Outcomes {
    pub fn contains(&self, item: ItemIndex) -> bool {
        self.ok.contains(item) || self.skipped.contains(item) || self.dead.contains(item)
    }

    pub fn ended(&self) -> u64 {
        self.ok.len() + self.skipped.len() + self.dead.len()
    }

    /// Those that have ended of `count` items from `first` on.
    pub fn ended_among(&self, first: ItemIndex, count: u32) -> u64 {
        let among = |items: &RoaringBitmap| items.range_cardinality(first..first.saturating_add(count));
        among(&self.ok) + among(&self.skipped) + among(&self.dead)
    }

    pub fn of(&mut self, outcome: Outcome) -> &mut RoaringBitmap {
        match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Dead => &mut self.dead,
        }
    }

    /// Takes every item that has ended out of `items`.
    pub fn remove_from(&self, items: &mut RoaringBitmap) {
        *items -= &self.ok;
        *items -= &self.skipped;
        *items -= &self.dead;
    }
}

/// Some items of one shard, as a row holds them: runs while they are few, else a bitmap of 1 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ShardBits {
    /// `(offset in the shard, length)`, ascending.
    Runs(Vec<(u32, u32)>),
    /// One bit an item, least significant first, in base64.
    Bitmap(String),
}

/// Past so many runs the bitmap is shorter.
const MAX_RUNS: usize = 128;

impl Default for ShardBits {
    fn default() -> Self {
        Self::Runs(Vec::new())
    }
}

impl ShardBits {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part of `set` that lies in `shard`.
    pub fn of(set: &RoaringBitmap, shard: u32) -> Self {
        let base = shard * SHARD_ITEMS;
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for item in set.range(base..=base + (SHARD_ITEMS - 1)) {
            let offset = item - base;
            match runs.last_mut() {
                Some((start, len)) if *start + *len == offset => *len += 1,
                _ => runs.push((offset, 1)),
            }
        }
        if runs.len() <= MAX_RUNS {
            return Self::Runs(runs);
        }
        let mut bytes = vec![0u8; SHARD_ITEMS as usize / 8];
        for offset in runs.into_iter().flat_map(|(start, len)| start..start + len) {
            bytes[offset as usize / 8] |= 1 << (offset % 8);
        }
        Self::Bitmap(STANDARD.encode(bytes))
    }

    /// Adds these items to `set`; `None` when the row is damaged.
    pub fn add_to(&self, set: &mut RoaringBitmap, shard: u32) -> Option<()> {
        let base = shard.checked_mul(SHARD_ITEMS)?;
        match self {
            Self::Runs(runs) => {
                for &(start, len) in runs {
                    if start.checked_add(len)? > SHARD_ITEMS {
                        return None;
                    }
                    set.insert_range(base + start..base + start + len);
                }
            }
            Self::Bitmap(text) => {
                let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == SHARD_ITEMS as usize / 8)?;
                let offsets = (0..SHARD_ITEMS).filter(|offset| bytes[*offset as usize / 8] >> (offset % 8) & 1 == 1);
                set.extend(offsets.map(|offset| base + offset));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(set: &RoaringBitmap, shard: u32) -> RoaringBitmap {
        let mut back = RoaringBitmap::new();
        ShardBits::of(set, shard).add_to(&mut back, shard).expect("what we wrote can be read");
        back
    }

    #[test]
    fn a_shard_holds_its_own_items_and_no_others() {
        let mut set = RoaringBitmap::new();
        set.insert_range(8_000..8_300);
        let (low, high) = (round_trip(&set, 0), round_trip(&set, 1));
        assert_eq!((low.min(), low.max(), low.len()), (Some(8_000), Some(8_191), 192));
        assert_eq!((high.min(), high.max(), high.len()), (Some(8_192), Some(8_299), 108));
    }

    #[test]
    fn many_runs_become_a_bitmap_of_a_kibibyte() {
        let set: RoaringBitmap = (0..8_192).step_by(2).collect();
        assert!(matches!(ShardBits::of(&set, 0), ShardBits::Bitmap(text) if text.len() < 1_400));
        assert_eq!(round_trip(&set, 0), set);
        let scattered: RoaringBitmap =
            (0..8_192).filter(|item| item * item % 37 < 11).map(|item| 8_192 + item).collect();
        assert!(matches!(ShardBits::of(&scattered, 1), ShardBits::Bitmap(_)));
        assert_eq!(round_trip(&scattered, 1), scattered);
    }

    #[test]
    fn a_damaged_row_is_refused() {
        let mut set = RoaringBitmap::new();
        assert_eq!(ShardBits::Runs(vec![(8_000, 500)]).add_to(&mut set, 0), None);
        assert_eq!(ShardBits::Bitmap("AAAA".into()).add_to(&mut set, 0), None);
    }
}

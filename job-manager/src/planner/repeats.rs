//! Items of a list that have the same name, in bounded memory: two items of one name would write one output.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use grid_core::pipeline::ListItem;
use grid_core::submission::PinnedFile;
use infra::grid::Sources;

use crate::planner::PlanError;
use crate::planner::lines::ListReader;

/// Hashes held at once: 32 MiB. A list of more items is read again for every so many.
const MAX_HASHES: usize = 4 << 20;

/// Repeats told at once.
const MAX_REPEATS: usize = 20;

/// Collects the hashes of names from `low` to `high`; lowers `high` when they become too many.
#[derive(Debug)]
pub(super) struct Repeats {
    low: u64,
    high: u64,
    hashes: Vec<u64>,
    max_hashes: usize,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::from(0, MAX_HASHES)
    }
}

/// The hash of an item's name.
pub(super) fn hash_of(item: &ListItem) -> u64 {
    hash_of_name(&item.key().name())
}

fn hash_of_name(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Repeats {
    fn from(low: u64, max_hashes: usize) -> Self {
        Self { low, high: u64::MAX, hashes: Vec::new(), max_hashes }
    }

    /// Takes the hash of one more item.
    pub fn see(&mut self, hash: u64) {
        if !(self.low..=self.high).contains(&hash) {
            return;
        }
        self.hashes.push(hash);
        while self.hashes.len() >= self.max_hashes && self.high > self.low {
            // What is left out now is looked at when the list is read again.
            self.high = self.low + (self.high - self.low) / 2;
            let high = self.high;
            self.hashes.retain(|hash| *hash <= high);
        }
    }

    /// All items were seen once. Returns the lines of items that have the name of an earlier one, each with the line
    /// of that one; reads the list again where it must.
    pub async fn finish(self, sources: &Sources, file: &PinnedFile) -> Result<Vec<(u64, u64)>, PlanError> {
        let (mut suspects, mut round) = (BTreeMap::new(), self);
        loop {
            suspects.extend(round.repeated().map(|hash| (hash, Vec::new())));
            if round.high == u64::MAX || suspects.len() >= MAX_REPEATS {
                break;
            }
            round = Self::from(round.high + 1, round.max_hashes);
            let mut lines = ListReader::open(sources, file).await?;
            while let Some((_, item)) = lines.next().await? {
                item.iter().for_each(|item| round.see(hash_of(item)));
            }
        }
        if suspects.is_empty() { Ok(Vec::new()) } else { same_names(sources, file, suspects).await }
    }

    /// Hashes seen more than once; the first few.
    fn repeated(&mut self) -> impl Iterator<Item = u64> {
        self.hashes.sort_unstable();
        self.hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).take(MAX_REPEATS)
    }
}

/// Of the items whose hashes are equal, those whose names are.
async fn same_names(
    sources: &Sources,
    file: &PinnedFile,
    mut suspects: BTreeMap<u64, Vec<(String, u64)>>,
) -> Result<Vec<(u64, u64)>, PlanError> {
    let mut same = Vec::new();
    let mut lines = ListReader::open(sources, file).await?;
    while let Some((line, item)) = lines.next().await? {
        let Some(name) = item.ok().map(|item| item.key().name()) else { continue };
        if let Some(seen) = suspects.get_mut(&hash_of_name(&name)) {
            match seen.iter().find(|(other, _)| *other == name) {
                Some((_, first)) if same.len() < MAX_REPEATS => same.push((line, *first)),
                Some(_) => {}
                None => seen.push((name, line)),
            }
        }
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use infra::inputs::{PinOptions, pin_object};

    use super::*;

    #[tokio::test]
    async fn a_list_is_read_again_until_every_name_was_compared() {
        let grid = infra::memory::grid();
        let mut lines: Vec<String> = (0..500).map(|number| format!("item {number}\n")).collect();
        lines.extend([7, 123, 499].map(|number| format!("item {number}\n")));
        grid.objects.put("list", Bytes::from(lines.concat())).await.unwrap();
        let file = pin_object(&grid.sources, "grid://list", "list", PinOptions::default()).await.unwrap();
        for max_hashes in [16, 100, 1_000] {
            let mut repeats = Repeats::from(0, max_hashes);
            for line in &lines {
                repeats.see(hash_of(&ListItem::Text(line.trim_end().to_owned())));
            }
            assert_eq!(repeats.high == u64::MAX, max_hashes == 1_000);
            let same = repeats.finish(&grid.sources, &file).await.unwrap();
            assert_eq!(same, [(501, 8), (502, 124), (503, 500)], "{max_hashes} at once");
        }
    }
}

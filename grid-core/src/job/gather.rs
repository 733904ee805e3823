//! What the items of a `group` or `all` stage wait for.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::bits::{Outcome, Outcomes};
use super::tree::{Inputs, Tree};
use crate::ids::ItemIndex;
use crate::items::Key;

/// Consecutive items of one stage, by its place in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    pub stage: usize,
    pub first: ItemIndex,
    pub count: u32,
}

/// For each item: how many of the things that it reads have not ended, and how the others ended.
///
/// Derived from the outcome sets; each thing that ends is noted once, because the sets let it end only once.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    shape: Shape,
    open: Vec<u32>,
    any_ok: RoaringBitmap,
    any_bad: RoaringBitmap,
}

#[derive(Clone, Debug)]
enum Shape {
    /// Groups: their members, and for each upstream stage `(first, count, group)`, ascending.
    Groups { members: Vec<Vec<Members>>, runs: BTreeMap<usize, Vec<(u32, u32, u32)>> },
    /// Combiners: upstream stages with the place of their first output among all inputs.
    Tree { tree: Tree, own: usize, upstream: Vec<(Members, u32)> },
}

/// Things that ended, and the item that reads them.
struct Ended {
    reader: ItemIndex,
    count: u32,
}

impl Gather {
    pub fn groups(members: Vec<Vec<Members>>) -> Self {
        let mut runs: BTreeMap<usize, Vec<(u32, u32, u32)>> = BTreeMap::new();
        for (group, of_group) in members.iter().enumerate() {
            for run in of_group {
                runs.entry(run.stage).or_default().push((run.first, run.count, group as u32));
            }
        }
        runs.values_mut().for_each(|runs| runs.sort_unstable());
        let open = members.iter().map(|members| members.iter().map(|run| run.count).sum()).collect();
        Self::new(Shape::Groups { members, runs }, open)
    }

    /// The combiners of stage `own` over the outputs of `upstream`.
    pub fn tree(fan_in: Option<u32>, own: usize, upstream: &[Members]) -> Self {
        let mut inputs = 0;
        let mut placed = Vec::new();
        for members in upstream {
            placed.push((*members, inputs));
            inputs += members.count;
        }
        let tree = Tree::new(inputs, fan_in);
        let open = (0..tree.items())
            .map(|item| match tree.inputs_of(item) {
                Inputs::Upstream(range) | Inputs::Items(range) => range.len() as u32,
            })
            .collect();
        Self::new(Shape::Tree { tree, own, upstream: placed }, open)
    }

    fn new(shape: Shape, open: Vec<u32>) -> Self {
        Self { shape, open, any_ok: RoaringBitmap::new(), any_bad: RoaringBitmap::new() }
    }

    pub fn items(&self) -> u32 {
        self.open.len() as u32
    }

    /// What an item reads, in order.
    pub fn members_of(&self, item: ItemIndex) -> Vec<Members> {
        match &self.shape {
            Shape::Groups { members, .. } => members[item as usize].clone(),
            Shape::Tree { tree, own, upstream } => match tree.inputs_of(item) {
                Inputs::Items(range) => vec![Members { stage: *own, first: range.start, count: range.len() as u32 }],
                Inputs::Upstream(range) => upstream
                    .iter()
                    .filter_map(|(members, place)| {
                        let start = range.start.max(*place);
                        let end = range.end.min(place + members.count);
                        let first = members.first + start.checked_sub(*place)?;
                        (start < end).then(|| Members { stage: members.stage, first, count: end - start })
                    })
                    .collect(),
            },
        }
    }

    /// The key of an item of an `all` stage: none, or its place in the tree of combiners.
    pub fn tree_key(&self, item: ItemIndex) -> Key {
        match &self.shape {
            Shape::Tree { tree, .. } if tree.items() > 1 => {
                let (level, part) = tree.place_of(item);
                Key(vec![("level".into(), level.to_string()), ("part".into(), part.to_string())])
            }
            Shape::Tree { .. } | Shape::Groups { .. } => Key::default(),
        }
    }

    /// Notes items of `stage` that ended; answers the items whose inputs have all ended with this.
    pub fn note(&mut self, stage: usize, first: ItemIndex, count: u32, outcome: Outcome) -> Vec<ItemIndex> {
        let mut complete = Vec::new();
        for ended in self.readers(stage, first, count) {
            match outcome {
                Outcome::Ok => _ = self.any_ok.insert(ended.reader),
                Outcome::Skipped | Outcome::Dead => _ = self.any_bad.insert(ended.reader),
            }
            let open = &mut self.open[ended.reader as usize];
            *open = open.saturating_sub(ended.count);
            if *open == 0 {
                complete.push(ended.reader);
            }
        }
        complete
    }

    /// Notes everything that has ended in `stage`.
    pub fn note_all(&mut self, stage: usize, outcomes: &Outcomes) {
        for (set, outcome) in
            [(&outcomes.ok, Outcome::Ok), (&outcomes.skipped, Outcome::Skipped), (&outcomes.dead, Outcome::Dead)]
        {
            for (first, count) in runs_of(set.iter()) {
                self.note(stage, first, count, outcome);
            }
        }
    }

    /// Items whose inputs have all ended.
    pub fn complete(&self) -> impl Iterator<Item = ItemIndex> {
        self.open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(item, _)| item as u32)
    }

    /// Whether the inputs of an item have all ended.
    pub fn is_complete(&self, item: ItemIndex) -> bool {
        self.open.get(item as usize) == Some(&0)
    }

    /// Whether an item has something to read. The one item of an `all` runs even over nothing.
    pub fn has_input(&self, item: ItemIndex) -> bool {
        matches!(self.shape, Shape::Tree { .. }) || self.any_ok.contains(item)
    }

    /// Whether one of the things that an item reads was given up on or left out.
    pub fn has_bad(&self, item: ItemIndex) -> bool {
        self.any_bad.contains(item)
    }

    /// The items that read item `item` of `stage`.
    pub fn readers_of(&self, stage: usize, item: ItemIndex) -> Vec<ItemIndex> {
        self.readers(stage, item, 1).into_iter().map(|ended| ended.reader).collect()
    }

    fn readers(&self, stage: usize, first: ItemIndex, count: u32) -> Vec<Ended> {
        let end = first + count;
        match &self.shape {
            Shape::Groups { runs, .. } => {
                let runs = runs.get(&stage).map_or(&[][..], Vec::as_slice);
                let from = runs.partition_point(|(start, len, _)| start + len <= first);
                runs[from..]
                    .iter()
                    .take_while(|(start, ..)| *start < end)
                    .map(|&(start, len, reader)| Ended { reader, count: end.min(start + len) - first.max(start) })
                    .collect()
            }
            Shape::Tree { tree, own, upstream } => {
                let mut ended: Vec<Ended> = Vec::new();
                let mut one_more = |reader: ItemIndex| match ended.last_mut() {
                    Some(last) if last.reader == reader => last.count += 1,
                    _ => ended.push(Ended { reader, count: 1 }),
                };
                if stage == *own {
                    (first..end).filter_map(|item| tree.reader_of_item(item)).for_each(&mut one_more);
                }
                for (members, place) in upstream.iter().filter(|(members, _)| members.stage == stage) {
                    let (from, to) = (first.max(members.first), end.min(members.first + members.count));
                    (from..to).for_each(|item| one_more(tree.reader_of_input(place + item - members.first)));
                }
                ended
            }
        }
    }
}

/// Joins ascending items into `(first, count)`.
pub(super) fn runs_of(items: impl Iterator<Item = ItemIndex>) -> Vec<(ItemIndex, u32)> {
    let mut runs: Vec<(ItemIndex, u32)> = Vec::new();
    for item in items {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == item => *count += 1,
            _ => runs.push((item, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(stage: usize, first: u32, count: u32) -> Members {
        Members { stage, first, count }
    }

    #[test]
    fn a_group_is_complete_with_its_last_member() {
        let mut gather = Gather::groups(vec![vec![members(0, 0, 2), members(0, 4, 1)], vec![members(0, 2, 2)]]);
        assert_eq!(gather.note(0, 0, 3, Outcome::Ok), Vec::<u32>::new());
        assert_eq!(gather.note(0, 3, 1, Outcome::Dead), vec![1]);
        assert_eq!(gather.note(0, 4, 1, Outcome::Skipped), vec![0]);
        assert_eq!((gather.has_bad(0), gather.has_bad(1)), (true, true));
        assert_eq!(gather.complete().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_tree_over_two_stages_reads_them_in_order() {
        let mut gather = Gather::tree(Some(3), 2, &[members(0, 0, 4), members(1, 0, 1)]);
        assert_eq!(gather.items(), 3);
        assert_eq!(gather.members_of(0), [members(0, 0, 3)]);
        assert_eq!(gather.members_of(1), [members(0, 3, 1), members(1, 0, 1)]);
        assert_eq!(gather.members_of(2), [members(2, 0, 2)]);
        assert_eq!(gather.note(0, 0, 4, Outcome::Ok), [0]);
        assert_eq!(gather.note(1, 0, 1, Outcome::Ok), [1]);
        assert_eq!(gather.note(2, 1, 1, Outcome::Ok), Vec::<u32>::new());
        assert_eq!(gather.note(2, 0, 1, Outcome::Ok), [2]);
    }

    #[test]
    fn an_all_over_nothing_is_complete_at_once() {
        let gather = Gather::tree(None, 1, &[members(0, 0, 0)]);
        assert_eq!(gather.complete().collect::<Vec<_>>(), [0]);
        assert_eq!(gather.members_of(0), Vec::<Members>::new());
    }
}

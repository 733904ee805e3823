//! The items of an `all` stage: one, or with `fan_in` a tree of combiners, leaves first, the root last.

use std::ops::Range;

/// The combiners over some number of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    inputs: u32,
    fan_in: u32,
    /// The first item of each level, and behind the last one the number of items.
    levels: Vec<u32>,
}

/// What one combiner reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// These of the inputs, counted over all upstream stages.
    Upstream(Range<u32>),
    /// The outputs of these items of the same stage.
    Items(Range<u32>),
}

impl Tree {
    /// The tree over `inputs` inputs, at most `fan_in` (at least 2) of them, or of combiners, to a combiner. Without
    /// inputs there is still one item: it reads nothing.
    pub fn new(inputs: u32, fan_in: Option<u32>) -> Self {
        let fan_in = fan_in.unwrap_or(u32::MAX).max(2);
        let mut levels = vec![0];
        let mut width = inputs.div_ceil(fan_in).max(1);
        let mut items = width;
        levels.push(items);
        while width > 1 {
            width = width.div_ceil(fan_in);
            items += width;
            levels.push(items);
        }
        Self { inputs, fan_in, levels }
    }

    /// How many combiners there are.
    pub fn items(&self) -> u32 {
        self.levels[self.levels.len() - 1]
    }

    /// The level of an item, leaves being 0, and its place in the level.
    pub fn place_of(&self, item: u32) -> (u32, u32) {
        let level = self.level_of(item);
        (level as u32, item - self.levels[level])
    }

    /// What an item reads; never more than `fan_in` things.
    pub fn inputs_of(&self, item: u32) -> Inputs {
        let level = self.level_of(item);
        let begin = (item - self.levels[level]).saturating_mul(self.fan_in);
        if level == 0 {
            return Inputs::Upstream(begin.min(self.inputs)..begin.saturating_add(self.fan_in).min(self.inputs));
        }
        let (below, here) = (self.levels[level - 1], self.levels[level]);
        Inputs::Items(below + begin..(below + begin).saturating_add(self.fan_in).min(here))
    }

    /// The combiner that reads an input.
    pub fn reader_of_input(&self, input: u32) -> u32 {
        input / self.fan_in
    }

    /// The combiner that reads the output of a combiner; none for the root.
    pub fn reader_of_item(&self, item: u32) -> Option<u32> {
        let level = self.level_of(item);
        if level + 2 >= self.levels.len() {
            return None;
        }
        Some(self.levels[level + 1] + (item - self.levels[level]) / self.fan_in)
    }

    fn level_of(&self, item: u32) -> usize {
        let levels = &self.levels[..self.levels.len() - 1];
        levels.iter().rposition(|first| *first <= item).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_fan_in_there_is_one_item_that_reads_everything() {
        for inputs in [0, 1, 7] {
            let tree = Tree::new(inputs, None);
            assert_eq!((tree.items(), tree.inputs_of(0)), (1, Inputs::Upstream(0..inputs)));
        }
    }

    #[test]
    fn every_input_and_every_combiner_but_the_root_is_read_once() {
        for (inputs, fan_in) in [(1, 2), (2, 2), (3, 2), (10, 3), (27, 3), (28, 3), (1_000, 7)] {
            let tree = Tree::new(inputs, Some(fan_in));
            let (mut read, mut combined) = (Vec::new(), Vec::new());
            for item in 0..tree.items() {
                match tree.inputs_of(item) {
                    Inputs::Upstream(range) => {
                        assert!(range.len() <= fan_in as usize);
                        range.clone().for_each(|input| assert_eq!(tree.reader_of_input(input), item));
                        read.extend(range);
                    }
                    Inputs::Items(range) => {
                        assert!(range.len() <= fan_in as usize && range.end <= item);
                        range.clone().for_each(|below| assert_eq!(tree.reader_of_item(below), Some(item)));
                        combined.extend(range);
                    }
                }
            }
            assert_eq!(read, (0..inputs).collect::<Vec<_>>());
            assert_eq!(combined, (0..tree.items() - 1).collect::<Vec<_>>(), "{inputs} by {fan_in}");
            assert_eq!(tree.reader_of_item(tree.items() - 1), None);
        }
    }
}

//! Items that follow from the pipeline file alone: `range`, `matrix` and inline lists. Nothing is planned for them;
//! any worker can tell the key of item n.

use std::collections::HashSet;

use crate::ids::ItemIndex;
use crate::items::Key;
use crate::pipeline::{ItemSource, List, ListItem, Matrix, Range};

/// The dimension of an item that is a single value.
pub const ITEM_DIM: &str = "item";

/// The items of a computed source, ready to be asked for many keys.
#[derive(Clone, Debug)]
pub enum ComputedItems<'a> {
    /// Of a `range`.
    Range(Range),
    /// Of a `matrix` without `include` and `exclude`: computed one by one.
    Product(&'a Matrix),
    /// Of a `matrix` with `include` or `exclude`, listed.
    Listed(Vec<Key>),
    /// Of an inline `list`.
    List(&'a [ListItem]),
}

impl<'a> ComputedItems<'a> {
    /// `None` for sources whose items are planned or follow from other stages.
    pub fn of(source: &'a ItemSource) -> Option<Self> {
        match source {
            ItemSource::Range(range) => Some(Self::Range(*range)),
            ItemSource::Matrix(matrix) if matrix.is_product() => Some(Self::Product(matrix)),
            ItemSource::Matrix(matrix) => Some(Self::Listed(matrix.combinations())),
            ItemSource::List(List::Inline(items)) => Some(Self::List(items)),
            ItemSource::List(List::File(_))
            | ItemSource::Split(_)
            | ItemSource::Each(_)
            | ItemSource::Group { .. }
            | ItemSource::All { .. } => None,
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        match self {
            Self::Range(range) => range.count(),
            Self::Product(matrix) => matrix.product(),
            Self::Listed(keys) => keys.len() as u64,
            Self::List(items) => items.len() as u64,
        }
    }

    /// The key of an item; `None` beyond the last one.
    pub fn key(&self, index: ItemIndex) -> Option<Key> {
        match self {
            Self::Range(range) => Some(single(range.value(index)?.to_string())),
            Self::Product(matrix) => matrix.key(u64::from(index)),
            Self::Listed(keys) => keys.get(index as usize).cloned(),
            Self::List(items) => items.get(index as usize).map(ListItem::key),
        }
    }
}

/// The key of one item of a `range`, `matrix` or inline list. For many items of a matrix with `include` or `exclude`,
/// make [`ComputedItems`] once instead.
pub fn key_of_computed(source: &ItemSource, index: ItemIndex) -> Option<Key> {
    ComputedItems::of(source)?.key(index)
}

/// How many items a `range`, `matrix` or inline list has.
pub fn count_of_computed(source: &ItemSource) -> Option<u64> {
    Some(ComputedItems::of(source)?.count())
}

impl Range {
    /// How many numbers it has, at least 1.
    pub fn count(&self) -> u64 {
        // i128 holds the distance of any two i64.
        let steps = (i128::from(self.last) - i128::from(self.first)) / i128::from(self.step.max(1));
        u64::try_from(steps + 1).unwrap_or(u64::MAX)
    }

    /// Number `index`, from 0; `None` beyond the last one.
    pub fn value(&self, index: ItemIndex) -> Option<i64> {
        let value = i128::from(self.first) + i128::from(index) * i128::from(self.step);
        i64::try_from(value).ok().filter(|value| *value <= self.last)
    }
}

impl ListItem {
    /// Its key: the dimension [`ITEM_DIM`], or its fields.
    pub fn key(&self) -> Key {
        match self {
            Self::Text(text) => single(text.clone()),
            Self::Fields(fields) => Key(fields.clone()),
        }
    }
}

fn single(value: String) -> Key {
    Key(vec![(ITEM_DIM.to_owned(), value)])
}

/// The first item whose name occurred before: two items of one name would write one file.
pub(crate) fn repeated_name(keys: impl Iterator<Item = Key>) -> Option<usize> {
    let mut seen = HashSet::new();
    keys.map(|key| key.name()).position(|name| !seen.insert(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(range: Range) -> Vec<i64> {
        (0..).map_while(|index| range.value(index)).collect()
    }

    #[test]
    fn a_range_includes_both_ends_if_the_step_hits_the_last() {
        let range = |first, last, step| Range { first, last, step };
        assert_eq!(values(range(1, 3, 1)), [1, 2, 3]);
        assert_eq!(values(range(-4, 5, 3)), [-4, -1, 2, 5]);
        assert_eq!(values(range(0, 10, 4)), [0, 4, 8]);
        assert_eq!(values(range(7, 7, u64::MAX)), [7]);
        assert_eq!([range(0, 10, 4).count(), range(1, 3, 1).count(), range(7, 7, 9).count()], [3, 3, 1]);
        assert_eq!(range(i64::MIN, i64::MAX, 1).count(), u64::MAX);
        assert_eq!(range(i64::MAX - 1, i64::MAX, 1).value(2), None);
    }

    #[test]
    fn computed_items_are_known_by_their_index_and_planned_ones_are_not() {
        let list = ItemSource::List(List::Inline(vec![
            ListItem::Text("a".into()),
            ListItem::Fields(vec![("b".into(), "1".into()), ("a".into(), "2".into())]),
        ]));
        assert_eq!(count_of_computed(&list), Some(2));
        assert_eq!(key_of_computed(&list, 0), Some(single("a".into())));
        assert_eq!(key_of_computed(&list, 1), Some(Key(vec![("b".into(), "1".into()), ("a".into(), "2".into())])));
        assert_eq!(key_of_computed(&list, 2), None);
        let range = ItemSource::Range(Range { first: 1, last: 10_000_000, step: 1 });
        assert_eq!(key_of_computed(&range, 9_999_999), Some(single("10000000".into())));
        assert_eq!(count_of_computed(&ItemSource::List(List::File("x".into()))), None);
        assert_eq!(key_of_computed(&ItemSource::Each(vec![]), 0), None);
    }

    #[test]
    fn two_items_of_one_name_are_found() {
        let keys = [single("a".into()), single("b".into()), Key(vec![("x".into(), "a".into())])];
        assert_eq!(repeated_name(keys.into_iter()), Some(2));
    }
}

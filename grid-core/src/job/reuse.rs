//! Items whose results an earlier job has: they are looked for before they are handed out, a window at a time.

use roaring::RoaringBitmap;

use super::state::{Job, JobState};
use crate::ids::{ItemIndex, StageItems, StageName};
use crate::items::Key;
use crate::limits::SHARD_ITEMS;
use crate::pipeline::ItemSource;

/// What was found out about the items of a stage that has an earlier job to take from.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Items that were looked for.
    pub checked: RoaringBitmap,
    /// Of those, items that need not run.
    pub reusable: RoaringBitmap,
}

/// What an item is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeOf {
    /// Its key, and perhaps a piece of an input.
    Itself,
    /// One item upstream.
    Item(StageName, ItemIndex),
    /// Those of these items that are committed.
    Items(Vec<StageItems>),
}

impl Job {
    /// Says that an earlier job may have results for this stage: nothing of it is handed out before [`Job::looked_for`].
    pub fn expect_reuse(&mut self, stage: &StageName) {
        if let Some(index) = self.index_of(stage) {
            self.stages[index].found = Some(Found::default());
        }
    }

    /// The next ready items, of one shard, that somebody has to look for in earlier jobs.
    pub fn to_look_for(&self) -> Option<StageItems> {
        if self.meta.state != JobState::Running {
            return None;
        }
        (0..self.stages.len()).rev().find_map(|index| self.unchecked_of(index))
    }

    fn unchecked_of(&self, index: usize) -> Option<StageItems> {
        let book = &self.stages[index];
        let found = book.found.as_ref()?;
        if !self.is_open(index) {
            return None;
        }
        let first = book.ready.iter().find(|item| !found.checked.contains(*item) && !self.is_blocked(index, *item))?;
        let end = (first / SHARD_ITEMS + 1).saturating_mul(SHARD_ITEMS);
        let mut count = 1;
        while first + count < end && book.ready.contains(first + count) && !found.checked.contains(first + count) {
            count += 1;
        }
        Some(StageItems { stage: self.spec(index).name.clone(), first, count })
    }

    /// Says which of some items need not run.
    pub fn looked_for(&mut self, items: &StageItems, is_reusable: &[bool]) {
        let Some(index) = self.index_of(&items.stage) else { return };
        let Some(found) = &mut self.stages[index].found else { return };
        found.checked.insert_range(items.first..items.first + items.count);
        let reusable = (items.first..).zip(is_reusable).filter(|(_, is)| **is).map(|(item, _)| item);
        found.reusable.extend(reusable);
    }

    /// What an item is made of. Of a `group` or `all`: once its inputs are known.
    pub fn made_of(&self, stage: &StageName, item: ItemIndex) -> MadeOf {
        let Some(index) = self.index_of(stage) else { return MadeOf::Itself };
        if let Some((members, base)) = self.each_source(index, item) {
            return MadeOf::Item(self.spec(members.stage).name.clone(), members.first + (item - base));
        }
        match (&self.spec(index).items, &self.stages[index].gather) {
            (ItemSource::Group { .. } | ItemSource::All { .. }, Some(gather)) => {
                let named = |members: super::gather::Members| StageItems {
                    stage: self.spec(members.stage).name.clone(),
                    first: members.first,
                    count: members.count,
                };
                MadeOf::Items(gather.members_of(item).into_iter().map(named).collect())
            }
            _ => MadeOf::Itself,
        }
    }

    /// The key of a combiner: commands may ask for it, so it belongs to what they make.
    pub fn combiner_key(&self, stage: &StageName, item: ItemIndex) -> Key {
        let gather = self.index_of(stage).and_then(|index| self.stages[index].gather.as_ref());
        gather.map(|gather| gather.tree_key(item)).unwrap_or_default()
    }
}

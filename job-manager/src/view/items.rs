//! Lists of items, page by page.

use std::fmt;
use std::str::FromStr;

use grid_api::{DeadLetter, Item, ItemState};
use grid_core::ids::{ItemIndex, StageName};
use infra::Result;

use super::{Fate, JobView};

/// Items looked at for one page: a filter that fits few items gives short pages rather than long waits.
const MAX_LOOKED_AT: u32 = 1_000_000;

/// A place in the list of all items of a job; written `STAGE.ITEM`, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemPlace {
    /// The stage's place in the pipeline.
    pub stage: usize,
    /// The item.
    pub item: ItemIndex,
}

impl ItemPlace {
    /// The first item of all.
    pub const START: Self = Self { stage: 0, item: 0 };
}

impl fmt::Display for ItemPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stage, self.item)
    }
}

impl FromStr for ItemPlace {
    type Err = NoPlace;

    /// An item that no stage can have is past the end of its stage.
    fn from_str(text: &str) -> std::result::Result<Self, NoPlace> {
        let [stage, item] = numbers(text)?;
        let (stage, item) = (usize::try_from(stage), ItemIndex::try_from(item));
        Ok(Self { stage: stage.unwrap_or(usize::MAX), item: item.unwrap_or(ItemIndex::MAX) })
    }
}

/// A text that is no place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a list")]
pub struct NoPlace;

/// The numbers of a place, with dots between them. Each has at most ten digits, as the largest number of an item has.
pub(super) fn numbers<const COUNT: usize>(text: &str) -> std::result::Result<[u64; COUNT], NoPlace> {
    let is_number = |text: &&str| (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Option<Vec<u64>> = text.split('.').map(|text| Some(text).filter(is_number)?.parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or(NoPlace)
}

/// Which items are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemFilter {
    /// Only those of this stage.
    pub stage: Option<StageName>,
    /// Only those in this state.
    pub state: Option<ItemState>,
}

/// A part of the list of items.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemPage {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<ItemPlace>,
}

/// A part of the list of dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadPage {
    /// The dead letters.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<ItemPlace>,
}

/// Up to `limit` items from `from` on that the filter lets through.
pub async fn list_items(view: &JobView, filter: &ItemFilter, from: ItemPlace, limit: usize) -> Result<ItemPage> {
    let mut page = ItemPage { items: Vec::new(), next: None };
    let mut looked_at = 0;
    for (place, name) in stages(view, filter.stage.as_ref(), from) {
        let fates = view.fates(&name);
        let first = if place == from.stage { from.item } else { 0 };
        let mut found: Vec<(ItemIndex, ItemState)> = Vec::new();
        for item in first..view.items(&name) {
            if page.items.len() + found.len() == limit || looked_at == MAX_LOOKED_AT {
                page.next = Some(ItemPlace { stage: place, item });
                break;
            }
            looked_at += 1;
            let state = state_of(fates.of(item));
            if filter.state.is_none_or(|wanted| wanted == state) {
                found.push((item, state));
            }
        }
        page.items.extend(entries(view, &name, &found).await?);
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

/// Up to `limit` dead letters from `from` on.
pub async fn list_dead(view: &JobView, only: Option<&StageName>, from: ItemPlace, limit: usize) -> Result<DeadPage> {
    let mut page = DeadPage { letters: Vec::new(), next: None };
    for (place, name) in stages(view, only, from) {
        let mut items = view.dead_items(&name);
        if place == from.stage {
            items.retain(|item| *item >= from.item);
        }
        let room = limit - page.letters.len();
        page.next = items.get(room).map(|item| ItemPlace { stage: place, item: *item });
        items.truncate(room);
        let mut letters = view.dead_letters_of(&name, items);
        while let Some(letter) = letters.next().await? {
            page.letters.push(letter);
        }
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

/// The stages that a list goes through, from a place on.
fn stages(view: &JobView, only: Option<&StageName>, from: ItemPlace) -> Vec<(usize, StageName)> {
    let all = view.submission.pipeline.stages.iter().map(|stage| stage.name.clone()).enumerate().skip(from.stage);
    all.filter(|(_, name)| only.is_none_or(|only| only == name)).collect()
}

async fn entries(view: &JobView, stage: &StageName, found: &[(ItemIndex, ItemState)]) -> Result<Vec<Item>> {
    let dead = found.iter().filter(|(_, state)| *state == ItemState::Dead).map(|(item, _)| *item).collect();
    let mut letters = view.dead_letters_of(stage, dead);
    let mut entries = Vec::with_capacity(found.len());
    for run in found.chunk_by(|(before, _), (after, _)| before + 1 == *after) {
        let keys = view.keys(stage, run[0].0, run.len() as u32).await?;
        for ((index, state), key) in run.iter().zip(keys) {
            let letter = if *state == ItemState::Dead { letters.next().await? } else { None };
            let (attempt, failure, input) = match letter {
                Some(letter) => (Some(letter.attempt), Some(letter.failure), letter.input),
                None => (None, None, None),
            };
            let (item, key) = (key.name(), key.0.into_iter().collect());
            entries.push(Item {
                stage: stage.clone(),
                index: *index,
                item,
                key,
                state: *state,
                attempt,
                failure,
                input,
            });
        }
    }
    Ok(entries)
}

fn state_of(fate: Fate) -> ItemState {
    match fate {
        Fate::Committed => ItemState::Committed,
        Fate::Dead => ItemState::Dead,
        Fate::Skipped => ItemState::Skipped,
        Fate::Out => ItemState::Out,
        Fate::Waiting => ItemState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = ItemPlace { stage: 3, item: 4_000_000_000 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "1", "1.", ".1", "a.1", "1.-1", "1.+1", "1.42949672960", "1.1.1"] {
            assert_eq!(text.parse::<ItemPlace>(), Err(NoPlace), "{text}");
        }
        assert_eq!("1.4294967296".parse(), Ok(ItemPlace { stage: 1, item: ItemIndex::MAX }));
    }
}

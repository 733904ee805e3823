//! Which item is meant.

use grid_core::ids::{ItemIndex, StageName};
use grid_core::limits::SHARD_ITEMS;
use infra::Result;

use super::JobView;

/// Keys looked at in one go when an item is looked for by its name.
const SEARCH_STEP: u32 = SHARD_ITEMS;

/// The item that people mean by `text`: `#INDEX`, its name, the name of its output file (`NAME~INDEX`, where an item
/// before it has the same name), or its values as people write them.
pub async fn find_item(view: &JobView, stage: &StageName, text: &str) -> Result<Option<ItemIndex>> {
    let items = view.items(stage);
    if let Some(index) = text.strip_prefix('#').and_then(|digits| digits.parse::<ItemIndex>().ok()) {
        return Ok((index < items).then_some(index));
    }
    if let Some((shared, digits)) = text.rsplit_once('~')
        && let Ok(index) = digits.parse::<ItemIndex>()
        && index < items
        && view.keys(stage, index, 1).await?.iter().any(|key| key.name() == shared)
    {
        return Ok(Some(index));
    }
    by_name(view, stage, text).await
}

/// The first item of that name; where no item has it, the first whose values are that.
async fn by_name(view: &JobView, stage: &StageName, name: &str) -> Result<Option<ItemIndex>> {
    let items = view.items(stage);
    let mut by_values = None;
    for first in (0..items).step_by(SEARCH_STEP as usize) {
        let count = SEARCH_STEP.min(items - first);
        let keys = view.keys(stage, first, count).await?;
        if let Some(place) = keys.iter().position(|key| key.name() == name) {
            return Ok(Some(first + place as u32));
        }
        let place = || keys.iter().position(|key| key.values().eq(name.split(',')));
        by_values = by_values.or_else(|| Some(first + place()? as u32));
    }
    Ok(by_values)
}

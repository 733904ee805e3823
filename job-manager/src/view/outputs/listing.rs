//! The list of all files that a job has written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use grid_core::ids::{ItemIndex, StageName};
use tokio::sync::mpsc;

use super::{Walk, WalkError, delivered_stages};
use crate::view::JobView;
use crate::view::items::{NoPlace, numbers};

/// Entries ahead of whoever reads the list.
const AHEAD: usize = 256;

/// A place in the list, written `STAGE.ITEM.FILE` by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputPlace {
    /// Of the stage among those that are delivered.
    pub stage: usize,
    /// The item; [`SHARED`](Self::SHARED) for what all items of the stage have printed, which comes last.
    pub item: u64,
    /// Of the file among those of the item.
    pub file: u64,
}

impl OutputPlace {
    /// The item of a file that belongs to all items: ten digits, as the last item of all has.
    pub const SHARED: u64 = 9_999_999_999;
}

impl fmt::Display for OutputPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.stage, self.item, self.file)
    }
}

impl FromStr for OutputPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let [stage, item, file] = numbers(text)?;
        Ok(Self { stage: usize::try_from(stage).unwrap_or(usize::MAX), item, file })
    }
}

/// A file that a job has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputEntry {
    /// Its place in the list.
    pub place: OutputPlace,
    /// Its path below the output folder.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The CRC-32 of its bytes.
    pub crc32: u32,
    /// The stage.
    pub stage: StageName,
    /// The item; the first one, where all items of the stage share the file.
    pub item: ItemIndex,
    /// What the item called it; `None` for standard output.
    pub name: Option<String>,
    /// Whether it holds what all items of the stage have printed, one after the other.
    pub is_shared: bool,
}

/// Lists the files that come after a place, stage by stage, in the order of the items. The list ends early when nobody
/// receives any more. Stages before the place are not looked at; items before it in its own stage only where names depend on
/// those given before.
pub fn list_outputs(view: Arc<JobView>, after: Option<OutputPlace>) -> mpsc::Receiver<Result<OutputEntry, WalkError>> {
    let (give, take) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        if let Err(error) = walk(&view, after, &give).await {
            // Whoever has gone does not want to know.
            let _ = give.send(Err(error)).await;
        }
    });
    take
}

async fn walk(
    view: &JobView,
    after: Option<OutputPlace>,
    give: &mpsc::Sender<Result<OutputEntry, WalkError>>,
) -> Result<(), WalkError> {
    let is_wanted = |place: &OutputPlace| after.is_none_or(|after| *place > after);
    let first = after.map_or(0, |after| after.stage);
    for (place, stage) in delivered_stages(view).enumerate().skip(first) {
        let mut walk = Walk::new(view, stage).await?;
        if let Some(after) = after.filter(|after| after.stage == place) {
            walk.skip_to(after.item);
        }
        let mut shared: Option<OutputEntry> = None;
        let mut last = OutputPlace { stage: place, item: OutputPlace::SHARED, file: 0 };
        while let Some(parts) = walk.next().await? {
            for part in parts {
                let item = u64::from(part.item);
                last.file = if last.item == item { last.file + 1 } else { 0 };
                last.item = item;
                let (bytes, crc32) = part.piece.as_ref().map_or((0, 0), |piece| (piece.len, piece.crc32));
                match &mut shared {
                    Some(entry) if part.appends => {
                        entry.crc32 = combined(entry, bytes, crc32);
                        entry.bytes += bytes;
                    }
                    _ => {
                        let (path, item, name) = (part.path, part.item, part.name);
                        let stage = stage.name.clone();
                        let is_shared = part.appends;
                        let place = match is_shared {
                            true => OutputPlace { item: OutputPlace::SHARED, file: 0, ..last },
                            false => last,
                        };
                        let entry = OutputEntry { place, path, bytes, crc32, stage, item, name, is_shared };
                        match is_shared {
                            true => shared = Some(entry),
                            false if is_wanted(&place) && give.send(Ok(entry)).await.is_err() => return Ok(()),
                            false => {}
                        }
                    }
                }
            }
        }
        if let Some(entry) = shared.filter(|entry| is_wanted(&entry.place))
            && give.send(Ok(entry)).await.is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// The CRC-32 of what an entry holds and of `bytes` more after it.
fn combined(entry: &OutputEntry, bytes: u64, crc32: u32) -> u32 {
    let mut whole = crc32fast::Hasher::new_with_initial_len(entry.crc32, entry.bytes);
    whole.combine(&crc32fast::Hasher::new_with_initial_len(crc32, bytes));
    whole.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_what_all_share_comes_last() {
        let place = OutputPlace { stage: 3, item: 4_000_000_000, file: 7 };
        assert_eq!(place.to_string().parse(), Ok(place));
        assert!(OutputPlace { item: OutputPlace::SHARED, file: 0, ..place } > place);
        for text in ["", "1", "1.2", "1.2.", "1..2", "a.1.1", "1.1.-1", "1.1.+1", "1.1.1.1", "1.12345678901.1"] {
            assert!(text.parse::<OutputPlace>().is_err(), "{text}");
        }
    }
}

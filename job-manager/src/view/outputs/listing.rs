//! The list of all files that a job has written.

use std::path::PathBuf;
use std::sync::Arc;

use grid_core::ids::{ItemIndex, StageName};
use tokio::sync::mpsc;

use super::{Walk, WalkError, delivered_stages};
use crate::view::JobView;

/// Entries ahead of whoever reads the list.
const AHEAD: usize = 256;

/// A file that a job has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputEntry {
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

/// Lists the files stage by stage, in the order of the items. The list ends early when nobody receives any more.
pub fn list_outputs(view: Arc<JobView>) -> mpsc::Receiver<Result<OutputEntry, WalkError>> {
    let (give, take) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        if let Err(error) = walk(&view, &give).await {
            // Whoever has gone does not want to know.
            let _ = give.send(Err(error)).await;
        }
    });
    take
}

async fn walk(view: &JobView, give: &mpsc::Sender<Result<OutputEntry, WalkError>>) -> Result<(), WalkError> {
    for stage in delivered_stages(view) {
        let mut walk = Walk::new(view, stage).await?;
        let mut shared: Option<OutputEntry> = None;
        while let Some(parts) = walk.next().await? {
            for part in parts {
                let (bytes, crc32) = part.piece.as_ref().map_or((0, 0), |piece| (piece.len, piece.crc32));
                match &mut shared {
                    Some(entry) if part.appends => {
                        entry.crc32 = combined(entry, bytes, crc32);
                        entry.bytes += bytes;
                    }
                    _ => {
                        let (path, item, name) = (part.path, part.item, part.name);
                        let stage = stage.name.clone();
                        let entry = OutputEntry { path, bytes, crc32, stage, item, name, is_shared: part.appends };
                        match part.appends {
                            true => shared = Some(entry),
                            false if give.send(Ok(entry)).await.is_err() => return Ok(()),
                            false => {}
                        }
                    }
                }
            }
        }
        if let Some(entry) = shared
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

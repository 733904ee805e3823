//! Makes a folder of a checkpoint.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use bytes::{Buf, BytesMut};
use futures::StreamExt;
use grid_core::limits::WIRE_VERSION;
use grid_core::wire::{CheckpointEnd, CheckpointEntry, CheckpointHead};
use infra::objects::ByteStream;
use serde::de::DeserializeOwned;

/// Longest line: a path and what a link says, generously.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Why a checkpoint could not be unpacked.
#[derive(Debug)]
pub(super) enum Broken {
    /// The store.
    Store(infra::Error),
    /// The scratch disk.
    Disk(io::Error),
    /// It is not what it should be.
    Damaged(String),
}

/// Fills `folder`, which is empty, with a checkpoint of the item that `expected` names.
pub(super) async fn unpack(stream: ByteStream, expected: &CheckpointHead, folder: &Path) -> Result<(), Broken> {
    let mut pieces = Pieces { stream, buffer: BytesMut::new() };
    let head: CheckpointHead = pieces.line().await?;
    if head.v > WIRE_VERSION {
        let v = head.v;
        return Err(Broken::Damaged(format!("it has version {v}, this worker reads up to {WIRE_VERSION}")));
    }
    if (&head.job, &head.stage, head.item) != (&expected.job, &expected.stage, expected.item) {
        return Err(Broken::Damaged("it is that of another item".into()));
    }
    let (mut sum, mut entries, mut links) = (crc32fast::Hasher::new(), 0, Vec::new());
    loop {
        match pieces.line::<CheckpointEntry>().await? {
            CheckpointEntry::Folder { path } => fs::create_dir(below(folder, &path)?).map_err(Broken::Disk)?,
            CheckpointEntry::File { path, len, executable } => {
                let path = below(folder, &path)?;
                pieces.file(&path, len, &mut sum).await?;
                if executable {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(Broken::Disk)?;
                }
            }
            CheckpointEntry::Link { path, target } => links.push((below(folder, &path)?, target)),
            CheckpointEntry::End(end) => {
                let read = CheckpointEnd { entries, crc32: sum.finalize() };
                if read != end {
                    return Err(Broken::Damaged(format!("it should end with {end:?}, and ends with {read:?}")));
                }
                break;
            }
        }
        entries += 1;
    }
    // At the very end, so that nothing is written through them.
    for (path, target) in links {
        symlink(target, path).map_err(Broken::Disk)?;
    }
    Ok(())
}

/// A path below the folder, which it must not leave.
fn below(folder: &Path, path: &str) -> Result<PathBuf, Broken> {
    let stays = !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if stays { Ok(folder.join(path)) } else { Err(Broken::Damaged(format!("{path:?} is no path below a folder"))) }
}

/// What arrives piece by piece.
struct Pieces {
    stream: ByteStream,
    buffer: BytesMut,
}

impl Pieces {
    async fn line<T: DeserializeOwned>(&mut self) -> Result<T, Broken> {
        let end = loop {
            match memchr::memchr(b'\n', &self.buffer) {
                Some(end) => break end,
                None if self.buffer.len() > MAX_LINE_BYTES => return Err(Broken::Damaged("a line has no end".into())),
                None => self.more().await?,
            }
        };
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        serde_json::from_slice(&line).map_err(|error| Broken::Damaged(error.to_string()))
    }

    async fn file(&mut self, path: &Path, len: u64, sum: &mut crc32fast::Hasher) -> Result<(), Broken> {
        let mut file = File::create_new(path).map_err(Broken::Disk)?;
        let mut left = len;
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let piece = self.buffer.split_to(count);
            sum.update(&piece);
            file.write_all(&piece).map_err(Broken::Disk)?;
            left -= count as u64;
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<(), Broken> {
        match self.stream.next().await {
            Some(Ok(piece)) => self.buffer.extend_from_slice(&piece),
            Some(Err(error)) => return Err(Broken::Store(error)),
            None => return Err(Broken::Damaged("it is cut short".into())),
        }
        Ok(())
    }
}

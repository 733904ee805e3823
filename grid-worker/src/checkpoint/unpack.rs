//! Makes a folder of a checkpoint.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use bytes::{Buf, BytesMut};
use futures::StreamExt;
use grid_core::limits::{MAX_CHECKPOINT_ENTRIES, WIRE_VERSION};
use grid_core::wire::{CheckpointEnd, CheckpointEntry, CheckpointHead};
use infra::objects::ByteStream;
use serde::de::DeserializeOwned;

/// Longest line: a path and what a link says, generously.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Why a checkpoint could not be unpacked.
#[derive(Debug)]
pub enum Broken {
    /// The store.
    Store(infra::Error),
    /// The scratch disk.
    Disk(io::Error),
    /// It is not what it should be.
    Damaged(String),
}

/// Fills `folder`, which is empty, with a checkpoint of the item that `expected` names. Nothing is written outside of it.
///
/// # Errors
///
/// What was unpacked until then stays.
pub async fn unpack(stream: ByteStream, expected: &CheckpointHead, folder: &Path) -> Result<(), Broken> {
    let mut pieces = Pieces { stream, buffer: BytesMut::new() };
    let head: CheckpointHead = pieces.line().await?;
    if head.v > WIRE_VERSION {
        let v = head.v;
        return Err(Broken::Damaged(format!("it has version {v}, this worker reads up to {WIRE_VERSION}")));
    }
    if (&head.job, &head.stage, head.item) != (&expected.job, &expected.stage, expected.item) {
        return Err(Broken::Damaged("it is that of another item".into()));
    }
    let (mut sum, mut places, mut links) = (crc32fast::Hasher::new(), Places::new(folder), Vec::new());
    loop {
        match pieces.line::<CheckpointEntry>().await? {
            CheckpointEntry::Folder { path } => fs::create_dir(places.add(path, Kind::Folder)?).map_err(not_written)?,
            CheckpointEntry::File { path, len, executable } => {
                let path = places.add(path, Kind::Other)?;
                pieces.file(&path, len, &mut sum).await?;
                if executable {
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(not_written)?;
                }
            }
            CheckpointEntry::Link { path, target } if target.is_empty() => {
                return Err(Broken::Damaged(format!("{path:?} is a link to nothing")));
            }
            CheckpointEntry::Link { path, target } => links.push((places.add(path, Kind::Other)?, target)),
            CheckpointEntry::End(end) => {
                let entries = u32::try_from(places.taken.len()).unwrap_or(u32::MAX);
                let read = CheckpointEnd { entries, crc32: sum.finalize() };
                if read != end {
                    return Err(Broken::Damaged(format!("it should end with {end:?}, and ends with {read:?}")));
                }
                break;
            }
        }
    }
    // At the very end, so that nothing is written through them.
    for (path, target) in links {
        symlink(target, path).map_err(not_written)?;
    }
    Ok(())
}

/// A name that no file system takes was never in a folder; all else is the scratch disk's.
fn not_written(error: io::Error) -> Broken {
    match error.kind() {
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => Broken::Damaged(error.to_string()),
        _ => Broken::Disk(error),
    }
}

/// What there is in a folder so far.
struct Places<'a> {
    folder: &'a Path,
    taken: BTreeMap<String, Kind>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    /// A file or a link.
    Other,
}

impl<'a> Places<'a> {
    fn new(folder: &'a Path) -> Self {
        Self { folder, taken: BTreeMap::new() }
    }

    /// A new place, in a folder that is there: what lies behind a link is somewhere else.
    fn add(&mut self, path: String, kind: Kind) -> Result<PathBuf, Broken> {
        let damaged = |what: &str| Err(Broken::Damaged(format!("{path:?} {what}")));
        let parts = Path::new(&path).components();
        let plain: PathBuf = parts.filter(|part| matches!(part, Component::Normal(_))).collect();
        if path.is_empty() || plain.as_os_str() != path.as_str() {
            return damaged("is no path below a folder");
        }
        if let Some((parent, _)) = path.rsplit_once('/')
            && self.taken.get(parent) != Some(&Kind::Folder)
        {
            return damaged("is in no folder of the checkpoint");
        }
        if self.taken.contains_key(&path) {
            return damaged("is there twice");
        }
        if self.taken.len() == MAX_CHECKPOINT_ENTRIES {
            return damaged("is one too many");
        }
        let at = self.folder.join(&path);
        self.taken.insert(path, kind);
        Ok(at)
    }
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
        let mut file = File::create_new(path).map_err(not_written)?;
        let mut left = len;
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let piece = self.buffer.split_to(count);
            sum.update(&piece);
            file.write_all(&piece).map_err(not_written)?;
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

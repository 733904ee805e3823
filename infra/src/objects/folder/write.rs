//! Writing files so that they are there as a whole or not at all, whatever dies. Blocking.
//!
//! Content is made durable under a temporary name, then named, then the name is made durable. `kill -9` loses a
//! temporary file, which the next open removes. A power loss may also take back a name that was not acknowledged yet,
//! although another process may have read it in the moment between.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::disk;
use super::error::io_error;
use crate::{Error, ErrorKind, Result};

/// Where files are written before they have their name: in the same file system, and never listed.
pub(super) const TEMPORARY: &str = ".tmp";

/// Folders remembered as durable; beyond that, all are forgotten, which costs an fsync each.
const REMEMBERED_FOLDERS: usize = 4_096;

/// The right to write below a folder.
#[derive(Debug)]
pub(super) struct Writer {
    root: PathBuf,
    written: AtomicU64,
    durable: Mutex<HashSet<PathBuf>>,
}

/// What a name that is taken already means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `Conflict`.
    New,
    /// The old content goes.
    Replaced,
}

impl Writer {
    /// Makes `root` where it is missing, and clears what earlier processes left unfinished.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let temporary = root.join(TEMPORARY);
        remove_all(&temporary)?;
        fs::create_dir_all(&temporary).map_err(|cause| io_error("create", &temporary, cause))?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        sync_folder(root)?;
        Ok(Self { root: root.to_owned(), written: AtomicU64::new(0), durable: Mutex::default() })
    }

    /// Writes `body` to `target`.
    pub(super) fn write(&self, target: &Path, body: &[u8], name: Name) -> Result<()> {
        if name == Name::New && fs::symlink_metadata(target).is_ok() {
            return Err(self.taken(target));
        }
        let temporary = self.temporary();
        write_durably(&temporary.0, body, target)?;
        self.publish(&temporary.0, target, name)
    }

    /// Begins to write `target` piece by piece.
    pub(super) fn draft(&self, target: &Path) -> Result<Draft> {
        let temporary = self.temporary();
        let file = disk::create(&temporary.0).map_err(|cause| io_error("write", target, cause))?;
        Ok(Draft { target: target.to_owned(), file, temporary })
    }

    /// Gives a draft its name.
    pub(super) fn publish_draft(&self, draft: Draft) -> Result<Metadata> {
        let written = disk::sync(&draft.file, &draft.temporary.0).and_then(|()| draft.file.metadata());
        let metadata = written.map_err(|cause| io_error("write", &draft.target, cause))?;
        self.publish(&draft.temporary.0, &draft.target, Name::Replaced)?;
        Ok(metadata)
    }

    /// Moves `file` to `target`, or copies it where it lies in another file system.
    pub(super) fn adopt(&self, target: &Path, file: &Path) -> Result<()> {
        let metadata = fs::symlink_metadata(file).map_err(|cause| io_error("examine", file, cause))?;
        if !metadata.is_file() {
            let context = format!("{} is not a regular file", file.display());
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        sync_file(file)?;
        match self.publish(file, target, Name::Replaced) {
            Err(refused) if crosses_devices(&refused) => self.copy(target, file),
            published => published,
        }
    }

    /// Removes a file. Not made durable: an object that comes back after a power loss is one that nobody reads.
    pub(super) fn remove(&self, target: &Path) -> Result<()> {
        match disk::remove(target) {
            Ok(()) => Ok(()),
            Err(cause) => match cause.kind() {
                IoKind::NotFound | IoKind::NotADirectory | IoKind::IsADirectory => Ok(()),
                _ => Err(io_error("remove", target, cause)),
            },
        }
    }

    fn copy(&self, target: &Path, file: &Path) -> Result<()> {
        let temporary = self.temporary();
        disk::copy(file, &temporary.0).map_err(|cause| io_error("copy", file, cause))?;
        sync_file(&temporary.0)?;
        self.publish(&temporary.0, target, Name::Replaced)
    }

    fn publish(&self, file: &Path, target: &Path, name: Name) -> Result<()> {
        let folder = target.parent().unwrap_or(&self.root);
        self.make_durable_folder(folder)?;
        let renamed = match name {
            Name::New => disk::rename_to_new(file, target),
            Name::Replaced => disk::rename(file, target),
        };
        match renamed {
            Ok(()) => sync_folder(folder),
            Err(Errno::EXIST) if name == Name::New => Err(self.taken(target)),
            Err(cause) => Err(io_error("write", target, cause.into())),
        }
    }

    /// The refusal of a second create. The loser may act on the winner's object at once, so it must be durable.
    fn taken(&self, target: &Path) -> Error {
        if target.is_dir() {
            return Error::new(ErrorKind::Invalid, format!("{} is a folder of other objects", target.display()));
        }
        match sync_folder(target.parent().unwrap_or(&self.root)) {
            Ok(()) => Error::new(ErrorKind::Conflict, format!("{} exists", target.display())),
            Err(failed) => failed,
        }
    }

    /// Makes a folder and those above it, and their names durable: one fsync a folder in the life of this process.
    fn make_durable_folder(&self, folder: &Path) -> Result<()> {
        let known = |durable: &HashSet<PathBuf>| durable.contains(folder);
        if folder == self.root || known(&self.durable.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        self.make_durable_folder(parent)?;
        match disk::make_folder(folder) {
            Err(cause) if cause.kind() != IoKind::AlreadyExists => {
                return Err(io_error("create", folder, cause));
            }
            _ => sync_folder(parent)?,
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= REMEMBERED_FOLDERS {
            durable.clear();
        }
        durable.insert(folder.to_owned());
        Ok(())
    }

    fn temporary(&self) -> Temporary {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        Temporary(self.root.join(TEMPORARY).join(number.to_string()))
    }
}

/// Content that has no name yet, and goes when this is dropped.
pub(super) struct Draft {
    target: PathBuf,
    file: File,
    temporary: Temporary,
}

impl Draft {
    pub(super) fn append(mut self, piece: &[u8]) -> Result<Self> {
        disk::append(&mut self.file, &self.temporary.0, piece)
            .map_err(|cause| io_error("write", &self.target, cause))?;
        Ok(self)
    }
}

/// A file that has no name yet; what is left of it goes when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already after a rename; and whatever stays is removed at the next open.
        let _ = disk::remove(&self.0);
    }
}

/// Removes a folder with all that is in it; it is no error when there is none.
pub(crate) fn remove_all(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != IoKind::NotFound => Err(io_error("empty", folder, cause)),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    disk::sync_folder(folder).map_err(|cause| io_error("sync", folder, cause))
}

/// Writes a new file, durable when this returns; its name is not durable yet. An error calls it `name`.
pub(crate) fn write_durably(path: &Path, body: &[u8], name: &Path) -> Result<()> {
    let written = disk::create(path).and_then(|mut file| {
        disk::append(&mut file, path, body)?;
        disk::sync(&file, path)
    });
    written.map_err(|cause| io_error("write", name, cause))
}

fn sync_file(file: &Path) -> Result<()> {
    let synced = File::open(file).and_then(|opened| disk::sync(&opened, file));
    synced.map_err(|cause| io_error("sync", file, cause))
}

fn crosses_devices(refused: &Error) -> bool {
    let cause = std::error::Error::source(refused).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == IoKind::CrossesDevices)
}

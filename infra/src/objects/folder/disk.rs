//! Every change that the folder makes to a disk: one function a step, since a power loss may fall between any two. Tests keep
//! a record of the steps, and hold against it what a disk may have kept of them.

use std::fs::{self, File};
use std::io::{self, ErrorKind as IoKind, Write};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

#[cfg(test)]
use super::crash::record::{Step, note};

/// Makes an empty file. Neither it nor its name is durable.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    #[cfg(test)]
    note(Step::written(path));
    Ok(file)
}

/// Writes to the end of the file at `path`. Not durable.
pub(super) fn append(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    #[cfg(test)]
    note(Step::written(path));
    #[cfg(not(test))]
    let _ = path;
    Ok(())
}

/// Copies a file to one that has no name yet. Not durable.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    #[cfg(test)]
    note(Step::written(to));
    Ok(())
}

/// What was written to the file at `path` is durable when this returns.
pub(super) fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    #[cfg(test)]
    note(Step::Synced(path.to_owned()));
    #[cfg(not(test))]
    let _ = path;
    Ok(())
}

/// The names in a folder are durable when this returns.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|opened| opened.sync_all()) {
        // Some file systems (FUSE, CIFS) have no such call for folders, and write names through.
        Err(cause) if cause.kind() != IoKind::InvalidInput => return Err(cause),
        _ => {}
    }
    #[cfg(test)]
    note(Step::SyncedFolder(folder.to_owned()));
    Ok(())
}

/// Makes a folder. Its name is not durable.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)?;
    #[cfg(test)]
    note(Step::MadeFolder(folder.to_owned()));
    Ok(())
}

/// Gives a file a name in place of whatever has it. Not durable.
pub(super) fn rename(from: &Path, to: &Path) -> rustix::io::Result<()> {
    rustix::fs::rename(from, to)?;
    #[cfg(test)]
    note(Step::Renamed(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Gives a file a name that nothing has: `EXIST` otherwise. Not durable.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // NFS and some others have no such rename, but links.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rustix::fs::link(from, to)?,
        renamed => renamed?,
    }
    #[cfg(test)]
    note(Step::Renamed(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Removes a file. Not durable.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    #[cfg(test)]
    note(Step::Removed(path.to_owned()));
    Ok(())
}

//! Reading files: whole, by range, or piece by piece. Blocking.

use std::fs::{File, Metadata, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::io_error;
use crate::objects::ObjectMeta;
use crate::{Error, ErrorKind, Result};

/// A file that is being read, up to the end of a range.
#[derive(Debug)]
pub(super) struct Reading {
    path: PathBuf,
    file: File,
    at: u64,
    end: u64,
}

impl Reading {
    /// Opens a regular file; the range is clipped to what the file holds now.
    pub(super) fn open(path: PathBuf, range: Option<Range<u64>>) -> Result<Self> {
        // Without NONBLOCK, a named pipe would hang here for ever.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = opened.map_err(|cause| io_error("open", &path, cause))?;
        let metadata = file.metadata().map_err(|cause| io_error("examine", &path, cause))?;
        check_regular(&path, &metadata)?;
        let range = range.unwrap_or(0..metadata.len());
        let end = range.end.min(metadata.len());
        Ok(Self { path, file, at: range.start.min(end), end })
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Result<Bytes> {
        self.piece(usize::MAX)
    }

    /// The next `most` bytes, or fewer at the end; empty when all is read.
    pub(super) fn piece(&mut self, most: usize) -> Result<Bytes> {
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(most);
        let mut piece = Vec::new();
        piece.try_reserve_exact(wanted).map_err(|cause| {
            let context = format!("failed to read {} bytes of {} at once", wanted, self.path.display());
            Error::caused(ErrorKind::Full, context, cause)
        })?;
        while piece.len() < wanted {
            let at = self.at + piece.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(&mut piece), at) {
                Ok(0) => return Err(self.shrunk()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(cause) => return Err(io_error("read", &self.path, cause.into())),
            }
        }
        // The allocation, and so the last read, may reach past what was asked for.
        piece.truncate(wanted);
        self.at += wanted as u64;
        Ok(piece.into())
    }

    /// Whether all is read.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.end
    }

    fn shrunk(&self) -> Error {
        let context = format!("{} became shorter while it was read", self.path.display());
        Error::new(ErrorKind::Conflict, context)
    }
}

/// What is known of a regular file.
pub(super) fn head(path: &Path, key: &str) -> Result<ObjectMeta> {
    let metadata = std::fs::metadata(path).map_err(|cause| io_error("examine", path, cause))?;
    check_regular(path, &metadata)?;
    Ok(meta(key.to_owned(), &metadata))
}

/// A file's metadata as an object's.
pub(super) fn meta(key: String, metadata: &Metadata) -> ObjectMeta {
    let mtime_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let version = format!("{mtime_ns}-{}-{}", metadata.len(), metadata.ino());
    ObjectMeta { key, size: metadata.len(), version }
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(Error::new(ErrorKind::NotFound, format!("{} is a folder, not a file", path.display())))
    } else {
        Err(Error::new(ErrorKind::Invalid, format!("{} is not a regular file", path.display())))
    }
}

//! Writes a folder as a checkpoint.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use grid_core::limits::{MAX_CHECKPOINT_BYTES, MAX_CHECKPOINT_ENTRIES};
use grid_core::units::ByteSize;
use grid_core::wire::{CheckpointEnd, CheckpointEntry, CheckpointHead};
use rustix::fs::OFlags;
use serde::Serialize;

/// How much is copied at once.
const COPY_BYTES: usize = 256 << 10;

/// Two changes within one tick of a file system's clock leave the same time; no clock in use ticks more slowly.
const CLOCK_TICK: Duration = Duration::from_secs(2);

/// What a folder looks like from outside: names, sizes and times of all that is in it.
#[derive(Clone, Debug)]
pub(super) struct Look {
    digest: blake3::Hash,
    /// Whether a later change would show.
    is_settled: bool,
}

/// A folder as a file.
#[derive(Debug)]
pub(super) struct Packed {
    /// The file's length.
    pub(super) len: u64,
    pub(super) look: Look,
}

/// Why a folder could not be packed.
#[derive(Debug)]
pub(super) enum Unpacked {
    /// What is in it cannot be kept.
    Refused(String),
    /// The command was just writing that file: another time may have better luck.
    Changed(String),
    /// The scratch disk.
    Io(io::Error),
}

/// Something in the folder.
struct Found {
    /// Below the folder.
    path: String,
    at: PathBuf,
    meta: Metadata,
}

/// Writes `folder` to `file`, unless it surely looks as it did `before`.
pub(super) fn pack(
    folder: &Path,
    file: &Path,
    head: &CheckpointHead,
    before: Option<&Look>,
) -> Result<Option<Packed>, Unpacked> {
    let begun = SystemTime::now();
    let mut found = Vec::new();
    survey(folder, "", &mut found)?;
    // Folders before what lies in them, and every time the same.
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let look = look(&found, begun);
    if before.is_some_and(|before| before.is_settled && before.digest == look.digest) {
        return Ok(None);
    }
    let size: u64 = found.iter().filter(|found| found.meta.is_file()).map(|found| found.meta.len()).sum();
    if size > MAX_CHECKPOINT_BYTES {
        let most = ByteSize(MAX_CHECKPOINT_BYTES);
        return Err(Unpacked::Refused(format!("it has {} and may have {most}", ByteSize(size))));
    }
    let len = write(file, head, &found)?;
    Ok(Some(Packed { len, look }))
}

fn survey(folder: &Path, prefix: &str, found: &mut Vec<Found>) -> Result<(), Unpacked> {
    let changed = |error: io::Error, path: &str| vanished(error, path);
    for entry in fs::read_dir(folder).map_err(|error| changed(error, prefix))? {
        let entry = entry.map_err(|error| changed(error, prefix))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Unpacked::Refused(format!("{prefix:?} has a name in it that is not UTF-8: {name:?}")));
        };
        let path = format!("{prefix}{name}");
        let meta = fs::symlink_metadata(entry.path()).map_err(|error| changed(error, &path))?;
        let kind = meta.file_type();
        if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            return Err(Unpacked::Refused(format!("{path:?} is neither a file nor a folder")));
        }
        if found.len() == MAX_CHECKPOINT_ENTRIES {
            return Err(Unpacked::Refused(format!("it has more than {MAX_CHECKPOINT_ENTRIES} files and folders")));
        }
        let inner = format!("{path}/");
        found.push(Found { path, at: entry.path(), meta });
        if kind.is_dir() {
            survey(&entry.path(), &inner, found)?;
        }
    }
    Ok(())
}

fn look(found: &[Found], now: SystemTime) -> Look {
    let mut hasher = blake3::Hasher::new();
    let mut is_settled = true;
    for Found { path, meta, .. } in found {
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
        let numbers = [meta.mode().into(), meta.len(), meta.ino()].into_iter();
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()].map(i64::cast_unsigned);
        numbers.chain(times).for_each(|number| _ = hasher.update(&number.to_le_bytes()));
        let age = meta.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        is_settled &= age.is_some_and(|age| age > CLOCK_TICK);
    }
    Look { digest: hasher.finalize(), is_settled }
}

fn write(file: &Path, head: &CheckpointHead, found: &[Found]) -> Result<u64, Unpacked> {
    let mut out = Counting { out: BufWriter::new(File::create(file).map_err(Unpacked::Io)?), len: 0 };
    let (mut sum, mut buffer) = (crc32fast::Hasher::new(), vec![0; COPY_BYTES]);
    line(&mut out, head)?;
    for Found { path, at, meta } in found {
        let path = path.clone();
        if meta.is_dir() {
            line(&mut out, &CheckpointEntry::Folder { path })?;
        } else if meta.is_symlink() {
            let target = fs::read_link(at).map_err(|error| vanished(error, &path))?;
            let Ok(target) = std::str::from_utf8(target.as_os_str().as_bytes()).map(str::to_owned) else {
                return Err(Unpacked::Refused(format!("{path:?} is a link to a name that is not UTF-8")));
            };
            line(&mut out, &CheckpointEntry::Link { path, target })?;
        } else {
            let executable = meta.permissions().mode() & 0o100 != 0;
            line(&mut out, &CheckpointEntry::File { path: path.clone(), len: meta.len(), executable })?;
            copy(&path, at, meta, &mut buffer, &mut sum, &mut out)?;
        }
    }
    let entries = u32::try_from(found.len()).unwrap_or(u32::MAX);
    line(&mut out, &CheckpointEntry::End(CheckpointEnd { entries, crc32: sum.finalize() }))?;
    out.out.flush().map_err(Unpacked::Io)?;
    Ok(out.len)
}

/// Copies a file that must not change meanwhile.
fn copy(
    path: &str,
    at: &Path,
    seen: &Metadata,
    buffer: &mut [u8],
    sum: &mut crc32fast::Hasher,
    out: &mut Counting,
) -> Result<(), Unpacked> {
    // A pipe that has taken its place would be waited for, and a link lead elsewhere.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(at);
    let mut file = opened.map_err(|error| vanished(error, path))?;
    let mut left = seen.len();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read(&mut buffer[..most]).map_err(|error| vanished(error, path))?;
        if count == 0 {
            return Err(Unpacked::Changed(path.to_owned()));
        }
        sum.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(Unpacked::Io)?;
        left -= count as u64;
    }
    let now = file.metadata().map_err(|error| vanished(error, path))?;
    let times = |meta: &Metadata| (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    if times(&now) == times(seen) { Ok(()) } else { Err(Unpacked::Changed(path.to_owned())) }
}

/// What an error in the folder means: something has gone, or may not be read.
fn vanished(error: io::Error, path: &str) -> Unpacked {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unpacked::Changed(path.to_owned()),
        _ => Unpacked::Refused(format!("{path:?} could not be read: {error}")),
    }
}

fn line(out: &mut Counting, value: &impl Serialize) -> Result<(), Unpacked> {
    let mut line = serde_json::to_vec(value).map_err(|error| Unpacked::Io(error.into()))?;
    line.push(b'\n');
    out.write_all(&line).map_err(Unpacked::Io)
}

/// A file that is written, and how long it is.
struct Counting {
    out: BufWriter<File>,
    len: u64,
}

impl Counting {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

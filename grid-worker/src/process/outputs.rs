//! The folder in which items leave files: one a task, emptied after each item.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use grid_core::ids::ItemIndex;
use grid_core::reason::{Failure, Reason};
use grid_core::wire::OutputFile;
use rustix::fs::Dir;

use super::fault;
use super::pack::{AppendError, Pack};

/// Longest path below the output folder: an S3 key has 1,024 bytes, and ours take up to 200 of them.
const MAX_NAME_BYTES: usize = 800;

/// Folders within folders.
const MAX_DEPTH: usize = 64;

/// The output folder of a task.
#[derive(Debug)]
pub(super) struct OutputFolder {
    path: PathBuf,
    listing: Dir,
    /// Names used to move aside what could not be removed.
    aside: u32,
}

impl OutputFolder {
    /// Makes an empty folder.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let listing = Dir::new(File::open(&path)?)?;
        Ok(Self { path, listing, aside: 0 })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the files of an item to the pack, ascending by name, and empties the folder.
    pub(super) fn collect(
        &mut self,
        item: ItemIndex,
        pack: &mut Pack,
        buffer: &mut [u8],
    ) -> Result<Vec<OutputFile>, Failure> {
        if self.is_empty().map_err(|error| fault::own("list the output folder", &error))? {
            return Ok(Vec::new());
        }
        let files = self.append_all(item, pack, buffer)?;
        self.remove().map_err(|error| fault::own("empty the output folder", &error))?;
        Ok(files)
    }

    /// Removes whatever an item left; afterwards the folder exists and is empty.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        if self.is_empty()? { Ok(()) } else { self.remove() }
    }

    fn append_all(&self, item: ItemIndex, pack: &mut Pack, buffer: &mut [u8]) -> Result<Vec<OutputFile>, Failure> {
        let root = self.path.canonicalize().map_err(|error| fault::own("find the output folder", &error))?;
        let mut found = Vec::new();
        list(&root, &root, String::new(), 0, &mut found)?;
        found.sort();
        found
            .into_iter()
            .map(|(name, path)| {
                let (len, crc32) = append(&name, &path, pack, buffer)?;
                Ok(OutputFile { item, name, len, crc32 })
            })
            .collect()
    }

    fn remove(&mut self) -> io::Result<()> {
        if fs::remove_dir_all(&self.path).is_err() {
            // A folder without permissions, or a daemon that still writes: out of the way is as good.
            self.aside += 1;
            fs::rename(&self.path, self.path.with_extension(format!("aside.{}", self.aside)))?;
        }
        fs::create_dir(&self.path)?;
        self.listing = Dir::new(File::open(&self.path)?)?;
        Ok(())
    }

    /// By reading it: two changes within one tick of the file system's clock leave the same time.
    fn is_empty(&mut self) -> io::Result<bool> {
        self.listing.rewind();
        let mut dots = 0;
        while let Some(entry) = self.listing.read() {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
            dots += 1;
        }
        // A folder that was removed lists nothing, not even itself.
        if dots == 0 { self.reopen() } else { Ok(true) }
    }

    /// The command removed the folder, and perhaps made it again.
    fn reopen(&mut self) -> io::Result<bool> {
        match fs::create_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            made => {
                self.listing = Dir::new(File::open(&self.path)?)?;
                Ok(made.is_ok() || fs::read_dir(&self.path)?.next().is_none())
            }
        }
    }
}

fn list(
    root: &Path,
    folder: &Path,
    prefix: String,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(refuse(&prefix, format!("lies more than {MAX_DEPTH} folders deep")));
    }
    let unreadable = |error: io::Error| refuse(&prefix, format!("could not be read: {error}"));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = checked_name(&prefix, &entry.file_name())?;
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            list(root, &entry.path(), format!("{name}/"), depth + 1, found)?;
        } else if kind.is_symlink() {
            found.push((name.clone(), link_target(root, &name, &entry.path())?));
        } else if kind.is_file() {
            found.push((name, entry.path()));
        } else {
            return Err(refuse(&name, "is neither a file nor a folder"));
        }
    }
    Ok(())
}

fn checked_name(prefix: &str, name: &std::ffi::OsStr) -> Result<String, Failure> {
    let whole = format!("{prefix}{}", name.to_string_lossy());
    if name.to_str().is_none() {
        return Err(refuse(&whole, "has a name that is not UTF-8"));
    }
    if whole.chars().any(char::is_control) {
        return Err(refuse(&whole, "has a control character in its name"));
    }
    if whole.len() > MAX_NAME_BYTES {
        return Err(refuse(&whole, format!("has a path of more than {MAX_NAME_BYTES} bytes")));
    }
    Ok(whole)
}

/// What a link stands for, which must be a file in the folder.
fn link_target(root: &Path, name: &str, link: &Path) -> Result<PathBuf, Failure> {
    let target = link.canonicalize().map_err(|error| refuse(name, format!("is a link to nothing: {error}")))?;
    if !target.starts_with(root) {
        return Err(refuse(name, "is a link that leaves the folder; copy the file instead"));
    }
    if !target.is_file() {
        return Err(refuse(name, "is a link to something that is no file"));
    }
    Ok(target)
}

fn append(name: &str, path: &Path, pack: &mut Pack, buffer: &mut [u8]) -> Result<(u64, u32), Failure> {
    let mut file = File::open(path).map_err(|error| refuse(name, format!("could not be read: {error}")))?;
    pack.append(&mut file, buffer).map_err(|error| match error {
        AppendError::Read(error) => refuse(name, format!("could not be read: {error}")),
        AppendError::Write(error) => fault::own(format_args!("keep the output file {name:?}"), &error),
    })
}

fn refuse(name: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(Reason::Output, format!("{name:?} in GRIDMILL_OUTPUT_DIR {why}"))
}

//! A whole grid in one folder and one process: what `gridmill run` stands on.

mod lock;
mod scratch;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::lock::Lock;
use crate::clock::SystemClock;
use crate::grid::{Grid, Sources};
use crate::memory::Queues;
use crate::notify::FileNotifier;
use crate::objects::{FolderObjects, ObjectStore, io_error, sync_folder, write_durably};
use crate::requests::Requests;
use crate::state::{SqliteState, StateStore};
use crate::{Error, ErrorKind, Result};

/// What a state folder is called unless somebody says otherwise.
pub const DEFAULT_DIR: &str = ".gridmill";

/// Version of the folder's layout.
const VERSION: u32 = 1;

const VERSION_FILE: &str = "version";
const NEW_VERSION_FILE: &str = "version.new";

/// A state folder in the hands of this process, until this is dropped: drop it last.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    _lock: Lock,
}

impl StateDir {
    /// Takes a state folder, makes it where it is missing, and opens the grid in it. Blocks, for as long as it takes to
    /// empty the scratch folder.
    ///
    /// `Conflict` when another process has the folder; `Invalid` when a newer gridmill wrote it, or when it holds
    /// something else; `Denied` and `Full` as they come. Inputs are read by `file:///..`, the grid's own objects by
    /// `grid://..`.
    pub fn open(dir: &Path) -> Result<(Self, Grid)> {
        fs::create_dir_all(dir).map_err(|cause| io_error("create the state folder", dir, cause))?;
        let dir = fs::canonicalize(dir).map_err(|cause| io_error("find", dir, cause))?;
        let is_new = is_new(&dir)?;
        let lock = Lock::take(&dir)?;
        if is_new {
            write_version(&dir)?;
        }
        scratch::empty(&scratch_dir(&dir))?;
        let objects = FolderObjects::open(objects_dir(&dir))?;
        if is_new {
            objects.probe()?;
        }
        let state = SqliteState::open(state_file(&dir))?;
        let grid = grid(&dir, Arc::new(objects), Arc::new(state));
        Ok((Self { dir, _lock: lock }, grid))
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// A folder for whatever may be lost, in the same file system as the objects; emptied at every open.
    pub fn scratch(&self) -> PathBuf {
        scratch_dir(&self.dir)
    }
}

/// Opens the grid of a state folder for reading, beside a process that runs it or alone. Blocks.
///
/// Its objects and its state refuse every write, and its queues are empty. `NotFound` when there is no state.
pub fn open_read_only(dir: &Path) -> Result<Grid> {
    let state_file = state_file(dir);
    if read_version(dir)?.is_none() || !state_file.exists() {
        let context =
            format!("there is no gridmill state in {}: run a pipeline first, or name its folder", dir.display());
        return Err(Error::new(ErrorKind::NotFound, context));
    }
    let objects = FolderObjects::read_only(objects_dir(dir));
    Ok(grid(dir, Arc::new(objects), Arc::new(SqliteState::open_read_only(state_file)?)))
}

/// The process that runs the grid of a state folder now, if there is one.
pub fn owner(dir: &Path) -> Option<u32> {
    lock::owner(dir)
}

fn grid(dir: &Path, objects: Arc<dyn ObjectStore>, state: Arc<dyn StateStore>) -> Grid {
    let files = Arc::new(FolderObjects::read_only("/"));
    let sources = Sources::default().with("file", files).with("grid", objects.clone());
    let Queues { tasks, dead_tasks, reports } = Queues::new();
    let (clock, requests) = (Arc::new(SystemClock), Requests::default());
    let notifier = Arc::new(FileNotifier::new(dir, objects_dir(dir)));
    Grid { objects, sources, tasks, dead_tasks, reports, state, notifier, clock, requests }
}

fn objects_dir(dir: &Path) -> PathBuf {
    dir.join("objects")
}

fn scratch_dir(dir: &Path) -> PathBuf {
    dir.join("scratch")
}

fn state_file(dir: &Path) -> PathBuf {
    dir.join("state.db")
}

/// Whether a folder is to become a state folder. One that holds anything else is refused, since we empty and overwrite
/// what we find.
fn is_new(dir: &Path) -> Result<bool> {
    // Looked at in this order, another process that makes a state folder at this moment is never taken for a stranger.
    let stranger = find_stranger(dir)?;
    match (read_version(dir)?, stranger) {
        (Some(_), _) => Ok(false),
        (None, None) => Ok(true),
        (None, Some(name)) => {
            let context = format!(
                "{} is no gridmill state folder: it has no file `{VERSION_FILE}` but holds `{}`; choose an empty folder",
                dir.display(),
                name.display(),
            );
            Err(Error::new(ErrorKind::Invalid, context))
        }
    }
}

/// Something in a folder that was there before a version could be written.
fn find_stranger(dir: &Path) -> Result<Option<OsString>> {
    for entry in fs::read_dir(dir).map_err(|cause| io_error("list", dir, cause))? {
        let name = entry.map_err(|cause| io_error("list", dir, cause))?.file_name();
        if name != lock::FILE && name != NEW_VERSION_FILE {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The version of a state folder; `None` where there is none.
fn read_version(dir: &Path) -> Result<Option<u32>> {
    let path = dir.join(VERSION_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if matches!(cause.kind(), IoKind::NotFound | IoKind::NotADirectory) => {
            return Ok(None);
        }
        Err(cause) => return Err(io_error("read", &path, cause)),
    };
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("state folder {} {why}", dir.display())));
    match text.trim().parse::<u32>() {
        Err(_) => refuse(format!("has no number in its file `{VERSION_FILE}`: choose another folder")),
        Ok(version) if version > VERSION => refuse(format!(
            "was written by a newer gridmill (layout {version}, this one knows {VERSION}): upgrade gridmill, or choose another folder"
        )),
        Ok(version) => Ok(Some(version)),
    }
}

fn write_version(dir: &Path) -> Result<()> {
    let (new, path) = (dir.join(NEW_VERSION_FILE), dir.join(VERSION_FILE));
    write_durably(&new, format!("{VERSION}\n").as_bytes(), &path)?;
    fs::rename(&new, &path).map_err(|cause| io_error("write", &path, cause))?;
    sync_folder(dir)?;
    dir.parent().map_or(Ok(()), sync_folder)
}

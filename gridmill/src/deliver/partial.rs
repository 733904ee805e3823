//! The folder inside an output folder in which outputs are built.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use job_manager::view::outputs::PARTIAL;
use uuid::Uuid;

/// A folder inside the output folder in which outputs are built; it goes away with this value, whatever is in it, unless
/// a later process may go on with it. One that a killed process left is recognised by its lock, which died with that process.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    is_kept: AtomicBool,
    _lock: File,
}

impl Partial {
    /// A new one.
    pub fn new(out: &Path) -> io::Result<Self> {
        let path = out.join(format!("{PARTIAL}{}", Uuid::now_v7().simple()));
        fs::create_dir(&path)?;
        let lock = File::open(&path)?;
        lock.lock()?;
        fs::create_dir(path.join("new"))?;
        fs::create_dir(path.join("old"))?;
        Ok(Self { path, is_kept: AtomicBool::new(false), _lock: lock })
    }

    /// One of that name, as an earlier process has left it, if one has.
    pub fn resumed(out: &Path, name: &str) -> io::Result<Self> {
        let path = out.join(format!("{PARTIAL}{name}"));
        fs::create_dir_all(path.join("new"))?;
        fs::create_dir_all(path.join("old"))?;
        let lock = File::open(&path)?;
        lock.try_lock()?;
        Ok(Self { path, is_kept: AtomicBool::new(true), _lock: lock })
    }

    /// Where the new version of `target` is built.
    pub fn built(&self, target: &Path) -> PathBuf {
        self.path.join("new").join(target)
    }

    /// A file for the list of what is to be built.
    pub fn list(&self) -> PathBuf {
        self.path.join("list")
    }

    /// Nobody will go on with it.
    pub fn is_done(&self) {
        self.is_kept.store(false, Ordering::Relaxed);
    }

    /// A path that is free, for what is replaced.
    pub fn grave(&self) -> PathBuf {
        self.path.join("old").join(Uuid::now_v7().simple().to_string())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::Relaxed) {
            return;
        }
        // What cannot be removed now is swept away by the next delivery.
        let _ = fs::remove_dir_all(&self.path);
    }
}

//! The scratch folder of one life of a worker, below the folder that all workers of a machine share.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// What the folder of a worker's life is called, before the life.
const NAME: &str = "worker-";

/// The file by which others see that its worker lives: the kernel drops the lock with the process.
const LOCK: &str = "lock";

/// A folder in the hands of this process, removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes the folder of a life, and removes those of lives that are over.
    pub fn make(shared: &Path, life: &str) -> io::Result<Self> {
        fs::create_dir_all(shared)?;
        let shared = fs::canonicalize(shared)?;
        remove_leftovers(&shared);
        let folder = shared.join(format!("{NAME}{life}"));
        fs::create_dir(&folder)?;
        let lock = File::create(folder.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        fs::create_dir(folder.join("tasks"))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where tasks get their folders.
    pub fn tasks(&self) -> PathBuf {
        self.folder.join("tasks")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "failed to remove the scratch folder");
        }
    }
}

fn remove_leftovers(shared: &Path) {
    let folders = fs::read_dir(shared).into_iter().flatten().flatten();
    let lives = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(NAME));
    for folder in lives.map(|entry| entry.path()).filter(|folder| is_over(folder)) {
        match fs::remove_dir_all(&folder) {
            Ok(()) => tracing::info!(folder = %folder.display(), "removed what a dead worker had left"),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "failed to remove what a dead worker left")
            }
        }
    }
}

/// Whether nobody holds the folder. One without a lock is being made, or half removed.
fn is_over(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftovers_of_the_dead_are_removed_and_nothing_else() {
        let shared = tempfile::tempdir().unwrap();
        let dead = Scratch::make(shared.path(), "dead").unwrap();
        fs::write(dead.tasks().join("much"), "x").unwrap();
        let dead_folder = dead.folder.clone();
        // As if it had been killed: the lock goes, the folder stays.
        let Scratch { folder, _lock } = &dead;
        flock(_lock, FlockOperation::Unlock).unwrap();
        assert!(folder.exists());
        fs::create_dir(shared.path().join("of-somebody-else")).unwrap();
        let first = Scratch::make(shared.path(), "first").unwrap();
        assert!(!dead_folder.exists());
        let second = Scratch::make(shared.path(), "second").unwrap();
        assert!(first.tasks().exists() && second.tasks().exists());
        drop(first);
        drop(second);
        let left: Vec<_> = fs::read_dir(shared.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["of-somebody-else"]);
    }
}

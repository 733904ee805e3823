//! One process at a time. The kernel drops the lock when the process ends, however it ends; only a child that a killed
//! process was just starting holds it for some milliseconds more, until it has become its own program.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::objects::io_error;
use crate::{Error, ErrorKind, Result};

/// The lock's file, which names the process that has it.
pub(super) const FILE: &str = "lock";

/// How long what a dead process has left behind is waited for, and how often it is looked at.
const AFTER_DEATH: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(5);

/// A folder in the hands of this process, until this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// In so many words: a child that this process is just starting has the file open too, and would go on holding the lock.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the state folder is not given back before all who have it open have ended");
        }
    }
}

impl Lock {
    /// Takes the folder, or says at once who has it.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|cause| io_error("open", &path, cause))?;
        let mut patience = AFTER_DEATH;
        while let Err(cause) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if cause != Errno::WOULDBLOCK {
                return Err(io_error("lock", &path, cause.into()));
            }
            let signer = signer(&path);
            if patience.is_zero() || signer.is_none_or(is_alive) {
                return Err(taken(dir, signer));
            }
            patience = patience.saturating_sub(STEP);
            std::thread::sleep(STEP);
        }
        sign(&mut file).map_err(|cause| io_error("write", &path, cause))?;
        Ok(Self { file })
    }
}

/// The process that has a folder, as far as its lock says: it signed it, and it lives. The lock itself is not touched,
/// since a process that starts at this moment would be refused.
pub(super) fn owner(dir: &Path) -> Option<u32> {
    signer(&dir.join(FILE)).filter(|pid| is_alive(*pid))
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// Who has signed the lock; nobody yet, perhaps, though somebody has it.
fn signer(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether a process runs: one that has ended and was not waited for does not.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

fn taken(dir: &Path, owner: Option<u32>) -> Error {
    let owner = owner.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    let context =
        format!("state folder {} is in use by {owner}: wait until it is done, or choose another folder", dir.display());
    Error::new(ErrorKind::Conflict, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_behind_is_waited_for_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        // A number that no process has.
        std::fs::write(dir.path().join(FILE), "4194999\n").unwrap();
        let (waits, begun) = std::sync::mpsc::channel();
        let path = dir.path().to_owned();
        let next = std::thread::spawn(move || {
            waits.send(()).unwrap();
            Lock::take(&path)
        });
        begun.recv().unwrap();
        drop(held);
        next.join().unwrap().unwrap();
    }

    #[test]
    fn a_folder_is_given_back_although_a_child_that_is_just_being_started_has_its_lock_open() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let inherited = held.file.try_clone().unwrap();
        drop(held);
        Lock::take(dir.path()).unwrap();
        drop(inherited);
    }

    #[test]
    fn only_a_process_that_runs_is_alive() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(4_194_999));
    }
}

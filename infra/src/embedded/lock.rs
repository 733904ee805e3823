//! One process at a time. The kernel drops the lock when the process ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::objects::io_error;
use crate::{Error, ErrorKind, Result};

/// The lock's file, which names the process that has it.
pub(super) const FILE: &str = "lock";

/// A folder in the hands of this process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, or says at once who has it.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|cause| io_error("open", &path, cause))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(taken(dir, &mut file)),
            Err(cause) => return Err(io_error("lock", &path, cause.into())),
        }
        sign(&mut file).map_err(|cause| io_error("write", &path, cause))?;
        Ok(Self { _file: file })
    }
}

/// The process that has a folder, as far as its lock says: it signed it, and it lives. The lock itself is not touched,
/// since a process that starts at this moment would be refused.
pub(super) fn owner(dir: &Path) -> Option<u32> {
    let id: i32 = std::fs::read_to_string(dir.join(FILE)).ok()?.trim().parse().ok()?;
    let is_alive = match test_kill_process(Pid::from_raw(id)?) {
        // Somebody else's process is alive, too.
        Ok(()) | Err(Errno::PERM) => true,
        Err(_) => false,
    };
    is_alive.then_some(id.unsigned_abs())
}

fn sign(file: &mut File) -> std::io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn taken(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    // Who it is may not be written yet; that somebody is there is certain.
    let owner = match file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    let context =
        format!("state folder {} is in use by {owner}: wait until it is done, or choose another folder", dir.display());
    Error::new(ErrorKind::Conflict, context)
}

//! The log of this process: JSON lines in the state folder, never on the terminal.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::exit::{Fault, Outcome};

const FILE: &str = "gridmill.log";
const OLD_FILE: &str = "gridmill.log.1";

/// A log of this size is set aside at the next start. A line about a task is some 200 bytes.
const ROTATE_AT_BYTES: u64 = 64 << 20;

/// Begins to log into the state folder; `RUST_LOG` says what, `info` if it is not set.
pub fn start(state: &Path) -> Outcome<()> {
    let file = open(state).map_err(|error| {
        Fault::back_end(error).while_doing(format!("failed to open the log in {}", state.display()))
    })?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().json().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    // Another subscriber is there already when tests run several commands in one process.
    let _ = log.try_init();
    Ok(())
}

fn open(state: &Path) -> io::Result<File> {
    let path = state.join(FILE);
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > ROTATE_AT_BYTES) {
        fs::rename(&path, state.join(OLD_FILE))?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_set_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = open(dir.path()).expect("it can be opened");
        log.set_len(ROTATE_AT_BYTES + 1).expect("it can grow");
        drop(open(dir.path()).expect("it can be opened"));
        let len = |file| fs::metadata(dir.path().join(file)).map(|meta| meta.len()).ok();
        assert_eq!((len(FILE), len(OLD_FILE)), (Some(0), Some(ROTATE_AT_BYTES + 1)));
    }
}

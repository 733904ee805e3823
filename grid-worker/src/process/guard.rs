//! The guard: a process that outlives gridmill by a moment, and ends what it left behind when it was killed.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::orphans::{Held, Whose, carries};

/// Scans in a row that must find nothing: a process is without environment for a moment while it is being started.
const EMPTY_SCANS: u32 = 3;

/// Between two scans.
const SCAN_PAUSE: Duration = Duration::from_millis(20);

/// Scans in all: 30 s. What is still there then hangs in the kernel, or is started again by somebody else.
const MAX_SCANS: u32 = 1_500;

/// Comes down to the guard process, if it could be started.
type Starting = JoinHandle<Option<(Child, Held)>>;

/// The guard of a runner, while it is being started and afterwards.
#[derive(Debug, Default)]
pub(super) struct Guard {
    starting: Mutex<Option<Starting>>,
}

/// What the guard process does: waits until standard input ends, which it does when its runner is gone, however that
/// happened; then kills every process that carries the runner's cookie, until there is none. A runner that has seen to
/// that itself takes its leave with a word.
pub fn guard_main(cookie: &str) {
    // An error ends it like the end of the file.
    if std::io::stdin().lock().read_exact(&mut [0; 1]).is_ok() {
        return;
    }
    let mut empty = 0;
    for _ in 0..MAX_SCANS {
        empty = if kill_all(cookie) { 0 } else { empty + 1 };
        if empty == EMPTY_SCANS {
            return;
        }
        std::thread::sleep(SCAN_PAUSE);
    }
}

impl Guard {
    /// Starts a guard in a thread, since it is nobody's business to wait for it.
    pub(super) fn start(&self, executable: PathBuf, mut arguments: Vec<String>, cookie: &str) {
        arguments.push(cookie.to_owned());
        let thread = std::thread::Builder::new().name("start-guard".into()).spawn(move || {
            start(&executable, &arguments)
                .inspect_err(|error| {
                    tracing::warn!(%error, executable = %executable.display(), "no guard: commands may outlive a kill -9");
                })
                .ok()
        });
        match thread {
            Ok(thread) => *self.starting.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            Err(error) => tracing::warn!(%error, "no guard: commands may outlive a kill -9"),
        }
    }

    /// Lets the guard go, and waits for it: no process of the runner is left.
    pub(super) fn end(&self) {
        let thread = self.starting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ok(Some((mut guard, held)))) = thread.map(JoinHandle::join) else {
            return;
        };
        if let Some(mut stdin) = guard.stdin.take() {
            // One that is gone has nothing to hear.
            let _ = stdin.write_all(b".");
        }
        if let Err(error) = guard.wait() {
            tracing::warn!(%error, "could not wait for the guard");
        }
        drop(held);
    }
}

fn start(executable: &Path, arguments: &[String]) -> std::io::Result<(Child, Held)> {
    use std::os::unix::process::CommandExt;
    let guard = Command::new(executable)
        .args(arguments)
        // It needs no variables, and any command may read those of a process of the same user.
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let held = Held::new(Pid::from_child(&guard));
    Ok((guard, held))
}

/// Kills what carries the cookie; whether there was anything.
fn kill_all(cookie: &str) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    let mut found = false;
    for pid in processes.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)) {
        // The descriptor is taken before the look at the environment, so that both mean the same process.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        if carries(pid, cookie, Whose::Runner) {
            found = true;
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
    found
}

//! Whether the kernel has killed processes for want of memory.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How old the last look may be when a task begins: reading the counter costs as much as an item.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The kernel's own count of such kills, as it was when we last looked.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    seen: Mutex<(Instant, u64)>,
}

impl MemoryWatch {
    /// A watch that begins now.
    pub(super) fn new() -> Self {
        Self { seen: Mutex::new((Instant::now(), kills())) }
    }

    /// Looks again unless it did so lately; called as tasks begin.
    pub(super) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.0.elapsed() >= LOOK_EVERY {
            *seen = (Instant::now(), kills());
        }
    }

    /// Whether the kernel has killed since the last look.
    pub(super) fn has_killed(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = kills();
        let more = now > seen.1;
        *seen = (Instant::now(), now);
        more
    }
}

/// Kills of the whole machine, and of our own cgroup where only its limit was met; 0 where the kernel does not say.
fn kills() -> u64 {
    ["/proc/vmstat", "/sys/fs/cgroup/memory.events"].iter().filter_map(|file| read(file)).sum()
}

fn read(file: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

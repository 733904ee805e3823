//! The limit of every tool that starts commands: start and wait, two in flight, and nothing else.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::{Meter, Said};

/// Commands at the same time.
const IN_FLIGHT: usize = 2;

/// Runs `/bin/true` so many times.
pub fn run(count: u64) -> anyhow::Result<Said> {
    let meter = Meter::start();
    let begun = AtomicU64::new(0);
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(|| lane(&begun, count))).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| std::io::Error::other("a lane broke"))?)
    })?;
    Ok(meter.read())
}

fn lane(begun: &AtomicU64, count: u64) -> std::io::Result<()> {
    while begun.fetch_add(1, Ordering::Relaxed) < count {
        // The standard library calls posix_spawn for a command as plain as this one.
        Command::new("/bin/true").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    }
    Ok(())
}

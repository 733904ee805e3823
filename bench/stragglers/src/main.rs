//! One of eight workers ten times slower: how long jobs take against an ideal schedule, with copies of slow tasks and without.
//!
//! Manager and workers are the real ones, with the settings that they have across machines; the back ends are in memory and take no
//! time, and items sleep on a clock that moves when nobody has anything left to do. So the ratio is that of the decisions alone,
//! and the same on every machine.

#![expect(clippy::print_stdout, reason = "a table on standard output is all that this program makes")]

mod fleet;
mod ideal;

use std::time::Duration;

use anyhow::ensure;

use self::fleet::{Ran, run};
use self::ideal::ideal;

/// Workers, of which the first is slow.
pub const WORKERS: u32 = 8;

/// So many times.
pub const SLOWNESS: u32 = 10;

/// What a job may take, over the ideal.
const MOST_TIME: f64 = 1.15;

/// What its executions may take together, over those that count.
const MOST_WORK: f64 = 1.05;

/// Jobs of items that take equally long.
const JOBS: [Job; 8] = [
    Job { slots: 1, items: 2_000, item_ms: 500 },
    Job { slots: 1, items: 400, item_ms: 5_000 },
    Job { slots: 1, items: 1_000, item_ms: 1_000 },
    Job { slots: 4, items: 20_000, item_ms: 200 },
    Job { slots: 4, items: 4_000, item_ms: 5_000 },
    Job { slots: 4, items: 1_000, item_ms: 30_000 },
    Job { slots: 1, items: 200, item_ms: 60_000 },
    Job { slots: 4, items: 600, item_ms: 10_000 },
];

/// A job on a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Of every worker.
    pub slots: u32,
    /// In all.
    pub items: u32,
    /// What an item takes where it is fast.
    pub item_ms: u64,
}

fn main() -> anyhow::Result<()> {
    println!(
        "one of {WORKERS} workers {SLOWNESS} times slower; times over the ideal at the fleet's summed speed, in whole items"
    );
    println!(
        "{:>6} {:>7} {:>8} {:>9} {:>8} {:>8} {:>16} {:>10}",
        "slots", "items", "item", "ideal", "without", "with", "copies, won", "work"
    );
    let (mut most_time, mut most_work) = (0.0_f64, 0.0_f64);
    for job in JOBS {
        let ideal = ideal(&job);
        let (without, with) = (run(job, false)?, run(job, true)?);
        ensure!(without.started == 0, "copies were made where none are");
        let (time, work) = (over(with.took, ideal), work(&job, &with));
        println!(
            "{:>6} {:>7} {:>6.1} s {:>7.1} s {:>7.2}x {:>7.2}x {:>10} {:>5} {:>9.3}x",
            job.slots * WORKERS,
            job.items,
            job.item_ms as f64 / 1e3,
            ideal.as_secs_f64(),
            over(without.took, ideal),
            time,
            with.started,
            with.won,
            work,
        );
        (most_time, most_work) = (most_time.max(time), most_work.max(work));
    }
    judge("time over the ideal", most_time, MOST_TIME);
    judge("work over what counts", most_work, MOST_WORK);
    Ok(())
}

fn over(took: Duration, ideal: Duration) -> f64 {
    took.as_secs_f64() / ideal.as_secs_f64()
}

/// All executions of items over those that were committed: a lost execution has done at most what it had time for, at the speed of
/// where it ran, and a copy runs where it is fast.
fn work(job: &Job, ran: &Ran) -> f64 {
    f64::from(ran.executed) / f64::from(job.items)
}

fn judge(what: &str, measured: f64, limit: f64) {
    let verdict = if measured <= limit { "met" } else { "MISSED" };
    println!("goal: {what} <= {limit}x: {measured:.3}x at most - {verdict}");
}

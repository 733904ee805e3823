//! A grid of real processes in a storm: managers and workers that are killed, frozen, told to leave, cut off and left without
//! disk, by a seed, while jobs go on. At the end every byte has to be that of a calm run.

mod check;
mod feed;
mod proxy;
mod seat;
mod storm;
mod work;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::feed::{Done, Feed};
use self::proxy::Proxy;
use self::seat::{Role, Seat};
use self::storm::Storm;
use self::work::Kind;
use crate::fleet::Fleet;

/// How long the last jobs may take once nothing goes wrong any more: dead tasks, leases and leads have to end first.
const CALM: Duration = Duration::from_secs(600);

/// How long and what.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For so long something goes wrong.
    pub length: Duration,
    /// What follows from this: what goes wrong, when, and to whom.
    pub seed: u64,
}

/// Raises a storm over a grid, and looks at what is left. An error says what is wrong, and where the logs are.
pub fn run(options: Options) -> anyhow::Result<()> {
    let mut fleet = Fleet::new()?;
    let result = storm(&fleet, options);
    if result.is_err() {
        fleet.keep();
    }
    result.with_context(|| format!("seed {}; logs are in {}", options.seed, fleet.path("").display()))
}

fn storm(fleet: &Fleet, options: Options) -> anyhow::Result<()> {
    work::lay_out(fleet)?;
    let calm =
        Kind::ALL.into_iter().map(|kind| Ok((kind, kind.calm(fleet)?))).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let seats = runtime.block_on(seats(fleet))?;
    let managers = seats.iter().filter(|seat| seat.role == Role::Manager).map(|seat| seat.listen_file(fleet)).collect();
    let feed = Feed { fleet, managers, enough: AtomicBool::new(false), give_up: Mutex::new(None) };
    let mut storm = Storm::over(fleet, seats, options.seed)?;
    let done = thread::scope(|scope| -> anyhow::Result<Vec<Done>> {
        let feeding: Vec<_> = Kind::ALL
            .map(|kind| {
                scope.spawn({
                    let feed = &feed;
                    move || feed.run(kind)
                })
            })
            .into();
        let raged = storm.rage(options.length).and_then(|()| storm.calm());
        feed.enough.store(true, Ordering::SeqCst);
        *feed.give_up.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now() + CALM);
        while !feeding.iter().all(thread::ScopedJoinHandle::is_finished) && raged.is_ok() {
            storm.mind()?;
            thread::sleep(Duration::from_millis(100));
        }
        let mut done = Vec::new();
        for fed in feeding {
            done.extend(fed.join().map_err(|_| anyhow::anyhow!("a feeder has panicked"))??);
        }
        raged?;
        Ok(done)
    })?;
    check::outputs(fleet, &feed, &done, &calm)?;
    runtime.block_on(check::grid(fleet, &done))?;
    runtime.block_on(check::queues(fleet))?;
    check::ends(fleet, &mut storm, &done)?;
    check::logs(fleet, storm.seats())?;
    tell(&storm, &done, options);
    ensure!(storm.complaints.is_empty(), "{}", storm.complaints.join("\n"));
    storm.has_raged(options.length)
}

async fn seats(fleet: &Fleet) -> anyhow::Result<Vec<Seat>> {
    let small = if fleet.has_small_disks() { Role::WorkerOnSmallDisk } else { Role::Worker };
    let mut seats = Vec::new();
    for (name, role) in [
        ("manager-1", Role::Manager),
        ("manager-2", Role::Manager),
        ("worker-1", Role::Worker),
        ("worker-2", Role::Worker),
        ("worker-3", small),
        ("worker-4", small),
    ] {
        seats.push(Seat::new(name.to_owned(), role, Proxy::before(fleet.server()?).await?));
    }
    Ok(seats)
}

#[allow(clippy::print_stdout, reason = "the summary is what was asked for")]
fn tell(storm: &Storm, done: &[Done], options: Options) {
    println!("seed {}, {} s, {} kills", options.seed, options.length.as_secs(), storm.count("kill"));
    for (what, count) in &storm.counts {
        println!("{count:6}  {what}");
    }
    for kind in Kind::ALL {
        let of_kind: Vec<&Done> = done.iter().filter(|job| job.kind == kind).collect();
        let longest = of_kind.iter().map(|job| job.took.as_secs()).max().unwrap_or_default();
        println!("{:6}  jobs of {kind:?} as in peace, to the byte; the longest took {longest} s", of_kind.len());
    }
}

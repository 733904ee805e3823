//! Breaks one rule after the other: every one has to be caught within the seeds that it says, and none may be caught where
//! nothing is broken.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Parser, ValueEnum};
use grid_core::broken;
use gridmill_sim::seeds::run;
use gridmill_sim::weather::Climate;
use gridmill_sim::world::Setup;

/// Breaks one rule after the other.
#[derive(Debug, Parser)]
struct Args {
    /// Only these rules.
    #[arg(long)]
    only: Vec<String>,
    /// In this climate, whatever they say.
    #[arg(long, value_enum)]
    climate: Option<Climate>,
    /// Within so many seeds, whatever they say.
    #[arg(long, conflicts_with = "seeds")]
    within: Option<u64>,
    /// So many seeds of each, all of them, instead of those until it is caught.
    #[arg(long)]
    seeds: Option<u64>,
    /// So many side by side.
    #[arg(long, default_value_t = 4)]
    threads: usize,
}

#[allow(clippy::print_stdout, reason = "the list is what was asked for")]
fn main() -> ExitCode {
    let args = Args::parse();
    let is_wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let rules: Vec<_> = broken::ALL.iter().filter(|(name, ..)| is_wanted(name)).collect();
    let unknown = args.only.iter().find(|only| !rules.iter().any(|(name, ..)| name == only));
    if rules.is_empty() || unknown.is_some() {
        eprintln!("there is no such rule: {}", unknown.map_or("there are none at all", String::as_str));
        return ExitCode::FAILURE;
    }
    let (next, lives) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                while let Some(&&(name, within, climate, _)) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let climate = args.climate.or_else(|| Climate::from_str(climate, false).ok());
                    broken::set(name);
                    let (mut caught, mut first) = (0_u64, None);
                    for seed in 0..args.seeds.or(args.within).unwrap_or(within) {
                        if let Some(violation) = run(Setup::in_climate(climate, seed)).violations.into_iter().next() {
                            caught += 1;
                            first.get_or_insert((seed, violation));
                            if args.seeds.is_none() {
                                break;
                            }
                        }
                    }
                    match first {
                        Some((seed, by)) => println!("{name}: {caught}, first seed {seed}: {by:.160}"),
                        None => {
                            lives.fetch_add(1, Ordering::Relaxed);
                            println!("{name}: LIVES");
                        }
                    }
                }
            });
        }
    });
    broken::set("");
    let is_fine = |climate| (0..20).all(|seed| run(Setup::in_climate(climate, seed)).violations.is_empty());
    let is_well = is_fine(None) && Climate::all().iter().all(|climate| is_fine(Some(*climate)));
    println!("{} rules, {} live; the code itself {}", rules.len(), lives.load(Ordering::Relaxed), if is_well { "is well" } else { "IS CAUGHT" });
    if is_well && lives.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

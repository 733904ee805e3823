//! Runs seeds, or one of them with a trace.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use gridmill_sim::broken;
use gridmill_sim::seeds::{Seeds, run};
use gridmill_sim::weather::Climate;
use gridmill_sim::world::Setup;

/// Runs the grid in a world in which everything fails, by seeds.
#[derive(Debug, Parser)]
#[command(name = "gridmill-sim")]
struct Args {
    /// Run this seed alone, and print what happened.
    #[arg(long, conflicts_with_all = ["from", "seeds"])]
    seed: Option<u64>,
    /// Print every call of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Seeds that nobody has looked at before: the first follows from the time.
    #[arg(long, conflicts_with = "from")]
    fresh: bool,
    /// So many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// In a climate in which one thing goes wrong, and often.
    #[arg(long, value_enum)]
    climate: Option<Climate>,
    /// So many side by side.
    #[arg(long, default_value_t = cores())]
    threads: usize,
    /// Every so manieth seed is run twice.
    #[arg(long, default_value_t = 50)]
    twice: u64,
    /// Copies the sources in this folder to there, with every rule of `sim/broken/` ready to be broken.
    #[arg(long, value_name = "FOLDER")]
    break_into: Option<PathBuf>,
}

/// What runs the same seeds again, or one of them.
const RUN: &str = "cargo run --profile sim -p gridmill-sim --";

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(folder) = &args.break_into {
        return break_into(folder);
    }
    match args.seed {
        Some(seed) => one(args.climate, seed, args.trace),
        None => many(&args),
    }
}

#[allow(clippy::print_stdout, reason = "what was done is what was asked for")]
fn break_into(folder: &Path) -> ExitCode {
    match broken::copy(Path::new("."), folder) {
        Ok(rules) => {
            println!("{rules} rules can be broken in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "a trace is what was asked for")]
fn one(climate: Option<Climate>, seed: u64, is_readable: bool) -> ExitCode {
    let setup = Setup { is_readable, ..Setup::in_climate(climate, seed) };
    if is_readable {
        println!("{}{:#?}", setup.workload.pipeline(), setup.weather);
    }
    let outcome = run(setup);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}{outcome}", outcome.tally);
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[allow(clippy::print_stdout, reason = "the summary is what was asked for")]
fn many(args: &Args) -> ExitCode {
    let first = if args.fresh { unseen() } else { args.from };
    let climate = args.climate.and_then(|climate| climate.to_possible_value());
    let climate = climate.map_or_else(String::new, |climate| format!(" --climate {}", climate.get_name()));
    println!("{RUN}{climate} --from {first} --seeds {}", args.seeds);
    let seeds = Seeds { first, count: args.seeds, threads: args.threads, twice: Some(args.twice) };
    let summary = seeds.run(|seed| Setup::in_climate(args.climate, seed), |outcome| println!("{outcome}"));
    let per_sec = args.seeds as f64 / summary.took.as_secs_f64();
    println!("{}", summary.tally);
    println!("{} seeds in {:.1} s, {per_sec:.1} a second", args.seeds, summary.took.as_secs_f64());
    println!("{} failed, {} of {} strayed", summary.failed.len(), summary.strayed.len(), summary.replayed);
    if let Some(first) = summary.failed.first() {
        println!("see the first with: {RUN}{climate} --trace --seed {}", first.seed);
    }
    // Fewer seeds may miss what is rare.
    let missing = if args.seeds >= 1_000 { summary.tally.missing(args.climate) } else { Vec::new() };
    if !missing.is_empty() {
        println!("never happened, and so was not tested: {missing:?}");
    }
    let is_well = summary.failed.is_empty() && summary.strayed.is_empty() && missing.is_empty();
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A seed far from those of any other day.
fn unseen() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let secs = now.map_or(0, |since| since.as_secs());
    // So that a million seeds of one second are not those of the next.
    secs << 24
}

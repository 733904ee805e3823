//! Runs seeds, or one of them with a trace.

use std::process::ExitCode;

use clap::Parser;
use gridmill_sim::seeds::{Seeds, note_panics, run};
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
    /// So many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// So many side by side.
    #[arg(long, default_value_t = 6)]
    threads: usize,
    /// Every so manieth seed is run twice.
    #[arg(long, default_value_t = 50)]
    twice: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.seed {
        Some(seed) => one(seed, args.trace),
        None => many(&args),
    }
}

#[allow(clippy::print_stdout, reason = "a trace is what was asked for")]
fn one(seed: u64, is_readable: bool) -> ExitCode {
    note_panics();
    let setup = Setup { is_readable, ..Setup::of(seed) };
    if is_readable {
        println!("{}{:#?}", setup.workload.pipeline(None), setup.weather);
    }
    let outcome = run(setup);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{}{outcome}", outcome.tally);
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[allow(clippy::print_stdout, reason = "the summary is what was asked for")]
fn many(args: &Args) -> ExitCode {
    let seeds = Seeds { first: args.from, count: args.seeds, threads: args.threads, twice: Some(args.twice) };
    let summary = seeds.run(Setup::of, |outcome| println!("{outcome}"));
    let per_sec = args.seeds as f64 / summary.took.as_secs_f64();
    println!("{}", summary.tally);
    println!("{} seeds in {:.1} s, {per_sec:.1} a second", args.seeds, summary.took.as_secs_f64());
    println!("{} failed, {} of {} strayed", summary.failed.len(), summary.strayed.len(), summary.replayed);
    if let Some(first) = summary.failed.first() {
        println!("see the first with: cargo run --release -p gridmill-sim -- --seed {} --trace", first.seed);
    }
    let is_well = summary.failed.is_empty() && summary.strayed.is_empty();
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

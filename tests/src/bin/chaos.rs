//! `tests/chaos`: a storm over a grid of real processes.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gridmill_tests::chaos::{Options, run};

/// Kills, freezes, cuts off and starves the processes of a grid while it works, and compares what comes out with a calm run.
#[derive(Debug, Parser)]
#[command(name = "tests/chaos")]
struct Args {
    /// For so long something goes wrong.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// What goes wrong, when, and to whom follows from this; drawn by the clock unless said.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let by_clock = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
    let seed = args.seed.unwrap_or_else(by_clock);
    eprintln!("seed {seed}: repeat it with `tests/chaos --seconds {} --seed {seed}`", args.seconds);
    match run(Options { length: Duration::from_secs(args.seconds), seed }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Measurements against peers and limits: every number is a ratio to something that was measured in the same run, the
//! tools in turn, and the median of all rounds. Not part of the tests.

#![expect(clippy::print_stdout, reason = "a table on standard output is all that this program makes")]

mod cost;
mod goals;
mod inner;
mod rounds;
mod table;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measure gridmill against limits and peers on this machine.
#[derive(Debug, Parser)]
struct Args {
    /// The gridmill to measure
    #[arg(long, default_value = "gridmill")]
    gridmill: PathBuf,

    /// Rounds; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,

    /// Where states and inputs are made: on the disk that is to be measured
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,

    /// What to measure; all if nothing is named
    goals: Vec<Goal>,

    /// Be one of the measured programs
    #[arg(long, hide = true, num_args = 1.., exclusive = true)]
    inner: Vec<String>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Goal {
    /// 10,000 commands
    Spawn,
    /// A million items that do nothing, in process
    Noop,
    /// One trivial job, from submission until it is done
    Latency,
    /// Ten million items against ten thousand: time, memory
    Growth,
    /// Planning a large input
    Split,
    /// Counting words in 300 MB
    Wordcount,
}

/// What every measurement needs to know.
struct Setting {
    gridmill: PathBuf,
    rounds: usize,
    folder: tempfile::TempDir,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if !args.inner.is_empty() {
        return inner::be(&args.inner);
    }
    let folder = tempfile::tempdir_in(&args.dir)?;
    let setting = Setting { gridmill: program(args.gridmill)?, rounds: args.rounds.max(1), folder };
    let goals = if args.goals.is_empty() { Goal::value_variants() } else { &args.goals };
    for goal in goals {
        println!("\n{} (load before: {})", goals::title(*goal), cost::load()?);
        goals::measure(*goal, &setting)?;
    }
    Ok(())
}

/// A path as it is from every folder, since each tool runs in its own; a bare name is looked for in PATH.
fn program(path: PathBuf) -> std::io::Result<PathBuf> {
    if path.components().count() > 1 { std::path::absolute(path) } else { Ok(path) }
}

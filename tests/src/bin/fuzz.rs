//! `tests/fuzz`: mutates the corpora of `fuzz/` on a stable compiler.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gridmill_tests::fuzz::{Mutator, TARGETS, corpus, target};

/// Mutates the inputs in fuzz/corpus by a seed, and keeps one with which something is wrong.
#[derive(Debug, Parser)]
#[command(name = "tests/fuzz")]
struct Args {
    /// The targets; all unless said.
    targets: Vec<String>,
    /// For so long each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What is made follows from this, and from the corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[allow(clippy::print_stdout, reason = "it is what was asked for")]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let names: Vec<&str> = match args.targets.is_empty() {
        true => TARGETS.iter().map(|target| target.name).collect(),
        false => args.targets.iter().map(String::as_str).collect(),
    };
    let mut status = ExitCode::SUCCESS;
    for name in names {
        let Some(target) = target(name) else { anyhow::bail!("there is no target `{name}`") };
        let (count, found) = Mutator::new(target, args.seed)?.run(Duration::from_secs(args.seconds));
        println!("{name}: {count} inputs");
        if let Some(found) = found {
            let path = corpus(name).join(format!("found-{:08x}", crc32fast::hash(&found.input)));
            std::fs::write(&path, &found.input)?;
            println!("{name}: {}\n  kept as {}", found.what, path.display());
            status = ExitCode::FAILURE;
        }
    }
    Ok(status)
}

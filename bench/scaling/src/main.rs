//! The scaling law in virtual time: arrival traces in, machine-hours against a clairvoyant bound out. Nothing here waits,
//! and the same seed gives the same numbers.

#![expect(clippy::print_stdout, reason = "a table on standard output is what this program makes")]

mod bound;
mod chart;
mod explain;
mod generate;
mod lublin;
mod outcome;
mod read;
mod report;
mod restarts;
mod sim;
mod trace;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use grid_core::ids::{ClassName, GroupName};
use grid_core::scale::{ClassTimes, Group, Memory, Params};

use bound::{Setting, bound};
use generate::{Generated, Scenario};
use report::Row;
use restarts::Restarts;
use world::World;

/// Run the scaling law on arrival traces, in virtual time, against a clairvoyant lower bound.
#[derive(Debug, Parser)]
struct Args {
    /// What to run: names of scenarios, or files (.swf, .json). All scenarios if nothing is named
    what: Vec<String>,

    /// Runs of each, with seeds that follow each other
    #[arg(long, default_value_t = 5)]
    seeds: u64,

    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Draw capacity and demand of the first run of the last thing named
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,

    /// Slots a machine
    #[arg(long, default_value_t = 4)]
    slots: u32,

    /// Machines at most
    #[arg(long, default_value_t = 200)]
    max_machines: u32,

    /// A job without a deadline shall have started its last task so many seconds after it arrived
    #[arg(long, default_value_t = 900.0)]
    drain_target: f64,

    /// Spot reclaims of a machine per hour
    #[arg(long, default_value_t = 0.03)]
    reclaims: f64,

    /// There are spot machines only; otherwise also a group of on-demand machines, 2.5 times as dear, which stay
    #[arg(long)]
    spot_only: bool,

    /// A job that reclaims make late more likely than this is bought on-demand machines; 1: the cheapest, always
    #[arg(long)]
    late_risk: Option<f64>,

    /// How many times longer the law takes its estimates of task times, at most
    #[arg(long)]
    safety: Option<f64>,

    /// Print what the machine-hours went into, and which jobs were late and why
    #[arg(long)]
    explain: bool,

    /// Idle machines stay for so many boot times
    #[arg(long)]
    idle_boots: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let world =
        World { slots: args.slots, max_machines: args.max_machines, reclaims: args.reclaims, ..World::default() };
    let params = params(&args);
    report::head();
    let all: Vec<String> = Scenario::value_variants().iter().map(|scenario| scenario.name()).collect();
    let what = if args.what.is_empty() { &all } else { &args.what };
    for (place, what) in what.iter().enumerate() {
        let rows = runs(what, &args, &world, &params)?;
        report::rows(&rows);
        if args.explain {
            explain::explain(&rows);
        }
        if let (Some(path), Some(row)) = (&args.svg, rows.first())
            && place + 1 == all.len().min(if args.what.is_empty() { all.len() } else { args.what.len() })
        {
            std::fs::write(path, chart::svg(&row.name, &row.outcome.samples))
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
    }
    Ok(())
}

/// What a machine of four vCPUs costs an hour, as terraform takes it by default.
const SPOT_USD: f64 = 0.064;
const ON_DEMAND_USD: f64 = 0.16;

fn params(args: &Args) -> Params {
    let mut params = Params {
        slots: args.slots,
        max_machines: args.max_machines,
        drain_target: Some(Duration::from_secs_f64(args.drain_target)),
        ..Params::default()
    };
    let group =
        |name: &str, usd_per_hour, taken_per_hour| Group { name: GroupName::new(name), usd_per_hour, taken_per_hour };
    params.groups = vec![group("spot", SPOT_USD, args.reclaims)];
    if !args.spot_only {
        params.groups.push(group("on-demand", ON_DEMAND_USD, 0.0));
    }
    params.late_risk = args.late_risk.unwrap_or(params.late_risk);
    params.safety = args.safety.unwrap_or(params.safety);
    params.idle_boots = args.idle_boots.unwrap_or(params.idle_boots);
    params
}

/// Runs a scenario, or a file, with several seeds. Of a file the seeds change the machines only.
fn runs(what: &str, args: &Args, world: &World, params: &Params) -> anyhow::Result<Vec<Row>> {
    let setting = Setting { slots: f64::from(args.slots), boot: world.mean_boot(), drain_target: args.drain_target };
    let seeds = args.seed..args.seed + args.seeds;
    let run = |generated: &Generated, bound, seed| {
        let outcome = sim::run(&generated.trace, &generated.world, params, memory(&generated.history), seed);
        Row {
            seed,
            slots: f64::from(args.slots),
            name: generated.trace.name.clone(),
            jobs: generated.trace.jobs.len(),
            bound,
            restarts: Restarts::of(&generated.trace, args.reclaims, f64::from(args.slots), args.drain_target),
            outcome,
        }
    };
    match Scenario::from_str(what, true) {
        Ok(scenario) => seeds
            .map(|seed| {
                let generated = scenario.generate(world, seed)?;
                let bound = bound(&generated.trace, &setting);
                Ok(run(&generated, bound, seed))
            })
            .collect(),
        Err(_) => {
            let trace = read::read(&PathBuf::from(what))?;
            let bound = bound(&trace, &setting);
            let generated = Generated { trace, world: world.clone(), history: Vec::new() };
            Ok(seeds.map(|seed| run(&generated, bound, seed)).collect())
        }
    }
}

/// What the law knows at the beginning.
fn memory(history: &[(String, f64, f64)]) -> Memory {
    let mut memory = Memory::default();
    for (class, mean, longest) in history {
        let times =
            ClassTimes { tasks: 100.0, mean: *mean, mean_square: 1.3 * mean * mean, longest: *longest, used_ms: 0 };
        memory.times.remember(ClassName::new(class), times);
    }
    memory
}

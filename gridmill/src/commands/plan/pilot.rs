//! `gridmill plan --pilot`: a part of the job is run, so that something tells how long the whole will take.

use std::path::PathBuf;

use grid_core::ids::JobId;

use crate::cli::{PlaceArgs, PlanArgs, RunArgs, StateArgs, TermsArgs};
use crate::commands::run;
use crate::console::Console;
use crate::exit::{Fault, Outcome};

/// The job that the pilot was of, where one is wished for.
pub fn run(args: &PlanArgs, console: Console) -> Outcome<Option<JobId>> {
    let Some(time) = args.pilot else { return Ok(None) };
    let PlaceArgs::State(state) = &args.place else {
        return Err(Fault::usage("a pilot runs on this machine, and the jobs are at a manager")
            .help("leave out --manager, or submit a small job there: the next plan is quoted by it"));
    };
    let run_args = RunArgs {
        pipeline: args.pipeline.clone(),
        terms: TermsArgs::default(),
        usd_per_slot_hour: args.usd_per_slot_hour,
        // Nothing is delivered.
        out: PathBuf::new(),
        workers: None,
        state: StateArgs { state: state.clone() },
    };
    run::pilot(&run_args, time, console)
}

//! `gridmill redrive`: dead items run again.

use grid_api::Redrive;
use grid_core::ids::JobId;
use serde::Serialize;

use crate::cli::RedriveArgs;
use crate::console::Console;
use crate::exit::{Exit, Fault, Outcome};
use crate::local;
use crate::place::Place;
use crate::text::counted;

/// The answer with `--json`.
#[derive(Serialize)]
struct Answer {
    job: JobId,
    items: u64,
}

/// Runs dead items of a job again.
pub fn redrive(args: &RedriveArgs, console: Console) -> Outcome {
    let place = Place::open(&args.job.place)?;
    let set = args.set.iter().cloned().collect();
    let wish = Redrive { filter: args.filter.clone(), set };
    if wish.set.len() < args.set.len() {
        return Err(Fault::usage("a parameter is set more than once"));
    }
    local::runtime()?.block_on(async {
        let job = place.choose(args.job.job.as_deref()).await?;
        let items = place.redrive(&job, &wish).await?;
        match (console.json, &place) {
            (true, _) => console.document(&Answer { job, items })?,
            (false, _) if items == 0 => console.say(format!(
                "job {job}: nothing runs again: it has no such dead items, or they are ones that later stages have done without"
            )),
            (false, Place::There(_)) => console.say(format!("job {job}: {} again", runs(items))),
            (false, Place::Here(_)) => {
                console.say(format!("job {job}: {} when the same pipeline is run again", runs(items)));
            }
        }
        Ok(Exit::Done)
    })
}

fn runs(items: u64) -> String {
    format!("{} {}", counted(items, "item"), if items == 1 { "runs" } else { "run" })
}

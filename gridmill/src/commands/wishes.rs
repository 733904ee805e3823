//! `gridmill cancel`, `pause` and `resume`.

use grid_api::JobState;
use grid_core::ids::JobId;
use serde::Serialize;

use crate::cli::JobArgs;
use crate::client::Wish;
use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::local;
use crate::place::Place;
use crate::progress::words::state_words;

/// The answer with `--json`.
#[derive(Serialize)]
struct Answer {
    job: JobId,
    state: JobState,
}

/// Cancels, pauses or resumes a job.
pub fn fulfil(args: &JobArgs, wish: Wish, console: Console) -> Outcome {
    let place = Place::open(&args.place)?;
    local::runtime()?.block_on(async {
        let job = place.choose(args.job.as_deref()).await?;
        let state = place.wish(&job, wish).await?;
        match console.json {
            true => console.document(&Answer { job, state })?,
            false => console.say(told(&job, state, &place)),
        }
        Ok(Exit::Done)
    })
}

fn told(job: &JobId, state: JobState, place: &Place) -> String {
    let next = match (place, state) {
        (Place::Here(_), JobState::Running) => "; run the same pipeline again to go on",
        _ => "",
    };
    format!("job {job} is {}{next}", state_words(state))
}

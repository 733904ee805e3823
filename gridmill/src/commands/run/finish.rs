//! After the job: outputs, receipt, and what there is to say about failures.

use grid_core::ids::JobId;
use job_manager::view::JobView;

use super::Run;
use crate::deliver::{self, Memory, OutFolder};
use crate::ending::{Delivered, Ending};
use crate::exit::Outcome;
use crate::place::{Here, Place};

/// What is said where a job has no outputs.
const KEPT: &str = "no outputs were delivered; what was committed is kept, and the same command goes on from there";

/// Delivers, reports, and says how it went.
pub async fn finish(run: &Run<'_>, job: &JobId, out: &OutFolder) -> Outcome {
    let place = Place::Here(Here { grid: run.grid.clone(), state: run.state_as_given().to_owned() });
    let ending = Ending::of(&place, job).await?;
    ending.tell_failures(&place, run.console);
    let view = JobView::open(&run.grid, job).await?;
    let delivered = match ending.has_succeeded() {
        true => {
            let memory = Memory::State(run.state.path());
            Delivered::To(deliver::deliver(&view, out, memory, run.console).await?)
        }
        false => Delivered::No(KEPT),
    };
    ending.conclude(&view.submission.pipeline, delivered, run.console)
}

//! Submitting: pins the inputs and hands everything over.

use std::collections::HashMap;

use grid_core::ids::JobId;
use infra::Grid;
use infra::inputs::PinOptions;
use job_manager::control::{self, ControlError};
use job_manager::{SubmitRequest, Submitted, view};

use super::Run;
use crate::exit::{Fault, Outcome};
use crate::inputs::{self, Keeper};
use crate::load::Loaded;
use crate::programs;
use crate::progress::ByteCounter;

/// Earlier jobs whose pins are looked at: enough to find unchanged files, few enough to cost nothing.
const EARLIER_JOBS: usize = 3;

/// Hands the pipeline over, with its inputs as they are now.
pub async fn submit(run: &Run<'_>, loaded: Loaded) -> Outcome<Submitted> {
    let known = known_digests(&run.grid).await?;
    let progress = ByteCounter::new(run.console, "reading the inputs");
    let options = PinOptions {
        known: &|uri, size, version| known.get(&(uri.to_owned(), size, version.to_owned())).cloned(),
        on_bytes: &|bytes| progress.add(bytes),
        blocks: Some(&*run.grid.objects),
    };
    let scratch = run.state.scratch();
    let keeper = Keeper { objects: &*run.grid.objects, scratch: &scratch };
    let inputs::Pinned { inputs, lists } = inputs::pin(&run.grid.sources, &loaded, Some(keeper), options).await?;
    drop(progress);
    let Loaded { mut pipeline, params, folder, .. } = loaded;
    pipeline.terms = run.args.terms.terms().or(pipeline.terms);
    if let (Some(budget), None) = (pipeline.terms.budget, run.args.usd_per_slot_hour) {
        let words = "does not matter: slot time costs nothing here, unless --usd-per-slot-hour says what it costs";
        run.console.say(format!("the budget of ${} {words}", budget.usd));
    }
    pipeline.tenant = run.args.terms.tenant.clone().or(pipeline.tenant);
    let workdir = folder.to_string_lossy().into_owned();
    let programs = programs::digests(&folder, &pipeline)
        .map_err(|error| Fault::usage(format!("a program that the pipeline names cannot be read: {error}")))?;
    let request = SubmitRequest { pipeline, params, inputs, lists, workdir, programs };
    let submitted = job_manager::submit(&run.grid, request).await?;
    if let Submitted::Resumed(job) = &submitted {
        go_on(&run.grid, job).await?;
    }
    Ok(submitted)
}

/// Whoever runs a job again that was paused wants it to go on.
async fn go_on(grid: &Grid, job: &JobId) -> Outcome<()> {
    match control::resume(grid, job).await {
        // It was not paused.
        Ok(_) | Err(ControlError::Conflict { .. }) => Ok(()),
        Err(ControlError::Manager(error)) => Err(error.into()),
        Err(error @ (ControlError::NotFound(_) | ControlError::Invalid(_))) => Err(Fault::failed(error)),
    }
}

/// Digests of files as earlier jobs have pinned them, so that what has not changed is not read again.
async fn known_digests(grid: &Grid) -> Outcome<HashMap<(String, u64, String), String>> {
    let jobs = view::all_jobs(grid).await?;
    let mut known = HashMap::new();
    for head in jobs.iter().rev().take(EARLIER_JOBS) {
        // A submission that cannot be read is no reason not to run this one: its files are just read again.
        let Ok(submission) = view::submission(grid, &head.job).await else { continue };
        for file in submission.inputs.values().flatten().chain(submission.lists.values()) {
            known.insert((file.uri.clone(), file.size, file.version.clone()), file.digest.clone());
        }
    }
    Ok(known)
}

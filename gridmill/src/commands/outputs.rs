//! `gridmill outputs`: what a job has written, and where; or all of it once more, elsewhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use grid_api::{JobStatus, OutputFile};
use grid_core::ids::StageName;
use job_manager::view::JobView;
use job_manager::view::outputs::list_outputs;
use serde::Serialize;

use crate::cli::OutputsArgs;
use crate::client::Route;
use crate::console::{Console, answer};
use crate::deliver::{self, Memory, OutFolder, StageDelivery};
use crate::exit::{Exit, Outcome};
use crate::place::Place;
use crate::{local, report};

/// A line of `gridmill outputs --json`.
#[derive(Serialize)]
struct Line {
    /// Relative to the output folder.
    path: String,
    bytes: u64,
    crc32: u32,
    stage: StageName,
    /// The item's place in its stage; of the first one, where items share a file.
    item: u32,
}

/// Lists outputs, or delivers them.
pub fn outputs(args: &OutputsArgs, console: Console) -> Outcome {
    let place = Place::open(&args.job.place)?;
    local::runtime()?.block_on(async {
        let status = place.chosen(args.job.job.as_deref()).await?;
        if !status.state.is_final() {
            console.warn(format!("job {} has not ended: what is committed so far is taken", status.job));
        }
        match &args.out {
            None => list(&place, &status, console).await?,
            Some(out) => {
                let done = deliver(&place, &status, out, console).await?;
                match console.json {
                    true => console.document(&done)?,
                    false => console.say(report::delivered(&done)),
                }
            }
        }
        Ok(Exit::Done)
    })
}

async fn deliver(place: &Place, status: &JobStatus, out: &Path, console: Console) -> Outcome<Vec<StageDelivery>> {
    let out = OutFolder::open_for(out, Some(status.job.as_str()))?;
    match place {
        Place::Here(here) => {
            let view = JobView::open(&here.grid, &status.job).await?;
            deliver::deliver(&view, &out, Memory::None, console).await
        }
        Place::There(client) => deliver::fetch(client, &status.job, &out, &BTreeSet::new(), console).await,
    }
}

async fn list(place: &Place, status: &JobStatus, console: Console) -> Outcome<()> {
    match place {
        Place::Here(here) => {
            let view = JobView::open(&here.grid, &status.job).await?;
            let mut found = list_outputs(Arc::new(view), None);
            while let Some(entry) = found.recv().await.transpose()? {
                let path = entry.path.to_string_lossy().into_owned();
                let (bytes, crc32, stage, item) = (entry.bytes, entry.crc32, entry.stage, entry.item);
                print(&Line { path, bytes, crc32, stage, item }, console)?;
            }
        }
        Place::There(client) => {
            let mut found = client.lines::<OutputFile>(&Route::v1(["jobs", status.job.as_str(), "outputs"])).await?;
            while let Some(OutputFile { path, bytes, crc32, stage, item, href: _ }) = found.next().await? {
                print(&Line { path, bytes, crc32, stage, item }, console)?;
            }
        }
    }
    Ok(())
}

fn print(line: &Line, console: Console) -> Outcome<()> {
    match console.json {
        true => console.line(line),
        false => answer(|out| writeln!(out, "{:>14}  {}", line.bytes, line.path)),
    }
}

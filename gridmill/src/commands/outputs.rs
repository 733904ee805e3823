//! `gridmill outputs`: what a job has written, and where; or all of it once more, elsewhere.

use std::path::PathBuf;

use grid_core::ids::StageName;
use job_manager::view::JobView;
use job_manager::view::outputs::{Walk, delivered_stages};
use serde::Serialize;

use crate::cli::OutputsArgs;
use crate::console::{Console, answer};
use crate::deliver::{self, Memory, OutFolder};
use crate::exit::{Exit, Outcome};
use crate::{local, report};

/// A line of `gridmill outputs --json`.
#[derive(Serialize)]
struct Line<'a> {
    /// Relative to the output folder.
    path: PathBuf,
    bytes: u64,
    stage: &'a StageName,
    /// The item's place in its stage; of the first one, where items share a file.
    item: u32,
}

/// Lists outputs, or delivers them again.
pub fn outputs(args: &OutputsArgs, console: Console) -> Outcome {
    let grid = local::open(&args.state.state)?;
    let out = args.out.as_deref().map(OutFolder::open).transpose()?;
    local::runtime()?.block_on(async {
        let view = local::job(&grid, args.job.as_deref()).await?;
        if !view.status.state.is_final() {
            console.warn(format!("job {} has not ended: what is committed so far is taken", view.id()));
        }
        match out {
            None => list(&view, console).await?,
            Some(out) => {
                let done = deliver::deliver(&view, &out, Memory::None, console).await?;
                match console.json {
                    true => console.document(&done)?,
                    false => console.say(report::delivered(&done)),
                }
            }
        }
        Ok(Exit::Done)
    })
}

async fn list(view: &JobView, console: Console) -> Outcome<()> {
    for stage in delivered_stages(view) {
        let mut walk = Walk::new(view, stage).await?;
        // Items that share a file are one line.
        let mut shared: Option<Line<'_>> = None;
        while let Some(parts) = walk.next().await? {
            for part in parts {
                let bytes = part.piece.as_ref().map_or(0, |piece| piece.len);
                match &mut shared {
                    Some(line) if part.appends => line.bytes += bytes,
                    _ => {
                        let line = Line { path: part.path, bytes, stage: &stage.name, item: part.item };
                        if part.appends { shared = Some(line) } else { print(&line, console)? }
                    }
                }
            }
        }
        if let Some(line) = shared {
            print(&line, console)?;
        }
    }
    Ok(())
}

fn print(line: &Line<'_>, console: Console) -> Outcome<()> {
    match console.json {
        true => console.line(line),
        false => answer(|out| writeln!(out, "{:>14}  {}", line.bytes, line.path.display())),
    }
}

//! `gridmill logs`: what commands wrote to standard error.

use std::io::Write;

use job_manager::view::{self, ItemLog, JobView, Logs, NoSuchJob};

use crate::cli::LogsArgs;
use crate::console::{Console, answer};
use crate::exit::{Exit, Outcome};
use crate::local;

/// Prints the logs of a job, a stage, or an item.
pub fn logs(args: &LogsArgs, console: Console) -> Outcome {
    let grid = local::open(&args.state.state)?;
    local::runtime()?.block_on(async {
        let (view, place) = meant(&grid, &args.words).await?;
        let (stages, item) = match place.as_deref().map(local::stage_and_item) {
            None => (view.status.stages.iter().map(|stage| stage.name.clone()).collect(), None),
            Some((stage, None)) => (vec![local::known_stage(&view.status, stage)?], None),
            Some((stage, Some(item))) => {
                let stage = local::known_stage(&view.status, stage)?;
                let index = local::find_item(&view, &stage, item).await?;
                (vec![stage], Some(index))
            }
        };
        let mut found = false;
        for stage in stages {
            let mut logs = Logs::new(&view, stage, item);
            while let Some(log) = logs.next().await? {
                found = true;
                match console.json {
                    true => console.line(&log)?,
                    false => print(&log)?,
                }
            }
        }
        if !found {
            console.say("nothing was written to standard error");
        }
        Ok(Exit::Done)
    })
}

/// `[JOB] [STAGE[/ITEM]]`: one word alone is a stage (and item) of the newest job if that has such a stage, else a job.
async fn meant(grid: &infra::Grid, words: &[String]) -> Outcome<(JobView, Option<String>)> {
    match words {
        [] => Ok((local::job(grid, None).await?, None)),
        [word] => {
            let newest = local::job(grid, None).await?;
            let (stage, _) = local::stage_and_item(word);
            let no_stage = match local::known_stage(&newest.status, stage) {
                Ok(_) => return Ok((newest, Some(word.clone()))),
                Err(fault) => fault,
            };
            match view::choose(&view::all_jobs(grid).await?, word) {
                Err(NoSuchJob::Unknown(_)) => {
                    Err(no_stage.help("no job has such an id either: `gridmill list` shows all"))
                }
                _ => Ok((local::job(grid, Some(word)).await?, None)),
            }
        }
        [job, place, ..] => Ok((local::job(grid, Some(job)).await?, Some(place.clone()))),
    }
}

/// The bytes as they were, below a line that says whose they are.
fn print(log: &ItemLog) -> Outcome<()> {
    answer(|out| {
        writeln!(out, "==> {}/{} (#{}, attempt {}) <==", log.stage, log.item, log.index, log.attempt)?;
        write_ended(out, &log.head)?;
        if log.dropped_bytes > 0 {
            writeln!(out, "[.. {} bytes were not kept ..]", log.dropped_bytes)?;
        }
        write_ended(out, &log.tail)
    })
}

fn write_ended(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes())?;
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { writeln!(out) }
}

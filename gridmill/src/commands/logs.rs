//! `gridmill logs`: what commands wrote to standard error.

use std::io::Write;

use grid_api::{JobStatus, LogEntry};
use job_manager::view::NoSuchJob;

use crate::cli::LogsArgs;
use crate::console::{Console, answer};
use crate::exit::{Exit, Outcome};
use crate::local;
use crate::place::{Place, Whose};

/// Prints the logs of a job, a stage, or an item.
pub fn logs(args: &LogsArgs, console: Console) -> Outcome {
    let place = Place::open(&args.place)?;
    local::runtime()?.block_on(async {
        let (status, whose) = meant(&place, &args.words).await?;
        let mut found = false;
        let visit = |entry: LogEntry| {
            found = true;
            print(&entry, console)
        };
        match args.follow {
            true => place.each_log_to_come(&status, &whose, visit).await?,
            false => place.each_log(&status, &whose, visit).await?,
        }
        if !found {
            console.say("nothing was written to standard error");
        }
        Ok(Exit::Done)
    })
}

/// `[JOB] [STAGE[/ITEM]]`: one word alone is a stage (and item) of the newest job if that has such a stage, else a job.
async fn meant(place: &Place, words: &[String]) -> Outcome<(JobStatus, Whose)> {
    let (job, of_it) = match words {
        [] => (None, None),
        [word] => {
            let newest = place.chosen(None).await?;
            let no_stage = match whose(&newest, word) {
                Ok(whose) => return Ok((newest, whose)),
                Err(fault) => fault,
            };
            if let Err(NoSuchJob::Unknown(_)) = place.look_up(Some(word)).await? {
                return Err(no_stage.help("no job has such an id either: `gridmill list` shows all"));
            }
            (Some(word.as_str()), None)
        }
        [job, of_it, ..] => (Some(job.as_str()), Some(of_it)),
    };
    let status = place.chosen(job).await?;
    let whose = of_it.map_or(Ok(Whose::All), |text| whose(&status, text))?;
    Ok((status, whose))
}

/// `STAGE[/ITEM]`.
fn whose(status: &JobStatus, text: &str) -> Outcome<Whose> {
    let (stage, item) = local::stage_and_item(text);
    let stage = local::known_stage(status, stage)?;
    Ok(match item {
        Some(item) => Whose::Item(stage, item.to_owned()),
        None => Whose::Stage(stage),
    })
}

fn print(entry: &LogEntry, console: Console) -> Outcome<()> {
    match console.json {
        true => console.line(entry),
        false => text(entry),
    }
}

/// The bytes as they were, below a line that says whose they are.
fn text(entry: &LogEntry) -> Outcome<()> {
    answer(|out| {
        writeln!(out, "==> {}/{} (#{}, attempt {}) <==", entry.stage, entry.item, entry.index, entry.attempt)?;
        write_ended(out, &entry.head)?;
        if entry.dropped_bytes > 0 {
            writeln!(out, "[.. {} bytes were not kept ..]", entry.dropped_bytes)?;
        }
        write_ended(out, &entry.tail)
    })
}

fn write_ended(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes())?;
    if text.is_empty() || text.ends_with('\n') { Ok(()) } else { writeln!(out) }
}

//! `gridmill dead`: the items that were given up on, with their reasons, or their input.

use std::ops::ControlFlow;

use grid_api::{DeadLetter, JobStatus};
use grid_core::ids::StageName;
use job_manager::view::JobView;

use crate::cli::DeadArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Fault, Outcome};
use crate::place::Place;
use crate::text::harmless;
use crate::{item_input, local};

/// Lines of a table before it is shown: wide enough for columns to fit, small enough for memory.
const PAGE: usize = 1_000;

/// Lists dead letters.
pub fn dead(args: &DeadArgs, console: Console) -> Outcome {
    let place = Place::open(&args.job.place)?;
    local::runtime()?.block_on(async {
        let status = place.chosen(args.job.job.as_deref()).await?;
        let only = args.stage.as_deref().map(|name| local::known_stage(&status, name)).transpose()?;
        if args.input {
            return print_inputs(&place, &status, only).await;
        }
        let mut page = Vec::new();
        let mut found = false;
        let visited = place.each_dead(&status, only.as_ref(), |letter| {
            found = true;
            match console.json {
                true => console.line(&letter)?,
                false => page.push(row(&letter)),
            }
            if page.len() == PAGE {
                show(console, std::mem::take(&mut page))?;
            }
            Ok(ControlFlow::Continue(()))
        });
        visited.await?;
        if !page.is_empty() {
            show(console, page)?;
        }
        if !found {
            console.say(format!("job {} has no dead letters", status.job));
        }
        Ok(Exit::Done)
    })
}

/// Prints the input of dead items, as bytes.
async fn print_inputs(place: &Place, status: &JobStatus, only: Option<StageName>) -> Outcome {
    let Place::Here(here) = place else {
        let help = "`gridmill dead --json` says where each of them lies";
        return Err(Fault::usage("the inputs of items are printed from a state folder only").help(help));
    };
    let view = JobView::open(&here.grid, &status.job).await?;
    let stages = only.map_or_else(|| status.stages.iter().map(|stage| stage.name.clone()).collect(), |only| vec![only]);
    for stage in stages {
        let mut letters = view.dead_letters(&stage);
        while let Some(letter) = letters.next().await? {
            let read = item_input::copy_to_stdout(&here.grid, &view, &letter.stage, letter.index).await;
            read.map_err(|fault| fault.while_doing(format!("the input of {stage}/{} cannot be had", letter.item)))?;
        }
    }
    Ok(Exit::Done)
}

fn show(console: Console, rows: Vec<Vec<String>>) -> Outcome<()> {
    let columns = [
        Column::Text("stage"),
        Column::Text("item"),
        Column::Number("index"),
        Column::Text("reason"),
        Column::Text("ended"),
        Column::Number("attempt"),
        Column::Text("message"),
    ];
    console.text(&table(&columns, rows))
}

fn row(letter: &DeadLetter) -> Vec<String> {
    let failure = &letter.failure;
    let ended = match (failure.exit, failure.signal) {
        (Some(exit), _) => format!("exit {exit}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "-".to_owned(),
    };
    vec![
        letter.stage.to_string(),
        letter.item.clone(),
        letter.index.to_string(),
        failure.reason.to_string(),
        ended,
        letter.attempt.to_string(),
        harmless(&failure.message).replace('\n', " "),
    ]
}

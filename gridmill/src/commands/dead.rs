//! `gridmill dead`: the items that were given up on, with their reasons, or their input.

use grid_api::DeadLetter;
use grid_core::ids::StageName;
use infra::Grid;
use job_manager::view::JobView;

use crate::cli::DeadArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Fault, Outcome};
use crate::text::harmless;
use crate::{item_input, local};

/// Lines of a table before it is shown: wide enough for columns to fit, small enough for memory.
const PAGE: usize = 1_000;

/// Lists dead letters.
pub fn dead(args: &DeadArgs, console: Console) -> Outcome {
    let grid = local::open(&args.job.state.state)?;
    local::runtime()?.block_on(async {
        let view = local::job(&grid, args.job.job.as_deref()).await?;
        let mut found = false;
        let mut page = Vec::new();
        for stage in stages(&view, args.stage.as_deref())? {
            let mut letters = view.dead_letters(&stage);
            while let Some(letter) = letters.next().await? {
                found = true;
                match (args.input, console.json) {
                    (true, _) => print_input(&grid, &view, &letter).await?,
                    (false, true) => console.line(&letter)?,
                    (false, false) => page.push(row(&letter)),
                }
                if page.len() == PAGE {
                    show(console, std::mem::take(&mut page))?;
                }
            }
        }
        if !page.is_empty() {
            show(console, page)?;
        }
        if !found {
            console.say(format!("job {} has no dead letters", view.id()));
        }
        Ok(Exit::Done)
    })
}

fn stages(view: &JobView, only: Option<&str>) -> Outcome<Vec<StageName>> {
    match only {
        Some(name) => Ok(vec![local::known_stage(view, name)?]),
        None => Ok(view.status.stages.iter().map(|stage| stage.name.clone()).collect()),
    }
}

async fn print_input(grid: &Grid, view: &JobView, letter: &DeadLetter) -> Outcome<()> {
    let read = item_input::copy_to_stdout(grid, view, &letter.stage, letter.index).await;
    read.map_err(|fault: Fault| {
        fault.while_doing(format!("the input of {}/{} cannot be had", letter.stage, letter.item))
    })
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

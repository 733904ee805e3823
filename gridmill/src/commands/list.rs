//! `gridmill list`.

use grid_api::JobStatus;
use job_manager::view::{self, JobView};

use crate::cli::StateArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Outcome};
use crate::progress::meter::ended;
use crate::runner::Runner;
use crate::{local, text};

/// Jobs shown in a table; `--json` has all of them.
const SHOWN: usize = 20;

/// Lists the jobs in the state folder, the newest first.
pub fn list(args: &StateArgs, console: Console) -> Outcome {
    let grid = local::open(&args.state)?;
    let runner = Runner::of(&args.state);
    local::runtime()?.block_on(async {
        let jobs = view::all_jobs(&grid).await?;
        let mut rows = Vec::new();
        for head in jobs.iter().rev().take(if console.json { usize::MAX } else { SHOWN }) {
            let status = JobView::open(&grid, &head.job).await?.status;
            match console.json {
                true => console.line(&status)?,
                false => rows.push(row(&status, runner)),
            }
        }
        if !console.json {
            let columns = [
                Column::Text("job"),
                Column::Text("pipeline"),
                Column::Text("state"),
                Column::Number("items"),
                Column::Number("dead"),
                Column::Text("submitted"),
            ];
            console.text(&table(&columns, rows))?;
        }
        if !console.json && jobs.len() > SHOWN {
            console.say(format!("and {} older ones: gridmill list --json", jobs.len() - SHOWN));
        }
        Ok(Exit::Done)
    })
}

fn row(status: &JobStatus, runner: Runner) -> Vec<String> {
    let (items, done) =
        status.stages.iter().fold((0, 0), |(items, done), stage| (items + stage.items, done + ended(stage)));
    vec![
        status.job.to_string(),
        status.pipeline.clone(),
        runner.state_words(status.state).to_owned(),
        format!("{}/{}", text::count(done), text::count(items)),
        text::count(status.stages.iter().map(|stage| stage.dead).sum()),
        status.submitted.clone(),
    ]
}

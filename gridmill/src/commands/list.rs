//! `gridmill list`.

use grid_api::JobStatus;

use crate::cli::ListArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Outcome};
use crate::place::Place;
use crate::progress::meter::ended;
use crate::runner::Runner;
use crate::{local, text};

/// Jobs shown in a table unless the user says otherwise; `--json` has all of them.
const SHOWN: usize = 20;

/// Lists jobs, the newest first.
pub fn list(args: &ListArgs, console: Console) -> Outcome {
    let place = Place::open(&args.place)?;
    let most = args.limit.unwrap_or(if console.json { usize::MAX } else { SHOWN });
    local::runtime()?.block_on(async {
        let runner = place.runner();
        // One more than is shown tells that there are more.
        let jobs = place.newest(args.only, most.saturating_add(1)).await?;
        if console.json {
            jobs.iter().take(most).try_for_each(|status| console.line(status))?;
            return Ok(Exit::Done);
        }
        let columns = [
            Column::Text("job"),
            Column::Text("pipeline"),
            Column::Text("state"),
            Column::Number("items"),
            Column::Number("dead"),
            Column::Text("submitted"),
        ];
        console.text(&table(&columns, jobs.iter().take(most).map(|status| row(status, runner))))?;
        if jobs.len() > most {
            console.say("and older ones: --limit N shows more, --json all of them");
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

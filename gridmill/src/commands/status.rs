//! `gridmill status`.

use grid_api::{JobStatus, StageStatus};

use crate::cli::StatusArgs;
use crate::console::{Column, Console, table};
use crate::exit::{Exit, Outcome};
use crate::place::Place;
use crate::progress::meter::{complete, ended};
use crate::runner::{INTERRUPTED, Runner};
use crate::text::{bytes, count, seconds};
use crate::watch::Watched;
use crate::{local, watch};

/// Shows where a job stands. The exit code is that of the question; with `--watch` that of the job.
pub fn status(args: &StatusArgs, console: Console) -> Outcome {
    let place = Place::open(&args.job.place)?;
    local::runtime()?.block_on(async {
        let mut status = place.chosen(args.job.job.as_deref()).await?;
        let mut exit = Exit::Done;
        if args.watch {
            match watch::watch(&place, &status.job, console).await? {
                Watched::Ended(ended) => (exit, status) = (Exit::of_job(&ended), ended),
                Watched::Interrupted => return Ok(Exit::Interrupted),
            }
        }
        match console.json {
            true => console.document(&status)?,
            false => console.text(&shown(&status, place.runner()))?,
        }
        Ok(exit)
    })
}

fn shown(status: &JobStatus, runner: Runner) -> String {
    let standing = runner.state_words(status.state);
    let remedy = if standing == INTERRUPTED { "; run the same command again to resume" } else { "" };
    let mut lines = vec![format!("job {} ({}): {standing}{remedy}", status.job, status.pipeline)];
    lines.extend(status.message.clone());
    let finished = status.finished.as_ref().map(|finished| format!(", finished {finished}"));
    lines.push(format!("submitted {}{}", status.submitted, finished.unwrap_or_default()));
    lines.push(String::new());
    let columns = [
        Column::Text("stage"),
        Column::Text("state"),
        Column::Number("items"),
        Column::Number("ok"),
        Column::Number("reused"),
        Column::Number("skipped"),
        Column::Number("dead"),
        Column::Number("running"),
        Column::Number("read"),
        Column::Number("written"),
        Column::Number("busy"),
        Column::Text("failures"),
    ];
    lines.push(table(&columns, status.stages.iter().map(row)));
    lines.join("\n")
}

fn row(stage: &StageStatus) -> Vec<String> {
    let failures: Vec<String> = stage.failures.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    vec![
        stage.name.to_string(),
        standing(stage).to_owned(),
        if stage.planned { count(stage.items) } else { format!("{}+", count(stage.items)) },
        count(stage.ok),
        count(stage.reused),
        count(stage.skipped),
        count(stage.dead),
        count(stage.running),
        bytes(stage.bytes_in),
        bytes(stage.bytes_out),
        seconds(stage.busy_secs),
        failures.join(", "),
    ]
}

fn standing(stage: &StageStatus) -> &'static str {
    match stage {
        stage if stage.failed => "failed",
        stage if complete(stage) => "done",
        stage if stage.running > 0 => "running",
        stage if ended(stage) > 0 => "begun",
        _ => "waiting",
    }
}

#[cfg(test)]
mod tests {
    use grid_api::JobState;
    use grid_core::reason::Reason;

    use super::*;
    use crate::progress::tests::{job, stage};

    #[test]
    fn a_job_is_shown_stage_by_stage() {
        let mut clean = stage("clean", 4_000);
        (clean.ok, clean.dead, clean.running, clean.planned) = (1_000, 2, 8, false);
        clean.failures.insert(Reason::Exit, 3);
        let report = stage("report", 0);
        let mut sent = stage("sent", 1);
        (sent.dead, sent.failed) = (1, true);
        let text = shown(&job(vec![clean, report, sent]), Runner::Here);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["job", "0190", "(p):", "running"]);
        assert_eq!(lines[4][..8], ["clean", "running", "4,000+", "1,000", "0", "0", "2", "8"]);
        assert_eq!(lines[4][13..], ["3", "exit"], "{text}");
        assert_eq!(lines[5][..3], ["report", "done", "0"]);
        assert_eq!(lines[6][..3], ["sent", "failed", "1"]);
    }

    #[test]
    fn a_job_that_nobody_runs_is_not_called_running() {
        let first = |job: &JobStatus, runner| shown(job, runner).lines().next().map(str::to_owned);
        let mut left = job(vec![stage("a", 1)]);
        let words = "job 0190 (p): interrupted; run the same command again to resume";
        assert_eq!(first(&left, Runner::Gone).as_deref(), Some(words));
        left.state = JobState::Succeeded;
        assert_eq!(first(&left, Runner::Gone).as_deref(), Some("job 0190 (p): succeeded"));
    }
}

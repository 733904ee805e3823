//! `gridmill why`: the story of one item.

use grid_core::identity::stage_identities;
use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::reason::Failure;
use grid_core::wire::Manifest;
use infra::Grid;
use infra::outputs::Committed;
use job_manager::view::{self, Fate, JobView};
use serde::Serialize;

use crate::cli::ItemArgs;
use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::local;
use crate::text::{bytes, harmless};

/// Longest value of an identity's field that is shown.
const SHOWN_VALUE: usize = 200;

/// The answer of `gridmill why --json`.
#[derive(Debug, PartialEq, Serialize)]
struct Story {
    job: JobId,
    stage: StageName,
    item: String,
    index: ItemIndex,
    outcome: &'static str,
    attempts: Vec<Attempt>,
    reuse: Reuse,
}

/// One attempt at the item.
#[derive(Debug, PartialEq, Serialize)]
struct Attempt {
    attempt: u32,
    worker: String,
    started: String,
    /// The items that were in its task.
    task_items: u32,
    #[serde(flatten)]
    end: End,
}

/// How an attempt ended for the item.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
enum End {
    /// Its results count.
    Committed {
        /// Bytes on standard output.
        stdout_bytes: u64,
        /// Files that it left.
        files: usize,
    },
    /// It failed.
    Failed {
        /// Items that failed with it, where the blame is not known.
        together: u32,
        /// Why.
        #[serde(flatten)]
        failure: Failure,
    },
    /// It was handed back before it was run, or was stopped.
    HandedBack,
}

/// Whether the results are those of an earlier job, and why not.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
enum Reuse {
    /// They are.
    Taken {
        /// Whose.
        from: JobId,
    },
    /// The stage says `cache: false`.
    Off,
    /// No earlier job of this pipeline is known here.
    NoEarlierJob,
    /// The stage was another one then.
    StageDiffers {
        /// The earlier job.
        from: JobId,
        /// The first part that differs.
        field: String,
        /// What it is now.
        now: String,
        /// What it was.
        then: String,
    },
    /// The stage was the same, but had no result for such an item: its key or its content is new, or it had failed.
    ItemIsNew {
        /// The earlier job.
        from: JobId,
    },
}

/// Tells the story of an item.
pub fn why(args: &ItemArgs, console: Console) -> Outcome {
    let grid = local::open(&args.state.state)?;
    let story = local::runtime()?.block_on(async {
        let (view, stage, item) = local::item(&grid, &args.words).await?;
        story(&grid, &view, &stage, item).await
    })?;
    match console.json {
        true => console.document(&story)?,
        false => console.text(&told(&story))?,
    }
    Ok(Exit::Done)
}

async fn story(grid: &Grid, view: &JobView, stage: &StageName, item: ItemIndex) -> Outcome<Story> {
    let attempts = view.attempts(stage, item).await?;
    let key = view.keys(stage, item, 1).await?.pop().unwrap_or_default();
    let reused = attempts.iter().find(|attempt| attempt.holds(item)).and_then(|held| held.manifest.reused_from.clone());
    let reuse = match reused {
        Some(from) => Reuse::Taken { from },
        None => not_reused(grid, view, stage).await?,
    };
    Ok(Story {
        job: view.id().clone(),
        stage: stage.clone(),
        item: key.name(),
        index: item,
        outcome: outcome(view.fate(stage, item)),
        // What the manager has written takes results from an earlier job; nothing was executed.
        attempts: attempts.iter().filter(|it| it.manifest.reused_from.is_none()).map(|it| told_of(it, item)).collect(),
        reuse,
    })
}

fn outcome(fate: Fate) -> &'static str {
    match fate {
        Fate::Committed => "committed",
        Fate::Dead => "dead: it was given up on",
        Fate::Skipped => "skipped: a rule left it out, or what it needs was left out or is dead",
        Fate::Out => "in work, or waiting to be tried again",
        Fate::Waiting => "waiting for its turn, or for what it needs",
    }
}

fn told_of(attempt: &Committed, item: ItemIndex) -> Attempt {
    let manifest = &attempt.manifest;
    let started = i64::try_from(manifest.started_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    Attempt {
        attempt: manifest.attempt,
        worker: manifest.worker.to_string(),
        started: started.unwrap_or_default().to_string(),
        task_items: manifest.count,
        end: end_of(attempt, manifest, item),
    }
}

fn end_of(attempt: &Committed, manifest: &Manifest, item: ItemIndex) -> End {
    if attempt.holds(item) {
        let stdout_bytes = attempt.stdout(item).map_or(0, |piece| piece.len);
        return End::Committed { stdout_bytes, files: attempt.files(item).count() };
    }
    let is_it = |first: ItemIndex, count: u32| item.checked_sub(first).is_some_and(|place| place < count);
    match manifest.failed.iter().find(|failed| is_it(failed.first, failed.count)) {
        Some(failed) => End::Failed { together: failed.count, failure: failed.failure.clone() },
        None => End::HandedBack,
    }
}

/// Why an item was run although this pipeline was run before.
async fn not_reused(grid: &Grid, view: &JobView, stage: &StageName) -> Outcome<Reuse> {
    let pipeline = &view.submission.pipeline;
    if pipeline.stage(stage).is_some_and(|stage| !stage.cache) {
        return Ok(Reuse::Off);
    }
    let jobs = view::all_jobs(grid).await?;
    let earlier = jobs.iter().rev().find(|head| head.job < *view.id() && head.pipeline == pipeline.name);
    let Some(head) = earlier else { return Ok(Reuse::NoEarlierJob) };
    let before = view::submission(grid, &head.job).await?;
    let identity = |submission: &grid_core::submission::Submission| {
        let place = submission.pipeline.position(stage)?;
        stage_identities(submission).into_iter().nth(place)
    };
    let from = head.job.clone();
    let Some(now) = identity(&view.submission) else { return Ok(Reuse::NoEarlierJob) };
    let Some(then) = identity(&before) else {
        return Ok(Reuse::StageDiffers { from, field: "name".into(), now: stage.to_string(), then: String::new() });
    };
    Ok(match now.first_difference(&then) {
        Some((field, now, then)) => {
            Reuse::StageDiffers { from, field: field.to_owned(), now: now.to_owned(), then: then.to_owned() }
        }
        None => Reuse::ItemIsNew { from },
    })
}

fn told(story: &Story) -> String {
    let mut lines = vec![
        format!("{}/{} (#{} of job {})", story.stage, story.item, story.index, story.job),
        story.outcome.to_owned(),
    ];
    for attempt in &story.attempts {
        lines.push(String::new());
        let others = match attempt.task_items {
            1 => String::new(),
            items => format!(", in a task of {items} items"),
        };
        lines.push(format!("attempt {} at {} on {}{others}", attempt.attempt, attempt.started, attempt.worker));
        lines.extend(end_words(&attempt.end));
    }
    lines.push(String::new());
    lines.push(reuse_words(&story.reuse));
    lines.join("\n")
}

fn end_words(end: &End) -> Vec<String> {
    match end {
        End::Committed { stdout_bytes, files: 0 } => vec![format!("  committed, {} on stdout", bytes(*stdout_bytes))],
        End::Committed { stdout_bytes, files } => {
            vec![format!("  committed, {} on stdout, {files} files", bytes(*stdout_bytes))]
        }
        End::Failed { together, failure } => {
            let blame = match together {
                1 => String::new(),
                items => format!(" (with {} others: which of them is to blame was not known yet)", items - 1),
            };
            let mut lines = vec![format!("  failed, reason {}: {}{blame}", failure.reason, harmless(&failure.message))];
            lines.extend(failure.stderr.lines().map(|line| format!("  | {}", harmless(line))));
            lines
        }
        End::HandedBack => vec!["  handed back before it was done".to_owned()],
    }
}

fn reuse_words(reuse: &Reuse) -> String {
    match reuse {
        Reuse::Taken { from } => {
            format!("its results were taken from job {from}: everything that they depend on is the same")
        }
        Reuse::Off => "not taken from an earlier job: the stage says `cache: false`".to_owned(),
        Reuse::NoEarlierJob => "not taken from an earlier job: there is none of this pipeline".to_owned(),
        Reuse::StageDiffers { from, field, now, then } => {
            format!(
                "not taken from job {from}: `{field}` differs\n  now:  {}\n  then: {}",
                shortened(now),
                shortened(then)
            )
        }
        Reuse::ItemIsNew { from } => {
            format!("not taken from job {from}: that had no result for an item of this key and content")
        }
    }
}

fn shortened(value: &str) -> String {
    let value = harmless(value);
    match value.char_indices().nth(SHOWN_VALUE) {
        None => value,
        Some((end, _)) => format!("{}..", &value[..end]),
    }
}

#[cfg(test)]
mod tests {
    use grid_core::reason::Reason;

    use super::*;

    #[test]
    fn a_story_is_told_attempt_by_attempt() {
        let failure = Failure { stderr: "no such claim\n".into(), ..Failure::new(Reason::Exit, "exit status 3") };
        let attempt = |attempt, task_items, end| Attempt {
            attempt,
            worker: "w".into(),
            started: "2026-01-01T00:00:00Z".into(),
            task_items,
            end,
        };
        let story = Story {
            job: JobId::new("0190"),
            stage: StageName::new("clean"),
            item: "7".into(),
            index: 7,
            outcome: outcome(Fate::Dead),
            attempts: vec![
                attempt(1, 8, End::Failed { together: 8, failure: failure.clone() }),
                attempt(2, 4, End::HandedBack),
                attempt(3, 1, End::Failed { together: 1, failure }),
            ],
            reuse: Reuse::StageDiffers {
                from: JobId::new("0180"),
                field: "run".into(),
                now: "./b".into(),
                then: "./a".into(),
            },
        };
        let expected = "\
clean/7 (#7 of job 0190)
dead: it was given up on

attempt 1 at 2026-01-01T00:00:00Z on w, in a task of 8 items
  failed, reason exit: exit status 3 (with 7 others: which of them is to blame was not known yet)
  | no such claim

attempt 2 at 2026-01-01T00:00:00Z on w, in a task of 4 items
  handed back before it was done

attempt 3 at 2026-01-01T00:00:00Z on w
  failed, reason exit: exit status 3
  | no such claim

not taken from job 0180: `run` differs
  now:  ./b
  then: ./a";
        assert_eq!(told(&story), expected);
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(shortened(&"é".repeat(SHOWN_VALUE + 1)), format!("{}..", "é".repeat(SHOWN_VALUE)));
    }
}

//! What is known of one item, gathered.

use grid_core::identity::stage_identities;
use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::reason::Failure;
use grid_core::submission::Submission;
use grid_core::wire::Manifest;
use infra::Grid;
use infra::outputs::Committed;
use job_manager::view::{self, Fate, JobView};
use serde::Serialize;

use crate::exit::Outcome;

/// The answer of `gridmill why --json`.
#[derive(Debug, PartialEq, Serialize)]
pub struct Story {
    /// The job.
    pub job: JobId,
    /// The stage.
    pub stage: StageName,
    /// The item's name.
    pub item: String,
    /// Its place in the stage.
    pub index: ItemIndex,
    /// What became of it.
    pub outcome: &'static str,
    /// Its attempts, ascending.
    pub attempts: Vec<Attempt>,
    /// Whether its results are those of an earlier job.
    pub reuse: Reuse,
}

/// One attempt at the item.
#[derive(Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The try, from 1.
    pub attempt: u32,
    /// Who executed it.
    pub worker: String,
    /// RFC 3339.
    pub started: String,
    /// The items that were in its task.
    pub task_items: u32,
    /// How it ended for the item.
    #[serde(flatten)]
    pub end: End,
}

/// How an attempt ended for the item.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum End {
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
pub enum Reuse {
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

/// Gathers the story of an item.
pub async fn story(grid: &Grid, view: &JobView, stage: &StageName, item: ItemIndex) -> Outcome<Story> {
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

/// What became of an item, in words.
pub fn outcome(fate: Fate) -> &'static str {
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
    let identity = |submission: &Submission| {
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

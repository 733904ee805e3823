//! What is known of one item, gathered.

use grid_api::{Attempt, AttemptEnd, Reuse, Story};
use grid_core::identity::stage_identities;
use grid_core::ids::{ItemIndex, StageName};
use grid_core::submission::Submission;
use grid_core::wire::Manifest;
use infra::Grid;
use infra::outputs::Committed;

use super::{Fate, JobView, waits};
use crate::ManagerError;
use crate::finish::rfc3339;
use crate::reuse::earlier_jobs;
use crate::table::read_submission;

/// Gathers the story of an item.
pub async fn story(grid: &Grid, view: &JobView, stage: &StageName, item: ItemIndex) -> Result<Story, ManagerError> {
    let attempts = view.attempts(stage, item).await?;
    let key = view.keys(stage, item, 1).await?.pop().unwrap_or_default();
    let reused = attempts.iter().find(|attempt| attempt.holds(item)).and_then(|held| held.manifest.reused_from.clone());
    let reuse = match reused {
        Some(from) => Reuse::Taken { from },
        None => not_reused(grid, view, stage).await?,
    };
    let fate = view.fates(stage).of(item);
    let waits = if fate == Fate::Waiting { waits::of(grid, &view.submission).await? } else { None };
    Ok(Story {
        job: view.id().clone(),
        stage: stage.clone(),
        item: key.name(),
        index: item,
        outcome: outcome(fate, view.is_copied(stage, item)).to_owned(),
        waits,
        // What the manager has written takes results from an earlier job; nothing was executed.
        attempts: attempts.iter().filter(|it| it.manifest.reused_from.is_none()).map(|it| told_of(it, item)).collect(),
        reuse,
    })
}

/// What became of an item, in words. Whether its task was copied tells more of one that is out.
pub fn outcome(fate: Fate, is_copied: bool) -> &'static str {
    match fate {
        Fate::Committed => "committed",
        Fate::Dead => "dead: it was given up on",
        Fate::Skipped => "skipped: a rule left it out, or what it needs was left out or is dead",
        Fate::Out if is_copied => {
            "in work, twice: its task is far slower than others of its stage, and a copy of it was started elsewhere"
        }
        Fate::Out => "in work, or waiting to be tried again",
        Fate::Waiting => "waiting for its turn, or for what it needs",
    }
}

fn told_of(attempt: &Committed, item: ItemIndex) -> Attempt {
    let manifest = &attempt.manifest;
    Attempt {
        attempt: manifest.attempt,
        worker: manifest.worker.to_string(),
        started: rfc3339(manifest.started_ms),
        task_items: manifest.count,
        is_copy: manifest.copy > 0,
        end: end_of(attempt, manifest, item),
    }
}

fn end_of(attempt: &Committed, manifest: &Manifest, item: ItemIndex) -> AttemptEnd {
    if attempt.holds(item) {
        let stdout_bytes = attempt.stdout(item).map_or(0, |piece| piece.len);
        return AttemptEnd::Committed { stdout_bytes, files: attempt.files(item).count() as u64 };
    }
    match manifest.failure_of(item) {
        Some(failed) => AttemptEnd::Failed { together: failed.count, failure: failed.failure.clone() },
        None => AttemptEnd::HandedBack,
    }
}

/// Why an item was run although this pipeline was run before.
async fn not_reused(grid: &Grid, view: &JobView, stage: &StageName) -> Result<Reuse, ManagerError> {
    let pipeline = &view.submission.pipeline;
    if pipeline.stage(stage).is_some_and(|stage| !stage.cache) {
        return Ok(Reuse::Off);
    }
    let Some(from) = earlier_jobs(grid, &view.submission).await?.into_iter().next() else {
        return Ok(Reuse::NoEarlierJob);
    };
    let before = read_submission(grid, &from).await?;
    let identity = |submission: &Submission| {
        let place = submission.pipeline.position(stage)?;
        stage_identities(submission).into_iter().nth(place)
    };
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

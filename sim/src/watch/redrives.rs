//! Redrives: what runs again is what was meant (S17).

use grid_core::ids::{ItemIndex, JobId, StageName};
use grid_core::job::{Job, JobState, Redrive};
use grid_core::pipeline::{ItemSource, Stage};
use grid_core::reason::Reason;

use super::Watch;

impl Watch {
    /// A wish that items run again was fulfilled: those run that were meant, and no others. What something may have been made without
    /// need not.
    pub(super) fn check_redrive(&mut self, id: &JobId, before: Option<&Job>, now: &Job, wish: &Redrive) {
        let mut faults = Vec::new();
        let is_fulfilled = now.wished_redrive().is_none() && now.state() == JobState::Running;
        for stage in &now.submission().pipeline.stages {
            let is_meant = |item: &ItemIndex| {
                let reason = self.last_failure(id, &stage.name, *item).and_then(|last| last.failure_of(*item));
                let reason = reason.map(|failed| failed.failure.reason);
                wish.filter.as_ref().is_none_or(|filter| means(&filter.to_string(), &stage.name, reason))
            };
            let (was, dead) = (before.map(|job| job.dead(&stage.name)).unwrap_or_default(), now.dead(&stage.name));
            let unmeant = was.iter().filter(|item| !dead.contains(item)).find(|item| !is_meant(item));
            faults.extend(unmeant.map(|item| format!("item {item} of {} runs again, and was not meant", stage.name)));
            // What was out when the round before was stopped may have ended since.
            let at_wish = self.jobs.get(id).and_then(|seen| seen.dead_at_wish.get(&stage.name)).into_iter().flatten();
            if is_fulfilled && !is_gathered(now, &stage.name) {
                let left = at_wish.filter(|item| dead.contains(item)).find(|item| is_meant(item));
                faults.extend(left.map(|item| format!("item {item} of {} was to run again", stage.name)));
            }
        }
        faults.into_iter().for_each(|what| self.violated("S17", what));
    }
}

/// What the filters mean that people use here.
fn means(filter: &str, stage: &StageName, reason: Option<Reason>) -> bool {
    match filter.split_once('=') {
        Some(("stage", name)) => stage.as_str() == name,
        Some(("reason", name)) => reason.is_some_and(|reason| serde_json::json!(reason) == name),
        Some(_) | None => false,
    }
}

/// Whether something puts together what a stage makes, directly or through others.
fn is_gathered(job: &Job, stage: &StageName) -> bool {
    let stages = &job.submission().pipeline.stages;
    let gathers = |stage: &Stage| matches!(stage.items, ItemSource::Group { .. } | ItemSource::All { .. });
    let is_own = stages.iter().any(|own| own.name == *stage && gathers(own));
    let mut readers = stages.iter().filter(|reader| reader.items.upstream().contains(stage));
    is_own || readers.any(|reader| is_gathered(job, &reader.name))
}

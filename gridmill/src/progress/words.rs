//! What is said of a stage, in one line: beside its bar, or alone where there are no bars.

use grid_api::{JobState, JobStatus, StageStatus};

use super::meter::{Pace, complete, ended};
use crate::text;

/// `1,204/4,000 items · 31/s · 12.4 MiB/s · eta 1m30s · 2 dead`; what is nought or not known is left out.
pub fn stage_words(stage: &StageStatus, pace: Pace) -> String {
    let total = if stage.planned { text::count(stage.items) } else { format!("{}+", text::count(stage.items)) };
    let mut words = vec![format!("{}/{total} items", text::count(ended(stage)))];
    let moving = !complete(stage);
    if moving && pace.items > 0.0 {
        words.push(text::rate(pace.items));
    }
    if moving && pace.bytes >= 1.0 {
        words.push(text::bytes_rate(pace.bytes));
    }
    words.extend(pace.left.filter(|_| moving).map(|left| format!("eta {}", text::duration(left))));
    let trouble = [(stage.reused, "reused"), (stage.skipped, "skipped"), (stage.dead, "dead")];
    words.extend(trouble.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", text::count(*n))));
    let repaired = stage.failures.values().sum::<u64>().saturating_sub(stage.dead);
    if repaired > 0 {
        words.push(format!("{} retried", text::count(repaired)));
    }
    words.join(" · ")
}

/// One line for the whole job: the stages that are being worked on.
pub fn job_words(status: &JobStatus, paces: &[Pace]) -> String {
    let active: Vec<String> = status
        .stages
        .iter()
        .zip(paces)
        .filter(|(stage, _)| !complete(stage) && (stage.running > 0 || ended(stage) > 0 || stage.items > 0))
        .map(|(stage, pace)| format!("{}: {}", stage.name, stage_words(stage, *pace)))
        .collect();
    match active.is_empty() {
        true => format!("{} of {} done", done_stages(status), text::counted(status.stages.len() as u64, "stage")),
        false => active.join("; "),
    }
}

/// What is said once, when a stage's last item has ended.
pub fn ended_words(stage: &StageStatus) -> String {
    let mut words = vec![format!("{} ok", text::count(stage.ok))];
    let others = [(stage.reused, "reused"), (stage.skipped, "skipped"), (stage.dead, "dead")];
    words.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", text::count(*n))));
    let end = if stage.failed { "failed" } else { "done" };
    format!("{}: {end}, {}", stage.name, words.join(", "))
}

/// What is said of a job's state.
pub fn state_words(state: JobState) -> &'static str {
    state.as_str()
}

fn done_stages(status: &JobStatus) -> usize {
    status.stages.iter().filter(|stage| complete(stage)).count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use grid_core::reason::Reason;

    use super::*;
    use crate::progress::tests::{job, stage};

    #[test]
    fn a_stage_at_work_says_how_far_how_fast_and_how_long() {
        let mut clean = stage("clean", 4_000);
        (clean.ok, clean.dead, clean.running) = (1_202, 2, 8);
        clean.failures.insert(Reason::Exit, 5);
        let pace = Pace { items: 31.2, bytes: 13_002_342.4, left: Some(Duration::from_secs(90)) };
        assert_eq!(stage_words(&clean, pace), "1,204/4,000 items · 31/s · 12.4 MiB/s · eta 1m30s · 2 dead · 3 retried");
    }

    #[test]
    fn a_stage_that_is_still_being_planned_shows_that_there_may_be_more() {
        let mut clean = stage("clean", 10);
        clean.planned = false;
        assert_eq!(stage_words(&clean, Pace::default()), "0/10+ items");
    }

    #[test]
    fn a_line_names_only_stages_at_work() {
        let mut first = stage("first", 2);
        first.ok = 2;
        let mut second = stage("second", 8);
        (second.ok, second.running) = (1, 2);
        let (third, idle) = (stage("third", 0), Pace::default());
        let mut waiting = third.clone();
        waiting.planned = false;
        let status = job(vec![first.clone(), second, waiting.clone()]);
        assert_eq!(job_words(&status, &[idle; 3]), "second: 1/8 items");
        assert_eq!(job_words(&job(vec![first.clone(), waiting]), &[idle; 2]), "1 of 2 stages done");
        assert_eq!(ended_words(&first), "first: done, 2 ok");
    }
}

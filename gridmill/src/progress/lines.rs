//! Progress where lines cannot be redrawn: one line when something ends, and one every few seconds in between.

use std::collections::BTreeSet;
use std::time::Duration;

use grid_api::JobStatus;
use grid_core::ids::StageName;

use super::meter::{Meter, complete};
use super::words;

/// Between two lines about the same thing.
const INTERVAL: Duration = Duration::from_secs(5);

/// Decides which lines are said. Pure: time comes in as an argument.
#[derive(Debug, Default)]
pub struct Lines {
    meter: Meter,
    ended: BTreeSet<StageName>,
    begun: bool,
    said_at: Duration,
    said: String,
}

impl Lines {
    /// The lines to say at `at`, given what is known.
    pub fn observe(&mut self, status: &JobStatus, at: Duration) -> Vec<String> {
        let paces = self.meter.observe(status, at);
        let mut lines = Vec::new();
        for stage in status.stages.iter().filter(|stage| complete(stage)) {
            if self.ended.insert(stage.name.clone()) {
                // Stages that had ended before we looked are old news.
                lines.extend(self.begun.then(|| words::ended_words(stage)));
            }
        }
        self.begun = true;
        if lines.is_empty() && !status.state.is_final() && at.saturating_sub(self.said_at) >= INTERVAL {
            let now = words::job_words(status, &paces);
            lines.extend((now != self.said).then(|| now.clone()));
            self.said = now;
        }
        if !lines.is_empty() {
            self.said_at = at;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::tests::{job, stage};

    #[test]
    fn a_quiet_job_is_not_talked_about_and_an_end_is_said_once() {
        let mut lines = Lines::default();
        let mut clean = stage("clean", 4);
        clean.running = 1;
        let at = Duration::from_secs;
        assert_eq!(lines.observe(&job(vec![clean.clone()]), at(0)), Vec::<String>::new());
        assert_eq!(lines.observe(&job(vec![clean.clone()]), at(4)), Vec::<String>::new());
        assert_eq!(lines.observe(&job(vec![clean.clone()]), at(5)), ["clean: 0/4 items"]);
        assert_eq!(lines.observe(&job(vec![clean.clone()]), at(11)), Vec::<String>::new(), "nothing is new");
        clean.ok = 4;
        assert_eq!(lines.observe(&job(vec![clean.clone()]), at(12)), ["clean: done, 4 ok"]);
        assert_eq!(lines.observe(&job(vec![clean]), at(13)), Vec::<String>::new());
    }

    #[test]
    fn what_had_ended_before_is_not_news() {
        let mut lines = Lines::default();
        let mut clean = stage("clean", 4);
        clean.ok = 4;
        assert_eq!(lines.observe(&job(vec![clean]), Duration::from_secs(9)), ["1 of 1 stage done"]);
    }
}

//! Shows a job while it runs: bars on a terminal, lines elsewhere. Nothing here is on the way of the work: it reads
//! what the manager publishes, ten times a second.

mod bars;
mod counter;
mod lines;
pub mod meter;
pub mod words;

use std::time::Duration;

use grid_core::ids::JobId;
use indicatif::{MultiProgress, ProgressDrawTarget};
use job_manager::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::console::Console;
use bars::Bars;
pub use counter::ByteCounter;
use lines::Lines;

/// Between two looks at what the manager publishes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After so long without news it is shown that there are none.
const STALE: Duration = Duration::from_secs(2);

/// Where a job is shown, and what else is said meanwhile.
#[derive(Clone, Debug)]
pub struct Display {
    console: Console,
    /// Set where lines can be drawn again.
    screen: Option<MultiProgress>,
}

impl Display {
    /// A display on standard error.
    pub fn new(console: Console) -> Self {
        let screen = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { console, screen: console.bars.then(screen) }
    }

    /// Says something, above the bars if there are any.
    pub fn say(&self, words: &str) {
        match &self.screen {
            // A closed standard error is no reason to stop working.
            Some(screen) => _ = screen.println(words),
            None => self.console.say(words),
        }
    }

    /// Shows `job` until it is final or the manager has gone.
    pub async fn show(self, job: JobId, mut published: watch::Receiver<Progress>) {
        let mut view = match &self.screen {
            Some(screen) => View::Bars(Bars::on(screen.clone())),
            None => View::Lines(Lines::default()),
        };
        let start = Instant::now();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = end_of(job.clone(), published.clone());
        tokio::pin!(end);
        let mut drawn: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = &mut end => {}
            }
            let changed = published.has_changed();
            let over = changed.is_err();
            // A pace that is told once a second would seem to fall in between.
            if matches!(changed, Ok(false)) && drawn.is_some_and(|drawn| drawn.elapsed() < STALE) {
                continue;
            }
            drawn = Some(Instant::now());
            let status = published.borrow_and_update().jobs.get(&job).cloned();
            match (&status, &mut view) {
                (None, _) => {}
                (Some(status), View::Bars(bars)) => bars.draw(status, start.elapsed()),
                (Some(status), View::Lines(lines)) => {
                    lines.observe(status, start.elapsed()).iter().for_each(|line| self.say(line));
                }
            }
            if over || status.is_some_and(|status| status.state.is_final()) {
                break;
            }
        }
        if let View::Bars(bars) = view {
            bars.clear();
        }
    }
}

/// Until a job is final or the manager has gone.
async fn end_of(job: JobId, mut published: watch::Receiver<Progress>) {
    let is_final = |progress: &Progress| progress.jobs.get(&job).is_some_and(|status| status.state.is_final());
    _ = published.wait_for(is_final).await;
}

enum View {
    Bars(Bars),
    Lines(Lines),
}

#[cfg(test)]
pub mod tests {
    //! Jobs and stages to show.

    use grid_api::{JobState, JobStatus, StageStatus};
    use grid_core::ids::{JobId, StageName};

    /// A planned stage of so many items, none of which has ended.
    pub fn stage(name: &str, items: u64) -> StageStatus {
        StageStatus {
            name: StageName::new(name),
            items,
            planned: true,
            ok: 0,
            reused: 0,
            skipped: 0,
            dead: 0,
            failed: false,
            running: 0,
            attempts: 0,
            failures: Default::default(),
            bytes_planned: 0,
            bytes_in: 0,
            bytes_out: 0,
            busy_secs: 0.0,
        }
    }

    /// A running job of these stages.
    pub fn job(stages: Vec<StageStatus>) -> JobStatus {
        JobStatus {
            job: JobId::new("0190"),
            pipeline: "p".into(),
            state: JobState::Running,
            message: None,
            submitted: "2026-01-01T00:00:00Z".into(),
            finished: None,
            stages,
        }
    }
}

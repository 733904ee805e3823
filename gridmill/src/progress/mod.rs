//! Shows a job while it runs: bars on a terminal, lines elsewhere. Nothing here is on the way of the work: it reads
//! what the manager publishes, ten times a second.

mod bars;
mod digest;
mod lines;
pub mod meter;
pub mod words;

use std::time::Duration;

use grid_core::ids::JobId;
use job_manager::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::console::Console;
use bars::Bars;
pub use digest::DigestProgress;
use lines::Lines;

/// Between two looks at what the manager publishes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shows `job` until it is final or the manager has gone.
pub async fn show(job: JobId, mut published: watch::Receiver<Progress>, console: Console) {
    let mut screen = Screen::new(console);
    let start = Instant::now();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let over = published.has_changed().is_err();
        let status = published.borrow_and_update().jobs.get(&job).cloned();
        if let Some(status) = &status {
            screen.show(status, start.elapsed());
        }
        if over || status.is_some_and(|status| status.state.is_final()) {
            break;
        }
    }
    screen.close();
}

/// Where a job is shown.
enum Screen {
    Bars(Bars),
    Lines(Lines, Console),
}

impl Screen {
    fn new(console: Console) -> Self {
        if console.bars { Self::Bars(Bars::new()) } else { Self::Lines(Lines::default(), console) }
    }

    fn show(&mut self, status: &grid_api::JobStatus, at: Duration) {
        match self {
            Self::Bars(bars) => bars.draw(status, at),
            Self::Lines(lines, console) => {
                for line in lines.observe(status, at) {
                    console.say(line);
                }
            }
        }
    }

    fn close(self) {
        match self {
            Self::Bars(bars) => bars.clear(),
            Self::Lines(..) => {}
        }
    }
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

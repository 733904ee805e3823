//! Shows a job that others run, until it ends or the user has seen enough.

use std::time::Duration;

use grid_api::JobStatus;
use grid_core::ids::JobId;
use job_manager::Progress;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::place::Place;
use crate::progress::Display;
use crate::runner::Runner;
use crate::signals::Interrupts;

/// Between two looks at a state folder or a manager that sends no events.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How watching came to its end.
#[derive(Debug)]
pub enum Watched {
    /// The job has ended.
    Ended(JobStatus),
    /// The user has seen enough; the job goes on.
    Interrupted,
}

/// Watches a job.
pub async fn watch(place: &Place, job: &JobId, console: Console) -> Outcome<Watched> {
    let mut interrupts = Interrupts::listen()?;
    let (publish, published) = watch::channel(Progress::default());
    let display = Display::new(console);
    let shown = tokio::spawn(display.clone().show(job.clone(), published));
    let watched = tokio::select! {
        ended = until_final(place, job, &publish) => ended.map(Watched::Ended),
        () = interrupts.next() => Ok(Watched::Interrupted),
    };
    // The display ends with what it shows, and takes the bars away.
    drop(publish);
    let _ = shown.await;
    if let Ok(Watched::Interrupted) = watched {
        console.say(format!("job {job} goes on without this command: `gridmill status {job} --watch` looks again"));
    }
    watched
}

async fn until_final(place: &Place, job: &JobId, publish: &watch::Sender<Progress>) -> Outcome<JobStatus> {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // Asked before the job: who is gone now may have ended it just before.
        let runner = place.runner();
        let status = place.status(job).await?;
        let is_final = status.state.is_final();
        if !is_final && runner == Runner::Gone {
            let words = format!("nobody runs job {job}: it was interrupted, or is paused");
            return Err(Fault::failed(anyhow::anyhow!(words)).help("run the same command again to resume"));
        }
        publish.send_modify(|progress| drop(progress.jobs.insert(job.clone(), status.clone())));
        if is_final {
            return Ok(status);
        }
    }
}

//! Shows a job that others run, until it ends or the user has seen enough.

use std::time::Duration;

use grid_api::JobStatus;
use grid_core::ids::JobId;
use job_manager::Progress;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::client::{Client, ClientError, Patience, Repeat, Route, chance};
use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::place::{Here, Place};
use crate::progress::Display;
use crate::runner::Runner;
use crate::signals::Interrupts;

/// Between two looks at a state folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a manager may be out of reach before watching ends: time enough to start another one.
const OUTAGE: Duration = Duration::from_secs(600);

/// Between two tries to reach it.
const OUT_OF_REACH: Patience =
    Patience { tries: u32::MAX, first: Duration::from_millis(500), longest: Duration::from_secs(10) };

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
    let look = Look { job, publish, display };
    let watched = tokio::select! {
        ended = look.until_final(place) => ended.map(Watched::Ended),
        () = interrupts.next() => Ok(Watched::Interrupted),
    };
    // The display ends with what it shows, and takes the bars away.
    drop(look);
    let _ = shown.await;
    if let Ok(Watched::Interrupted) = watched {
        console.say(format!("job {job} goes on without this command: `gridmill status {job} --watch` looks again"));
    }
    watched
}

/// Who looks at a job, and tells the display.
struct Look<'a> {
    job: &'a JobId,
    publish: watch::Sender<Progress>,
    display: Display,
}

/// How long a manager has been out of reach.
struct Trouble {
    failed: u32,
    heard: Instant,
}

impl Look<'_> {
    async fn until_final(&self, place: &Place) -> Outcome<JobStatus> {
        match place {
            Place::Here(here) => self.by_looking(place, here).await,
            Place::There(client) => self.by_listening(client).await,
        }
    }

    fn tell(&self, status: &JobStatus) {
        self.publish.send_modify(|progress| drop(progress.jobs.insert(self.job.clone(), status.clone())));
    }

    async fn by_looking(&self, place: &Place, here: &Here) -> Outcome<JobStatus> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            // Asked before the job: who is gone now may have ended it just before.
            let runner = Runner::of(&here.state);
            let status = place.status(self.job).await?;
            if status.state.is_final() {
                return Ok(status);
            }
            if runner == Runner::Gone {
                let words = format!("nobody runs job {}: it was interrupted, or is paused", self.job);
                return Err(Fault::failed(anyhow::anyhow!(words)).help("run the same pipeline again to resume"));
            }
            self.tell(&status);
        }
    }

    /// Hears of every change; a manager that goes, or a connection that breaks, is looked for again.
    async fn by_listening(&self, client: &Client) -> Outcome<JobStatus> {
        let mut last_id = None;
        let mut trouble = Trouble { failed: 0, heard: Instant::now() };
        loop {
            let error = match self.listen(client, &mut last_id, &mut trouble).await {
                Ok(Some(status)) => return Ok(status),
                // The manager ended the stream; it may be about to go.
                Ok(None) => None,
                Err(error) => Some(error),
            };
            self.bear(&mut trouble, error).await?;
        }
    }

    /// Hears what a manager tells; the job once it is final, `None` when the stream ends before.
    async fn listen(
        &self,
        client: &Client,
        last_id: &mut Option<String>,
        trouble: &mut Trouble,
    ) -> Result<Option<JobStatus>, ClientError> {
        let route = Route::v1(["jobs", self.job.as_str(), "events"]);
        let Some(mut events) = client.events::<JobStatus>(&route, last_id.clone()).await? else {
            return client.status(self.job).await.map(Some);
        };
        while let Some(status) = events.next().await? {
            *trouble = Trouble { failed: 0, heard: Instant::now() };
            *last_id = events.last_id.clone();
            self.tell(&status);
            if status.state.is_final() {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Waits before the next try, or gives up.
    async fn bear(&self, trouble: &mut Trouble, error: Option<ClientError>) -> Outcome<()> {
        trouble.failed = trouble.failed.saturating_add(1);
        let Some(error) = error else {
            sleep(OUT_OF_REACH.first.mul_f64(chance())).await;
            return Ok(());
        };
        let wait = OUT_OF_REACH.wait(Repeat::Harmless, trouble.failed, &error, chance());
        match wait.filter(|_| trouble.heard.elapsed() < OUTAGE) {
            None => Err(error.into()),
            Some(wait) => {
                if trouble.failed == 1 {
                    let fault = Fault::from(error);
                    self.display.say(&format!("{fault}; the job goes on, and is looked for again"));
                }
                sleep(wait).await;
                Ok(())
            }
        }
    }
}

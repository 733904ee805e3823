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
use crate::report;
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
    let look = Look { job, publish, display, patience: OUT_OF_REACH };
    let watched = tokio::select! {
        ended = look.until_final(place) => ended.map(Watched::Ended),
        () = interrupts.next() => Ok(Watched::Interrupted),
    };
    // The display ends with what it shows, and takes the bars away.
    drop(look);
    let _ = shown.await;
    if let Ok(Watched::Interrupted) = watched {
        let flags = report::flags(place);
        console
            .say(format!("job {job} goes on without this command: `gridmill status {job} --watch{flags}` looks again"));
    }
    watched
}

/// Who looks at a job, and tells the display.
struct Look<'a> {
    job: &'a JobId,
    publish: watch::Sender<Progress>,
    display: Display,
    /// Between two tries to reach a manager.
    patience: Patience,
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
            sleep(self.patience.first.mul_f64(chance())).await;
            return Ok(());
        };
        let wait = self.patience.wait(Repeat::Harmless, trouble.failed, &error, chance());
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

#[cfg(test)]
mod tests {
    use grid_api::JobState;

    use super::*;
    use crate::client::tests::client;
    use crate::client::tests::scripted::{Act, Scripted, answer};
    use crate::exit::Exit;

    const QUIET: Console = Console { json: false, bars: false, colours: false };

    fn event(id: u32, state: &str) -> Act {
        let data = format!(r#"{{"job":"0190","pipeline":"p","state":"{state}","submitted":"","stages":[]}}"#);
        answer(200, &[], &format!("id: {id}\ndata: {data}\n\n"))
    }

    async fn listen(server: &Scripted) -> Outcome<JobStatus> {
        let patience = Patience { tries: u32::MAX, first: Duration::ZERO, longest: Duration::ZERO };
        let publish = watch::channel(Progress::default()).0;
        let look = Look { job: &JobId::new("0190"), publish, display: Display::new(QUIET), patience };
        look.by_listening(&client(server)).await
    }

    #[tokio::test]
    async fn a_manager_that_goes_and_comes_back_is_heard_to_the_end() {
        let acts = [event(1, "running"), Act::HangUp, answer(503, &[], ""), event(2, "succeeded")];
        let server = Scripted::start(acts).await;
        assert_eq!(listen(&server).await.unwrap().state, JobState::Succeeded);
        let heard: Vec<Option<String>> =
            server.asked().iter().map(|asked| asked.header("last-event-id").map(str::to_owned)).collect();
        assert_eq!(heard, [None, Some("1".into()), Some("1".into()), Some("1".into())]);
    }

    #[tokio::test]
    async fn a_job_that_is_not_there_is_not_waited_for() {
        let server = Scripted::start([answer(404, &[], "")]).await;
        assert_eq!(listen(&server).await.unwrap_err().exit, Exit::Usage);
        server.asked();
    }
}

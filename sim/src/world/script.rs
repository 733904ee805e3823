//! The order of what people do in one run.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::random::Random;
use infra::Grid;
use tokio::task::JoinHandle;

use super::Done;
use super::client::{Answer, Wish, submit_it, wish};
use crate::net::{ActorId, Net};
use crate::tally::Event;
use crate::workload::Workload;

/// What people do in one run, and how far they are.
pub(super) struct Script {
    client: ActorId,
    grid: Grid,
    workload: Arc<Workload>,
    /// Wishes for the first job, by time.
    wishes: Vec<(Duration, Wish)>,
    /// Submits the same once more at this time.
    resubmits_at: Option<Duration>,
    /// Runs the failed items again, if the job fails.
    redrives: bool,
    /// In the end submits the pipeline with other commands from this stage on.
    changes: Option<usize>,
    busy: Option<Busy>,
    /// The submitted jobs, and whether their failed items were made good.
    done: Vec<Done>,
    asked: usize,
}

/// Somebody waits for an answer.
enum Busy {
    Submits(Option<usize>, JoinHandle<Result<JobId, String>>),
    Wishes(JobId, Wish, JoinHandle<Result<Answer, String>>),
}

impl Script {
    pub fn draw(client: ActorId, grid: Grid, workload: Arc<Workload>, has_wishes: bool, random: &mut Random) -> Self {
        let mut script = Self {
            client,
            grid,
            wishes: Vec::new(),
            resubmits_at: None,
            redrives: false,
            changes: None,
            busy: None,
            done: Vec::new(),
            asked: 0,
            workload,
        };
        if has_wishes {
            let at = |random: &mut Random| Duration::from_millis(200 + random.below(20_000));
            if random.chance(0.08) {
                script.wishes.push((at(random), Wish::Cancel));
            }
            if random.chance(0.15) {
                let pause = at(random);
                script.wishes.push((pause, Wish::Pause));
                script.wishes.push((pause + at(random), Wish::Resume));
            }
            script.wishes.sort_by_key(|(at, _)| *at);
            script.resubmits_at = random.chance(0.2).then(|| at(random));
            script.redrives = random.chance(0.7);
            let stages = script.workload.stages.len() as u64;
            script.changes = random.chance(0.25).then(|| random.below(stages) as usize);
        }
        script
    }

    /// The jobs, and whether their failed items were made good.
    pub fn jobs(&self) -> Vec<Done> {
        self.done.clone()
    }

    /// Whoever dies while waiting for an answer comes back and asks again.
    pub fn die_if_in(&mut self, doomed: &[ActorId]) {
        if !doomed.contains(&self.client) {
            return;
        }
        match self.busy.take() {
            None => {}
            Some(Busy::Submits(changed, task)) => {
                task.abort();
                self.submit(changed);
            }
            Some(Busy::Wishes(job, wish, task)) => {
                task.abort();
                self.wish(&job, wish);
            }
        }
    }

    /// What has not come to pass.
    pub fn waits_for(&self) -> Option<String> {
        match &self.busy {
            Some(Busy::Submits(..)) => Some("a submission has no answer".to_owned()),
            Some(Busy::Wishes(_, wish, _)) => Some(format!("{wish:?} has no answer")),
            None => self.done.last().map(|(job, _)| format!("job {job} has no end")),
        }
    }

    /// Takes the next step, if it is time; true when everything is done and over.
    pub fn step(&mut self, net: &Net, now: Duration) -> bool {
        if self.is_busy(net) {
            return false;
        }
        let Some((job, _)) = self.done.last().cloned() else {
            self.submit(None);
            return false;
        };
        let state = net.watch(|watch| watch.job(&job).map(|job| (job.state(), job.owed().is_some())));
        if self.done.len() == 1 && self.early_step(net, now, &job) {
            return false;
        }
        match state {
            Some((state, false)) if state.is_final() => self.late_step(state, &job),
            Some(_) | None => false,
        }
    }

    /// While the first job is under way; whether anything was done.
    fn early_step(&mut self, net: &Net, now: Duration, job: &JobId) -> bool {
        if self.resubmits_at.is_some_and(|at| now >= at) {
            self.resubmits_at = None;
            net.note(Event::Resubmitted);
            self.submit(None);
            return true;
        }
        match self.wishes.first().copied() {
            Some((at, wish)) if now >= at => {
                self.wishes.remove(0);
                self.wish(job, wish);
                true
            }
            // The pause is over before the job can be.
            Some((_, Wish::Resume)) => true,
            Some(_) | None => false,
        }
    }

    /// After a job has ended; true when that was all.
    fn late_step(&mut self, state: JobState, job: &JobId) -> bool {
        if state == JobState::Failed && self.redrives && self.asked < 2 {
            self.asked += 1;
            self.wish(job, Wish::Redrive);
            return false;
        }
        if let Some(changed) = self.changes.take() {
            self.submit(Some(changed));
            return false;
        }
        true
    }

    fn submit(&mut self, changed: Option<usize>) {
        let submitting = submit_it(self.grid.clone(), self.workload.clone(), changed);
        self.busy = Some(Busy::Submits(changed, tokio::spawn(submitting)));
    }

    fn wish(&mut self, job: &JobId, what: Wish) {
        let wishing = wish(self.grid.clone(), job.clone(), what);
        self.busy = Some(Busy::Wishes(job.clone(), what, tokio::spawn(wishing)));
    }

    fn is_busy(&mut self, net: &Net) -> bool {
        let over = |error: tokio::task::JoinError| Err(error.to_string());
        match self.busy.take() {
            None => false,
            Some(Busy::Submits(changed, mut task)) => match (&mut task).now_or_never() {
                None => self.goes_on(Busy::Submits(changed, task)),
                Some(ended) => {
                    match ended.unwrap_or_else(over) {
                        Ok(job) if self.done.iter().any(|(known, _)| *known == job) => {}
                        Ok(job) => self.done.push((job, false)),
                        Err(why) => net.watch(|watch| watch.violated("L1", why)),
                    }
                    false
                }
            },
            Some(Busy::Wishes(job, wish, mut task)) => match (&mut task).now_or_never() {
                None => self.goes_on(Busy::Wishes(job, wish, task)),
                Some(ended) => {
                    match ended.unwrap_or_else(|error| Err(error.to_string())) {
                        Ok(Answer::Fulfilled) => self.fulfilled(net, wish),
                        Ok(Answer::Refused) => {}
                        Err(why) => net.watch(|watch| watch.violated("L1", why)),
                    }
                    false
                }
            },
        }
    }

    fn goes_on(&mut self, busy: Busy) -> bool {
        self.busy = Some(busy);
        true
    }

    fn fulfilled(&mut self, net: &Net, wish: Wish) {
        match wish {
            Wish::Cancel => net.note(Event::Cancelled),
            Wish::Pause => net.note(Event::Paused),
            Wish::Resume => {}
            Wish::Redrive => {
                net.note(Event::Redriven);
                if let Some((_, was_mended)) = self.done.last_mut() {
                    *was_mended = true;
                }
            }
        }
    }
}

//! The order of what people do in one run.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use grid_core::ids::JobId;
use grid_core::job::{Job, JobState, StageView};
use grid_core::random::Random;
use infra::Grid;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::{Again, Answer, Only, Wish, submit_it, wish};
use super::{Done, Setup};
use crate::net::{ActorId, Net};
use crate::tally::Event;
use crate::workload::{Edition, Workload};

/// What people do in one run, and how far they are.
pub(super) struct Script {
    client: ActorId,
    grid: Grid,
    workload: Arc<Workload>,
    /// Wishes for the first job, by time.
    wishes: Vec<(Duration, Wish)>,
    /// Cancels the first job when it is all but done.
    cancels_late: bool,
    /// Submits the same once more at this time.
    resubmits_at: Option<Duration>,
    /// Runs the failed items again, if the job fails.
    redrives: bool,
    /// .. and if it succeeds without them.
    redrives_success: bool,
    /// How that is wished first; then everything that is left is made good.
    first_redrive: Again,
    /// In the end submits these editions of the pipeline, the last first.
    editions: Vec<Edition>,
    busy: Option<Busy>,
    /// The submitted jobs.
    done: Vec<Done>,
    asked: usize,
    /// In this round of the job.
    asked_in: u32,
    last_step: Option<Instant>,
}

/// Somebody waits for an answer.
enum Busy {
    Submits(Edition, JoinHandle<Result<JobId, String>>),
    Wishes(JobId, Wish, JoinHandle<Result<Answer, String>>),
}

impl Script {
    pub fn draw(client: ActorId, grid: Grid, workload: Arc<Workload>, setup: &Setup, random: &mut Random) -> Self {
        let mut script = Self {
            client,
            grid,
            wishes: Vec::new(),
            cancels_late: false,
            resubmits_at: None,
            redrives: false,
            redrives_success: Random::from_seed(setup.seed ^ 0x5ccc_4ed4).chance(0.5),
            first_redrive: Again { only: Only::All, mends: true },
            editions: setup.editions.iter().rev().copied().collect(),
            busy: None,
            done: Vec::new(),
            asked: 0,
            asked_in: 0,
            last_step: None,
            workload,
        };
        if setup.has_wishes {
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
            script.cancels_late = random.chance(0.06);
            script.resubmits_at = random.chance(0.2).then(|| at(random));
            script.redrives = random.chance(0.7);
            script.first_redrive = script.draw_redrive(setup.seed);
            if random.chance(0.35) {
                let count = 1 + random.below(2);
                let drawn: Vec<Edition> = (0..count).map(|_| script.draw_edition(random)).collect();
                script.editions.extend(drawn);
            }
        }
        script
    }

    /// Drawn apart from the rest, which stays what it was.
    fn draw_redrive(&self, seed: u64) -> Again {
        let mut random = Random::from_seed(seed ^ 0x4ed4_14e5);
        let stages = self.workload.stages.len() as u64;
        let only = match random.below(10) {
            0 => Only::OfStage(random.below(stages) as usize),
            1 => Only::WithStatus,
            _ => Only::All,
        };
        Again { only, mends: random.chance(0.8) }
    }

    fn draw_edition(&self, random: &mut Random) -> Edition {
        let stages = self.workload.stages.len() as u64;
        // Items that misbehave do so by their place.
        let is_shifted = self.workload.is_harmless() && random.chance(0.5);
        let changed = random.chance(0.6).then(|| random.below(stages) as usize);
        let tenant = if random.chance(0.25) { "somebody" } else { "" };
        Edition { changed, is_shifted, tenant }
    }

    /// The jobs.
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
            Some(Busy::Submits(edition, task)) => {
                task.abort();
                self.submit(edition);
            }
            Some(Busy::Wishes(job, wish, task)) => {
                task.abort();
                self.wish(&job, wish);
            }
        }
    }

    /// When somebody asked for something last.
    pub fn last_step(&self) -> Option<Instant> {
        self.last_step
    }

    /// What has not come to pass.
    pub fn waits_for(&self) -> Option<String> {
        match &self.busy {
            Some(Busy::Submits(..)) => Some("a submission has no answer".to_owned()),
            Some(Busy::Wishes(_, wish, _)) => Some(format!("{wish:?} has no answer")),
            None => self.done.last().map(|done| format!("job {} has no end", done.job)),
        }
    }

    /// Takes the next step, if it is time; true when everything is done and over.
    pub fn step(&mut self, net: &Net, now: Duration) -> bool {
        if self.is_busy(net) {
            return false;
        }
        let Some(Done { job, .. }) = self.done.last().cloned() else {
            self.submit(Edition::default());
            return false;
        };
        let state = net.watch(|watch| watch.job(&job).map(|job| (job.state(), job.owed().is_some())));
        if self.done.len() == 1 && self.early_step(net, now, &job) {
            return false;
        }
        match state {
            Some((state, false)) if state.is_final() && self.are_all_over(net) => {
                self.asked_in = net.watch(|watch| watch.job(&job).map_or(0, Job::round));
                self.late_step(net, state, &job)
            }
            Some(_) | None => false,
        }
    }

    /// Whether every job has ended: whoever submits the first edition once more has what failed of it run again.
    fn are_all_over(&self, net: &Net) -> bool {
        let is_over = |job: &Job| job.state().is_final() && job.owed().is_none();
        self.done.iter().all(|done| net.watch(|watch| watch.job(&done.job).is_some_and(is_over)))
    }

    /// While the first job is under way; whether anything was done.
    fn early_step(&mut self, net: &Net, now: Duration, job: &JobId) -> bool {
        if self.resubmits_at.is_some_and(|at| now >= at) {
            self.resubmits_at = None;
            net.note(Event::Resubmitted);
            self.submit(Edition::default());
            return true;
        }
        if self.cancels_late && net.watch(|watch| watch.job(job).is_some_and(is_all_but_done)) {
            self.cancels_late = false;
            self.wish(job, Wish::Cancel);
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
    fn late_step(&mut self, net: &Net, state: JobState, job: &JobId) -> bool {
        let is_lacking = match state {
            JobState::Failed => true,
            JobState::Succeeded => self.redrives_success && net.watch(|watch| watch.job(job).is_some_and(has_dead)),
            _ => false,
        };
        if self.redrives && self.asked < 2 && is_lacking {
            self.asked += 1;
            if state == JobState::Succeeded {
                net.note(Event::SuccessRedriven);
            }
            let again = if self.asked == 1 { self.first_redrive } else { Again { only: Only::All, mends: true } };
            self.wish(job, Wish::Redrive(again));
            return false;
        }
        if let Some(edition) = self.editions.pop() {
            self.submit(edition);
            return false;
        }
        true
    }

    fn submit(&mut self, edition: Edition) {
        let submitting = submit_it(self.grid.clone(), self.workload.edited(edition));
        self.last_step = Some(Instant::now());
        self.busy = Some(Busy::Submits(edition, tokio::spawn(submitting)));
    }

    fn wish(&mut self, job: &JobId, what: Wish) {
        let wishing = wish(self.grid.clone(), job.clone(), what);
        self.last_step = Some(Instant::now());
        self.busy = Some(Busy::Wishes(job.clone(), what, tokio::spawn(wishing)));
    }

    fn is_busy(&mut self, net: &Net) -> bool {
        let over = |error: tokio::task::JoinError| Err(error.to_string());
        match self.busy.take() {
            None => false,
            Some(Busy::Submits(edition, mut task)) => match (&mut task).now_or_never() {
                None => self.goes_on(Busy::Submits(edition, task)),
                Some(ended) => {
                    match ended.unwrap_or_else(over) {
                        Ok(job) if self.done.iter().any(|known| known.job == job) => {}
                        Ok(job) => self.done.push(Done { job, edition }),
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
                        Ok(Answer::Refused) => self.refused(net, &job, wish),
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

    /// A wish is refused when it comes too late, or too early, and never otherwise (S5). Nobody but these people wishes anything.
    fn refused(&self, net: &Net, id: &JobId, wish: Wish) {
        let Some(job) = net.watch(|watch| watch.job(id).cloned()) else { return };
        let is_wrong = match wish {
            Wish::Cancel => matches!(job.state(), JobState::Running | JobState::Paused),
            Wish::Pause => job.state() == JobState::Running,
            Wish::Resume => job.state() == JobState::Paused,
            Wish::Redrive(_) => {
                let is_over = matches!(job.state(), JobState::Failed | JobState::Succeeded) && job.owed().is_none();
                is_over && job.round() == self.asked_in
            }
        };
        if is_wrong {
            let what = format!("{wish:?} was refused, and the job is {}", job.state().as_str());
            net.watch(|watch| watch.violated("S5", what));
        }
    }

    fn fulfilled(&mut self, net: &Net, wish: Wish) {
        match wish {
            Wish::Cancel => net.note(Event::Cancelled),
            Wish::Pause => net.note(Event::Paused),
            Wish::Resume => {}
            Wish::Redrive(_) => net.note(Event::Redriven),
        }
    }
}

fn has_dead(job: &Job) -> bool {
    job.view().iter().any(|stage| stage.dead > 0)
}

/// Whether a job has no more than two items to do.
fn is_all_but_done(job: &Job) -> bool {
    let open = |stage: &StageView| stage.items - stage.ok - stage.skipped - stage.dead;
    job.view().iter().all(|stage| stage.planned) && job.view().iter().map(open).sum::<u64>() <= 2
}

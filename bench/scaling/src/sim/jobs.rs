//! The simulated jobs: what waits, in which order it is handed out, and what became of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use grid_core::ids::{ClassName, JobId};
use grid_core::scale::{Demand, Ended, Params};

use super::machines::Run;
use crate::outcome::{Late, Outcome};
use crate::trace::{Job, Trace};

/// Executions of a task that fails.
const ATTEMPTS: u8 = 3;

/// Tasks of a stage that go first while none of its class has ended.
const PILOTS: usize = 4;

/// All jobs of a trace.
pub struct Jobs<'a> {
    all: Vec<State<'a>>,
    /// Those that have arrived and not ended, in the order in which they are served: the earliest deadline first.
    active: Vec<usize>,
    measured: BTreeSet<ClassName>,
    over: usize,
    drain_target: f64,
}

struct State<'a> {
    job: &'a Job,
    id: JobId,
    class: ClassName,
    next: usize,
    again: VecDeque<usize>,
    /// Tasks that wait for their backoff.
    resting: VecDeque<(u64, usize)>,
    running: Vec<u64>,
    attempts: Vec<u8>,
    done: usize,
    ended: Ended,
    is_suspended: bool,
    cancelled_ms: Option<u64>,
    ended_ms: Option<u64>,
    /// How often each task was handed back.
    handed_back: Vec<u32>,
    /// What its class was known for when it arrived.
    known: Option<f64>,
    /// How long the fleet was full until it arrived, and after it, until it ended.
    full: f64,
    last: Option<Run>,
}

/// What became of an execution.
pub struct RunEnded {
    /// Its result counts.
    pub counted: bool,
    /// It is tried again after a wait.
    pub again: bool,
}

impl<'a> Jobs<'a> {
    pub fn new(trace: &'a Trace, params: &Params, measured: BTreeSet<ClassName>) -> Self {
        let drain_target = params.drain_target.map_or(f64::INFINITY, |target| target.as_secs_f64());
        let all = trace.jobs.iter().enumerate().map(|(index, job)| State::new(index, job)).collect();
        Self { all, active: Vec::new(), measured, over: 0, drain_target }
    }

    pub fn are_over(&self) -> bool {
        self.over == self.all.len()
    }

    /// Nothing has arrived that has not ended.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    pub fn class(&self, job: usize) -> &ClassName {
        &self.all[job].class
    }

    /// A job comes: what is known of its class, and for how long the fleet was full until now.
    pub fn arrive(&mut self, job: usize, known: Option<f64>, full: f64) {
        (self.all[job].known, self.all[job].full) = (known, full);
        let key = |index: usize| {
            let job = self.all[index].job;
            job.deadline.map_or(job.arrival + self.drain_target, |deadline| deadline)
        };
        let place = self.active.partition_point(|other| key(*other) <= key(job));
        self.active.insert(place, job);
    }

    /// The next task to start.
    pub fn next(&mut self) -> Option<(usize, usize, f64)> {
        let mut ready = self.active.iter().copied().filter(|job| self.all[*job].has_task());
        let pilot = ready.clone().find(|job| self.needs_pilot(*job));
        let job = pilot.or_else(|| ready.next())?;
        let state = &mut self.all[job];
        let task = match state.again.pop_front() {
            Some(task) => task,
            None => {
                state.next += 1;
                state.next - 1
            }
        };
        Some((job, task, state.job.tasks[task]))
    }

    /// The first tasks of what was never measured go first: they tell how many machines the rest needs.
    fn needs_pilot(&self, job: usize) -> bool {
        let state = &self.all[job];
        state.ended.ok == 0 && state.running.len() < PILOTS && !self.measured.contains(&state.class)
    }

    pub fn started(&mut self, run: &Run) {
        self.all[run.job].running.push(run.start_ms);
    }

    pub fn wake(&mut self, job: usize, now_ms: u64) {
        let state = &mut self.all[job];
        while let Some((until_ms, task)) = state.resting.front().copied()
            && until_ms <= now_ms
        {
            state.resting.pop_front();
            state.again.push_back(task);
        }
    }

    /// A task did not end, and goes back to the front of its job.
    pub fn hand_back(&mut self, run: &Run) {
        let state = &mut self.all[run.job];
        state.stop(run.start_ms);
        state.handed_back[run.task] += 1;
        state.again.push_front(run.task);
    }

    pub fn end(&mut self, run: &Run, secs: f64, wake_ms: u64, now_ms: u64, full: f64) -> RunEnded {
        let state = &mut self.all[run.job];
        state.stop(run.start_ms);
        if state.ended_ms.is_some() {
            return RunEnded { counted: false, again: false };
        }
        let is_ok = !state.job.is_poison;
        state.count(is_ok, secs);
        if is_ok && state.ended.ok == 1 {
            self.measured.insert(state.class.clone());
        }
        state.attempts[run.task] += 1;
        let again = !is_ok && state.attempts[run.task] < ATTEMPTS;
        if again {
            state.resting.push_back((wake_ms, run.task));
        } else {
            state.done += 1;
            if state.done == state.job.tasks.len() {
                state.full = full - state.full;
                state.last = Some(*run);
                self.close(run.job, now_ms);
            }
        }
        RunEnded { counted: is_ok, again }
    }

    fn close(&mut self, job: usize, now_ms: u64) {
        self.all[job].ended_ms = Some(now_ms);
        self.active.retain(|other| *other != job);
        self.over += 1;
    }

    pub fn suspend(&mut self, id: &JobId, is_suspended: bool) {
        if let Some(state) = self.all.iter_mut().find(|state| state.id == *id) {
            state.is_suspended = is_suspended;
        }
    }

    /// Somebody will cancel this job.
    pub fn doom(&mut self, id: &JobId, at_ms: u64) {
        if let Some(state) = self.all.iter_mut().find(|state| state.id == *id) {
            state.cancelled_ms = state.cancelled_ms.or(Some(at_ms));
        }
    }

    pub fn cancel_doomed(&mut self, now_ms: u64) {
        let is_due = |job: &usize| self.all[*job].cancelled_ms.is_some_and(|at_ms| at_ms <= now_ms);
        let due: Vec<usize> = self.active.iter().copied().filter(is_due).collect();
        for job in due {
            self.close(job, now_ms);
        }
    }

    pub fn waiting(&self) -> usize {
        self.active.iter().map(|job| self.all[*job].waiting()).sum()
    }

    /// What the law is shown.
    pub fn demand(&self, now_ms: u64) -> Vec<Demand> {
        let age = |start_ms: &u64| Duration::from_millis(now_ms - start_ms);
        let demand = |job: &usize| {
            let state = &self.all[*job];
            Demand {
                job: state.id.clone(),
                class: state.class.clone(),
                waiting: state.waiting() as u64,
                running: state.running.iter().map(age).collect(),
                arrived_ms: (state.job.arrival * 1e3) as u64,
                deadline_ms: state.job.deadline.map(|deadline| (deadline * 1e3) as u64),
                ended: state.ended,
            }
        };
        self.active.iter().map(demand).collect()
    }

    pub fn report(&self, outcome: &mut Outcome) {
        for (place, state) in self.all.iter().enumerate() {
            let Some(ended_ms) = state.ended_ms else { continue };
            if state.job.is_poison {
                outcome.cancelled += 1;
                continue;
            }
            let ended = ended_ms as f64 / 1e3;
            outcome.end = outcome.end.max(ended);
            outcome.completion.push(ended - state.job.arrival);
            let late = ended - state.job.due(self.drain_target);
            // Times are whole milliseconds here.
            if late > 0.01
                && let Some(last) = state.last
            {
                outcome.late.push(state.late(place, late, &last, self.drain_target));
            }
        }
    }
}

impl<'a> State<'a> {
    fn new(index: usize, job: &'a Job) -> Self {
        Self {
            job,
            id: JobId::new(format!("job-{index}")),
            class: ClassName::new(&job.class),
            next: 0,
            again: VecDeque::new(),
            resting: VecDeque::new(),
            running: Vec::new(),
            attempts: vec![0; job.tasks.len()],
            done: 0,
            ended: Ended::default(),
            is_suspended: false,
            cancelled_ms: None,
            ended_ms: None,
            handed_back: vec![0; job.tasks.len()],
            known: None,
            full: 0.0,
            last: None,
        }
    }

    fn late(&self, place: usize, by: f64, last: &Run, drain_target: f64) -> Late {
        Late {
            job: place,
            by,
            within: self.job.due(drain_target) - self.job.arrival,
            tasks: self.job.tasks.len(),
            mean: self.job.work() / self.job.tasks.len() as f64,
            known: self.known,
            last_secs: self.job.tasks[last.task],
            last_started: last.start_ms as f64 / 1e3 - self.job.arrival,
            handed_back: self.handed_back[last.task],
            full: self.full,
        }
    }

    fn has_task(&self) -> bool {
        self.waiting() > 0 && (!self.is_suspended || self.running.is_empty())
    }

    fn waiting(&self) -> usize {
        self.job.tasks.len() - self.next + self.again.len()
    }

    fn stop(&mut self, start_ms: u64) {
        if let Some(place) = self.running.iter().position(|other| *other == start_ms) {
            self.running.swap_remove(place);
        }
    }

    fn count(&mut self, is_ok: bool, secs: f64) {
        if is_ok {
            self.ended.ok += 1;
            self.ended.ok_secs += secs;
            self.ended.ok_secs_squared += secs * secs;
            self.ended.longest_secs = self.ended.longest_secs.max(secs);
        } else {
            self.ended.failed += 1;
        }
    }
}

//! A grid in virtual time, which calls the law as a manager would.

mod jobs;
mod machines;
mod show;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use grid_core::ids::{ClassName, GroupName};
use grid_core::random::Random;
use grid_core::scale::{Action, Alarm, Memory, Params, Refused, decide};

use crate::outcome::Outcome;
use crate::trace::Trace;
use crate::world::World;
use jobs::Jobs;
pub use machines::Spent;
use machines::{Fleet, Phase, Run};

/// Runs a trace to its end.
pub fn run(trace: &Trace, world: &World, params: &Params, memory: Memory, seed: u64) -> Outcome {
    let mut sim = Sim::new(trace, world, params, memory, seed);
    while let Some(Reverse((at_ms, _, event))) = sim.events.pop() {
        sim.now_ms = at_ms;
        sim.handle(event);
        if sim.jobs.are_over() && sim.fleet.is_empty() {
            break;
        }
    }
    sim.finish()
}

/// What happens. Machines are named by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    Ready(usize),
    /// A worker has heard that it shall close, or open again.
    Heard(usize),
    Notice(usize),
    Gone(usize),
    TaskEnd {
        machine: usize,
        run: u64,
    },
    Due(usize),
    Wave(usize),
    Restart,
    Tick,
}

struct Sim<'a> {
    world: &'a World,
    params: &'a Params,
    memory: Memory,
    random: Random,
    now_ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    next_event: u64,
    jobs: Jobs<'a>,
    fleet: Fleet,
    refused: Vec<Refused>,
    silent_until_ms: u64,
    is_ticking: bool,
    ended_ms: Vec<u64>,
    /// How long the fleet had no room for another machine, and since when it has none.
    full_ms: u64,
    full_since_ms: Option<u64>,
    outcome: Outcome,
}

/// A worker hears of an order with its next heartbeat.
const HEARTBEAT_SECS: f64 = 5.0;

/// After a spot notice a worker ends what ends in time, and hands the rest back.
const NOTICE_SECS: f64 = 100.0;

/// A failed task waits before it is tried again, and is given up after so many attempts.
const BACKOFF_SECS: f64 = 10.0;

impl<'a> Sim<'a> {
    fn new(trace: &'a Trace, world: &'a World, params: &'a Params, memory: Memory, seed: u64) -> Self {
        let classes = trace.jobs.iter().map(|job| ClassName::new(&job.class));
        let measured = classes.filter(|class| memory.times.of(class).is_some()).collect();
        let mut sim = Self {
            world,
            params,
            memory,
            random: Random::from_seed(seed),
            now_ms: 0,
            events: BinaryHeap::new(),
            next_event: 0,
            jobs: Jobs::new(trace, params, measured),
            fleet: Fleet::default(),
            refused: Vec::new(),
            silent_until_ms: 0,
            is_ticking: false,
            ended_ms: Vec::new(),
            full_ms: 0,
            full_since_ms: None,
            outcome: Outcome::default(),
        };
        for (index, job) in trace.jobs.iter().enumerate() {
            sim.at(job.arrival, Event::Arrival(index));
        }
        for (index, (at, _)) in world.waves.iter().enumerate() {
            sim.at(*at, Event::Wave(index));
        }
        for at in &world.restarts {
            sim.at(*at, Event::Restart);
        }
        sim
    }

    fn now(&self) -> f64 {
        self.now_ms as f64 / 1e3
    }

    /// For how long the fleet had no room so far.
    fn full_secs(&self) -> f64 {
        let since_ms = self.full_since_ms.unwrap_or(self.now_ms);
        (self.full_ms + self.now_ms - since_ms) as f64 / 1e3
    }

    fn note_full(&mut self) {
        let is_full = self.fleet.count() >= self.world.max_machines;
        match self.full_since_ms {
            None if is_full => self.full_since_ms = Some(self.now_ms),
            Some(since_ms) if !is_full => {
                self.full_ms += self.now_ms - since_ms;
                self.full_since_ms = None;
            }
            None | Some(_) => {}
        }
    }

    /// Lets something happen at a time, in seconds.
    fn at(&mut self, at: f64, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse(((at * 1e3) as u64, self.next_event, event)));
    }

    fn after(&mut self, secs: f64, event: Event) {
        self.at(self.now() + secs, event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrival(job) => {
                let known = self.memory.times.of(self.jobs.class(job)).map(|times| times.mean);
                self.jobs.arrive(job, known, self.full_secs());
                self.keep_ticking();
            }
            Event::Ready(machine) => {
                if self.fleet.ready(machine, self.now_ms) {
                    let life = self.world.life(&mut self.random);
                    let life = if self.is_taken(machine) { life } else { f64::INFINITY };
                    if life.is_finite() {
                        self.after(life, Event::Notice(machine));
                    }
                }
            }
            Event::Heard(machine) => self.fleet.hear(machine),
            Event::Notice(machine) => self.notice(machine),
            Event::Gone(machine) => self.remove(machine),
            Event::TaskEnd { machine, run } => self.task_ended(machine, run),
            Event::Due(job) => self.jobs.wake(job, self.now_ms),
            Event::Wave(index) => self.wave(self.world.waves[index].1),
            Event::Restart => {
                // Task times lie in a row of the table; everything else is lost with the manager.
                self.memory = Memory::new(std::mem::take(&mut self.memory.times));
                self.silent_until_ms = self.now_ms + (self.world.takeover * 1e3) as u64;
            }
            Event::Tick => self.tick(),
        }
        self.start_tasks();
        self.note_full();
    }

    /// Ticks are left out while there is nothing to decide.
    fn keep_ticking(&mut self) {
        if !self.is_ticking {
            self.is_ticking = true;
            let wait = self.world.next_tick(&mut self.random) * self.random.unit();
            self.after(wait, Event::Tick);
        }
    }

    fn tick(&mut self) {
        self.is_ticking = false;
        self.jobs.cancel_doomed(self.now_ms);
        if self.now_ms >= self.silent_until_ms {
            let observed = self.observe();
            let actions = decide(&observed, self.params, &mut self.memory);
            self.sample();
            for action in actions {
                self.act(&action);
            }
        }
        if !self.jobs.is_idle() || !self.fleet.is_empty() {
            self.is_ticking = true;
            let wait = self.world.next_tick(&mut self.random);
            self.after(wait, Event::Tick);
        }
    }

    fn act(&mut self, action: &Action) {
        self.outcome.actions += usize::from(!matches!(action, Action::Alarm(_)));
        match action {
            Action::Launch { group, machines } => self.launch(group, *machines),
            Action::Close { machine } => self.order(Fleet::number(machine), true),
            Action::Reopen { machine } => self.order(Fleet::number(machine), false),
            Action::Terminate { machine, .. } => {
                let machine = Fleet::number(machine);
                self.outcome.killed += self.fleet.runs(machine).len();
                self.ended_ms.push(self.now_ms);
                self.remove(machine);
            }
            Action::Suspend { job } => self.jobs.suspend(job, true),
            Action::Resume { job } => self.jobs.suspend(job, false),
            Action::Alarm(Alarm::Poison { job }) => {
                self.jobs.doom(job, self.now_ms + (self.world.cancelled_after * 1e3) as u64);
            }
            Action::Alarm(_) => {}
        }
    }

    fn order(&mut self, machine: usize, close: bool) {
        self.fleet.order(machine, close);
        let wait = HEARTBEAT_SECS * self.random.unit();
        self.after(wait, Event::Heard(machine));
    }

    fn launch(&mut self, group: &GroupName, machines: u32) {
        if self.world.is_dry(self.now()) {
            self.refused.push(Refused { group: group.clone(), at_ms: self.now_ms });
            return;
        }
        let group = self
            .params
            .groups
            .iter()
            .position(|known| known.name == *group)
            .expect("the law names groups that it was told");
        let boot_ms = (self.world.mean_boot() * 1e3) as u64;
        self.ended_ms.retain(|at_ms| at_ms + boot_ms >= self.now_ms);
        for _ in 0..machines.min(self.world.max_machines.saturating_sub(self.fleet.count())) {
            self.outcome.bought_again += usize::from(self.ended_ms.pop().is_some());
            self.outcome.launched += 1;
            let machine = self.fleet.add(group, self.now_ms);
            let boot = self.world.boot(&mut self.random);
            self.after(boot, Event::Ready(machine));
        }
    }

    /// A spot notice: the worker takes nothing more, and hands back what would not end in time.
    fn notice(&mut self, machine: usize) {
        if !self.fleet.leave(machine) {
            return;
        }
        self.outcome.reclaimed += 1;
        let last_ms = self.now_ms + (NOTICE_SECS * 1e3) as u64;
        for run in self.fleet.drop_runs(machine, last_ms, self.world.slots, self.now_ms) {
            self.outcome.lost += (self.now_ms - run.start_ms) as f64 / 1e3;
            self.jobs.hand_back(&run);
        }
        self.after(120.0, Event::Gone(machine));
    }

    /// Whether a machine is of a group whose machines are reclaimed.
    fn is_taken(&self, machine: usize) -> bool {
        self.fleet.group(machine).is_some_and(|group| self.params.groups[group].taken_per_hour > 0.0)
    }

    fn wave(&mut self, share: f64) {
        for machine in self.fleet.numbers() {
            if self.random.chance(share) && self.is_taken(machine) {
                if self.fleet.phase(machine) == Some(Phase::Booting) {
                    self.remove(machine);
                } else {
                    self.notice(machine);
                }
            }
        }
    }

    fn remove(&mut self, machine: usize) {
        let Some(gone) = self.fleet.remove(machine, self.world.slots, self.now_ms) else { return };
        let life = (self.now_ms - gone.requested_ms) as f64 / 1e3;
        let booting = gone.first_heard_ms.map_or(life, |at_ms| (at_ms - gone.requested_ms) as f64 / 1e3);
        let billed = life.max(self.world.least_billed);
        let group = &self.params.groups[gone.group];
        self.outcome.billed += billed;
        self.outcome.billed_staying += if group.taken_per_hour > 0.0 { 0.0 } else { billed };
        self.outcome.usd += billed / 3_600.0 * group.usd_per_hour;
        self.outcome.idle.add(&gone.spent, f64::from(self.world.slots));
        self.outcome.booting += booting;
        self.outcome.unused += usize::from(!gone.spent.has_worked());
        for run in gone.runs {
            self.outcome.lost += (self.now_ms - run.start_ms) as f64 / 1e3;
            self.jobs.hand_back(&run);
        }
    }

    fn task_ended(&mut self, machine: usize, run: u64) {
        let Some(run) = self.fleet.end_run(machine, run, self.world.slots, self.now_ms) else { return };
        let secs = (self.now_ms - run.start_ms) as f64 / 1e3;
        let wake_ms = self.now_ms + (BACKOFF_SECS * 1e3) as u64;
        let full = self.full_secs();
        let ended = self.jobs.end(&run, secs, wake_ms, self.now_ms, full);
        if ended.counted {
            self.outcome.worked += secs;
        } else {
            self.outcome.lost += secs;
        }
        if ended.again {
            self.after(BACKOFF_SECS, Event::Due(run.job));
        }
    }

    /// Free slots pull waiting tasks: which of the machines with a free slot comes first is chance.
    fn start_tasks(&mut self) {
        let mut free = self.fleet.free_slots(self.world.slots);
        while !free.is_empty() {
            let Some((job, task, secs)) = self.jobs.next() else { return };
            let place = self.random.below(free.len() as u64) as usize;
            let machine = free.swap_remove(place);
            self.next_event += 1;
            let end_ms = self.now_ms + (secs * 1e3) as u64;
            let run = Run { id: self.next_event, job, task, start_ms: self.now_ms, end_ms };
            self.fleet.start(machine, run, self.world.slots);
            self.jobs.started(&run);
            self.after(secs, Event::TaskEnd { machine, run: run.id });
        }
    }

    fn finish(mut self) -> Outcome {
        for machine in self.fleet.numbers() {
            self.remove(machine);
        }
        self.jobs.report(&mut self.outcome);
        self.outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Job;

    fn job(arrival: f64, tasks: Vec<f64>) -> Job {
        Job { arrival, tasks, deadline: None, class: "c".to_owned(), is_poison: false }
    }

    #[test]
    fn what_is_billed_went_into_something() {
        let tasks = (1..200).map(|n| f64::from(n) * 7.0).collect();
        let trace = Trace::new("t", vec![job(0.0, tasks), job(900.0, vec![600.0; 30])]).unwrap();
        let mut params = Params::default();
        params.groups[0].taken_per_hour = 1.0;
        let world = World { reclaims: 1.0, least_billed: 0.0, ..World::default() };
        let outcome = run(&trace, &world, &params, Memory::default(), 7);
        let idle = outcome.idle.before_work + outcome.idle.between + outcome.idle.beside + outcome.idle.after_work;
        let sum = outcome.booting + idle + (outcome.worked + outcome.lost) / 4.0;
        assert!((sum / outcome.billed - 1.0).abs() < 1e-4, "{sum} {outcome:?}");
        assert!(outcome.lost > 0.0 && outcome.idle.beside > 0.0 && outcome.killed == 0);
    }

    #[test]
    fn machines_that_stay_lose_nothing() {
        let trace = Trace::new("t", vec![job(0.0, vec![7_200.0; 100])]).unwrap();
        let mut params = Params::default();
        params.groups[0].taken_per_hour = 0.0;
        let world = World { reclaims: 1.0, waves: vec![(3_000.0, 1.0)], ..World::default() };
        let outcome = run(&trace, &world, &params, Memory::default(), 7);
        assert_eq!((outcome.lost, outcome.reclaimed, outcome.billed_staying), (0.0, 0, outcome.billed));
    }
}

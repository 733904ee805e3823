//! A grid in virtual time, which calls the law as a manager would.

mod jobs;
mod machines;
mod show;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use grid_core::ids::ClassName;
use grid_core::random::Random;
use grid_core::scale::{Action, Alarm, Memory, Params, decide};

use crate::outcome::Outcome;
use crate::trace::Trace;
use crate::world::World;
use jobs::Jobs;
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
    refused_ms: Vec<u64>,
    silent_until_ms: u64,
    is_ticking: bool,
    ended_ms: Vec<u64>,
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
            refused_ms: Vec::new(),
            silent_until_ms: 0,
            is_ticking: false,
            ended_ms: Vec::new(),
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
                self.jobs.arrive(job);
                self.keep_ticking();
            }
            Event::Ready(machine) => {
                if self.fleet.ready(machine, self.now_ms) {
                    let life = self.world.life(&mut self.random);
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
            Action::Launch { machines, .. } => self.launch(*machines),
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

    fn launch(&mut self, machines: u32) {
        if self.world.is_dry(self.now()) {
            self.refused_ms.push(self.now_ms);
            return;
        }
        let boot_ms = (self.world.mean_boot() * 1e3) as u64;
        self.ended_ms.retain(|at_ms| at_ms + boot_ms >= self.now_ms);
        for _ in 0..machines.min(self.world.max_machines.saturating_sub(self.fleet.count())) {
            self.outcome.bought_again += usize::from(self.ended_ms.pop().is_some());
            self.outcome.launched += 1;
            let machine = self.fleet.add(self.now_ms);
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
        for run in self.fleet.drop_runs(machine, last_ms) {
            self.outcome.lost += (self.now_ms - run.start_ms) as f64 / 1e3;
            self.jobs.hand_back(&run);
        }
        self.after(120.0, Event::Gone(machine));
    }

    fn wave(&mut self, share: f64) {
        for machine in self.fleet.numbers() {
            if self.random.chance(share) {
                if self.fleet.phase(machine) == Some(Phase::Booting) {
                    self.remove(machine);
                } else {
                    self.notice(machine);
                }
            }
        }
    }

    fn remove(&mut self, machine: usize) {
        let Some(gone) = self.fleet.remove(machine) else { return };
        let life = (self.now_ms - gone.requested_ms) as f64 / 1e3;
        self.outcome.billed += life.max(self.world.least_billed);
        self.outcome.booting += gone.first_heard_ms.map_or(life, |at_ms| (at_ms - gone.requested_ms) as f64 / 1e3);
        self.outcome.unused += usize::from(!gone.has_worked);
        for run in gone.runs {
            self.outcome.lost += (self.now_ms - run.start_ms) as f64 / 1e3;
            self.jobs.hand_back(&run);
        }
    }

    fn task_ended(&mut self, machine: usize, run: u64) {
        let Some(run) = self.fleet.end_run(machine, run, self.now_ms) else { return };
        let secs = (self.now_ms - run.start_ms) as f64 / 1e3;
        let wake_ms = self.now_ms + (BACKOFF_SECS * 1e3) as u64;
        let ended = self.jobs.end(&run, secs, wake_ms, self.now_ms);
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
            self.fleet.start(machine, run);
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

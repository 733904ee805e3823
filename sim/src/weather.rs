//! What goes wrong in one run, and how often: every seed draws its own.

use std::time::Duration;

use clap::ValueEnum;
use grid_core::random::Random;
use infra::queue::QueueFaults;

use crate::tally::Event;

/// How many times longer a slow worker takes for everything that it executes.
pub const SLOWNESS: u32 = 10;

/// How often what goes wrong, 0 never and 1 always. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// A call takes long enough that its caller may give up; it takes effect at some time in between.
    pub slow: f64,
    /// A call has no effect and gets no answer.
    pub call_lost: f64,
    /// A call takes effect and gets no answer.
    pub answer_lost: f64,
    /// A call gets no answer, and takes effect much later.
    pub late: f64,
    /// A call is refused for being too fast.
    pub throttled: f64,
    /// A stream breaks off.
    pub broken_stream: f64,
    /// A delete is confirmed and has no effect.
    pub delete_undone: f64,
    /// A queue tells a depth of a while ago.
    pub old_depth: f64,
    /// A row of several that are written by one call fails by itself. Whenever this can happen, they are written in any order,
    /// and others see some of them.
    pub torn_write: f64,
    /// Whoever makes a call dies at it, before it takes effect or after.
    pub death_at_call: f64,
    /// Chances a tick, of each actor of the kind.
    pub kill_worker: f64,
    /// See there.
    pub kill_manager: f64,
    /// See there; managers too.
    pub freeze: f64,
    /// See there; managers too.
    pub cut_off: f64,
    /// See there.
    pub spot: f64,
    /// A task finds the disk full.
    pub disk_full: f64,
    /// An item runs for long.
    pub sluggish: f64,
    /// How likely a worker is ten times slower than the others: no fault, and nothing is lost by it.
    pub slow_workers: f64,
    /// How likely whoever comes is of the next release: old and new ones are at work side by side.
    pub mixed: f64,
    /// From then on, and for so long, nothing answers to anybody.
    pub outage: Option<(Duration, Duration)>,
    /// Clocks are wrong by up to so much.
    pub skew: Duration,
    /// Messages live no longer; without it as long as in SQS.
    pub retention: Option<Duration>,
    /// With so many messages in flight nothing more is received.
    pub max_in_flight: Option<usize>,
    /// What the three queues do.
    pub queues: [QueueFaults; 3],
    /// The longest that things go wrong.
    pub lasts: Duration,
}

impl Weather {
    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self::default()
    }

    /// Whether nothing goes wrong at all.
    pub fn is_calm(&self) -> bool {
        self.is_gentle() && self.queues.iter().all(|queue| queue.fail_entry == 0.0)
    }

    /// Whether nothing goes wrong, or nothing but single entries of batches, of which whoever sent them is told.
    pub fn is_gentle(&self) -> bool {
        let of_queues = |queue: &QueueFaults| queue.duplicate + queue.delay + queue.lose + queue.shuffle == 0.0;
        let calls = [self.slow, self.call_lost, self.answer_lost, self.late, self.throttled, self.broken_stream];
        let rest =
            [self.delete_undone, self.old_depth, self.torn_write, self.freeze, self.cut_off, self.spot, self.disk_full];
        let actors = [self.death_at_call, self.kill_worker, self.kill_manager, self.sluggish, self.mixed];
        let is_still = calls.iter().chain(&rest).chain(&actors).all(|rate| *rate == 0.0);
        let has_end = self.retention.is_some() || self.max_in_flight.is_some() || self.outage.is_some();
        is_still && !has_end && self.queues.iter().all(of_queues)
    }

    /// Whether reports come, once each, soon after they were sent.
    pub fn delivers_reports(&self) -> bool {
        let QueueFaults { duplicate, delay, lose, fail_entry, .. } = self.queues[2];
        let is_free = self.retention.is_none() && self.max_in_flight.is_none() && self.outage.is_none();
        is_free && duplicate + delay + lose + fail_entry == 0.0
    }

    /// The same, with rows that fail by themselves. Drawn apart, so that seeds that have been named stay what they were.
    pub fn with_torn_writes(self, random: &mut Random) -> Self {
        if self.is_gentle() || !random.chance(0.4) {
            return self;
        }
        Self { torn_write: random.unit() * random.unit() * 0.5, ..self }
    }

    /// The same, with deaths at calls, and a queue of dead tasks that fails as well. Drawn apart for the same reason.
    pub fn with_deaths_at_calls(self, random: &mut Random) -> Self {
        if self.is_gentle() || !random.chance(0.2) {
            return self;
        }
        let [tasks, dead_tasks, reports] = self.queues;
        let death_at_call = random.unit() * random.unit() * 0.02;
        let (seed, fail_entry) = (random.next_u64(), random.unit() * 0.3);
        Self { death_at_call, queues: [tasks, QueueFaults { seed, fail_entry, ..dead_tasks }, reports], ..self }
    }

    /// Of everything that can go wrong, a part, each as strong as chance has it.
    pub fn draw(random: &mut Random) -> Self {
        if random.chance(0.05) {
            return Self::calm();
        }
        if random.chance(0.05) {
            let of = |seed| QueueFaults { seed, fail_entry: 0.2, ..QueueFaults::default() };
            let queues = [of(random.next_u64()), QueueFaults::default(), of(random.next_u64())];
            return Self { queues, lasts: Duration::from_secs(60), ..Self::calm() };
        }
        // Some seeds have one kind of fault alone: where all happen together, each hides behind the others.
        let share = [0.1, 0.35, 0.7][random.below(3) as usize];
        let mut some = |most: f64| {
            let strength = random.unit() * random.unit() * most;
            if random.chance(share) { strength } else { 0.0 }
        };
        let rates = [
            some(0.3),
            some(0.2),
            some(0.2),
            some(0.2),
            some(0.3),
            some(0.3),
            some(0.5),
            some(0.5),
            some(0.03),
            some(0.03),
            some(0.02),
            some(0.02),
            some(0.01),
            some(0.1),
            some(0.2),
        ];
        let [slow, call_lost, answer_lost, late, throttled, broken_stream, delete_undone, old_depth, ..] = rates;
        let [.., kill_worker, kill_manager, freeze, cut_off, spot, disk_full, sluggish] = rates;
        let mixed = if random.chance(0.15) { random.unit() } else { 0.0 };
        let outage = random
            .chance(0.1)
            .then(|| (random.duration(Duration::from_secs(20)), random.duration(Duration::from_secs(60))));
        let skew = if random.chance(0.3) { random.duration(Duration::from_secs(60)) } else { Duration::ZERO };
        let retention =
            random.chance(0.15).then(|| Duration::from_secs(20) + random.duration(Duration::from_secs(200)));
        let max_in_flight = random.chance(0.1).then(|| 1 + random.below(4) as usize);
        let queues = [queue(random, share), QueueFaults::default(), queue(random, share)];
        let lasts = Duration::from_secs(15) + random.duration(Duration::from_secs(75));
        Self {
            slow,
            call_lost,
            answer_lost,
            late,
            throttled,
            broken_stream,
            delete_undone,
            old_depth,
            torn_write: 0.0,
            death_at_call: 0.0,
            kill_worker,
            kill_manager,
            freeze,
            cut_off,
            spot,
            disk_full,
            sluggish,
            slow_workers: 0.0,
            mixed,
            outage,
            skew,
            retention,
            max_in_flight,
            queues,
            lasts,
        }
    }
}

/// How likely a worker is slow, by a seed: drawn apart from the rest, which stays what it was.
pub fn slow_workers(seed: u64) -> f64 {
    let mut random = Random::from_seed(seed ^ 0x0510_3e55);
    if random.chance(0.25) { 0.3 + 0.4 * random.unit() } else { 0.0 }
}

/// A weather that is all but never drawn, and that some faults need: one thing goes wrong, and often, for minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Climate {
    /// Half of the workers are slow, so that others execute copies, and all of them are taken away by and by.
    Stragglers,
    /// Workers die under what they execute, and are not always heard before.
    Deaths,
    /// Of rows that are written together some are not.
    TornRows,
    /// Calls take effect long after their callers have given up.
    LateCalls,
    /// The queues refuse single messages of those that are sent together.
    Refusals,
}

impl Climate {
    /// Every climate.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What happens in it, if anything does.
    pub fn brings(self) -> &'static [Event] {
        match self {
            Self::Stragglers => {
                &[Event::SlowWorker, Event::Spot, Event::Copied, Event::CopyWon, Event::CopyLost, Event::GivenBack]
            }
            Self::Deaths => {
                &[Event::WorkerKilled, Event::CallLost, Event::AnswerLost, Event::Redelivery, Event::BlameUnknown]
            }
            Self::TornRows => &[Event::TornWrite, Event::RowRefused],
            Self::LateCalls => &[Event::LateCall, Event::RowRefused],
            Self::Refusals => &[Event::EntryFailed, Event::Resend],
        }
    }

    /// The weather of a seed.
    pub fn weather(self, seed: u64) -> Weather {
        let mut random = Random::from_seed(seed ^ 0x00c1_1a7e);
        let strength = random.unit();
        let lasts = Duration::from_secs(300);
        match self {
            Self::Stragglers => {
                let spot = 0.002 + 0.02 * strength;
                Weather { slow_workers: 0.5, spot, lasts, ..Weather::calm() }
            }
            Self::Deaths => {
                let kill_worker = 0.01 + 0.08 * strength;
                let (call_lost, answer_lost, sluggish) = (0.2, 0.2, random.unit());
                Weather { kill_worker, call_lost, answer_lost, sluggish, lasts, ..Weather::calm() }
            }
            Self::TornRows => Weather { torn_write: strength, lasts, ..Weather::calm() },
            Self::LateCalls => Weather { late: 0.02 + 0.3 * strength, lasts, ..Weather::calm() },
            Self::Refusals => {
                let of = |seed| QueueFaults { seed, fail_entry: 0.1 + 0.4 * strength, ..QueueFaults::default() };
                let queues = [of(random.next_u64()), QueueFaults::default(), of(random.next_u64())];
                Weather { queues, lasts, ..Weather::calm() }
            }
        }
    }
}

fn queue(random: &mut Random, share: f64) -> QueueFaults {
    let seed = random.next_u64();
    let mut some = |most: f64| {
        let strength = random.unit() * most;
        if random.chance(share) { strength } else { 0.0 }
    };
    QueueFaults {
        seed,
        duplicate: some(0.3),
        delay: some(0.3),
        max_delay: Duration::from_secs(20),
        lose: some(0.1),
        fail_entry: some(0.2),
        shuffle: some(0.8),
    }
}

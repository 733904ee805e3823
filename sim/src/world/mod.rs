//! One run: a grid, those who work on it, and what befalls them.

mod actors;
mod client;
mod script;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grid_core::ids::JobId;
use grid_core::limits::MAX_RECEIVES;
use grid_core::random::Random;
use infra::memory::grid;
use infra::queue::{DeadLetters, MemoryQueue, QueueSettings};
use infra::{Grid, Result};
use job_manager::ManagerConfig;
use tokio::time::{Instant, sleep};

use self::actors::Crowd;
pub use self::actors::LEASE;
use self::script::Script;
use crate::clock::SimClock;
use crate::mutant::Mutant;
use crate::net::{CallPlan, Net, Release};
use crate::reference::Left;
use crate::tally::{Event, Tally};
use crate::weather::{Climate, SLOWNESS, Weather, slow_workers};
use crate::workload::{Edition, Workload};

/// Between two looks at the world.
const TICK: Duration = Duration::from_millis(250);

/// After the last fault, something of a job is committed within this, until it has ended (L1) and the queues are empty (L2).
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest that a run lasts: whoever commits one thing after the other for ever does not come to an end, either.
const LONGEST: Duration = Duration::from_secs(4 * 3_600);

/// What is run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// What goes wrong.
    pub weather: Weather,
    /// What is computed.
    pub workload: Workload,
    /// One call that meets a fate of its own.
    pub plan: Option<CallPlan>,
    /// What is broken.
    pub mutant: Option<Mutant>,
    /// People wish things of the job.
    pub has_wishes: bool,
    /// What people submit when the first job has ended, one after the other; what they wish is added.
    pub editions: Vec<Edition>,
    /// Keep a trace for people.
    pub is_readable: bool,
}

/// Heartbeats that a leader may be behind with, of three workers that speak every two seconds.
const MOST_REPORTS: u64 = 12;

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What must never be, and was.
    pub violations: Vec<String>,
    /// What happened.
    pub tally: Tally,
    /// The same for the same seed.
    pub digest: u64,
    /// The calls that were made.
    pub calls: u64,
    /// The trace for people.
    pub trace: Vec<String>,
    /// Virtual time that went by.
    pub took: Duration,
}

impl Setup {
    /// The run of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let weather = Weather::draw(&mut random).with_torn_writes(&mut Random::from_seed(seed ^ 0x70_4e));
        let weather = weather.with_deaths_at_calls(&mut Random::from_seed(seed ^ 0xdead_ca11));
        let weather = Weather { slow_workers: slow_workers(seed), ..weather };
        let workload = Workload::draw(random.next_u64());
        Self { weather, has_wishes: true, ..Self::calm(seed, workload) }
    }

    /// The run of a seed in another climate, if there is one.
    pub fn in_climate(climate: Option<Climate>, seed: u64) -> Self {
        let setup = Self::of(seed);
        match climate {
            None => setup,
            Some(climate) => Self { weather: climate.weather(seed), ..setup },
        }
    }

    /// A run in which nothing goes wrong, and nobody wishes anything.
    pub fn calm(seed: u64, workload: Workload) -> Self {
        let (weather, editions) = (Weather::calm(), Vec::new());
        Self { seed, weather, workload, plan: None, mutant: None, has_wishes: false, editions, is_readable: false }
    }

    /// Runs it to its end, on a runtime of its own.
    pub fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime needs nothing but memory").block_on(async { World::new(self).run().await })
    }
}

/// A run under way.
struct World {
    setup: Setup,
    random: Random,
    start: Instant,
    net: Arc<Net>,
    queues: [Arc<MemoryQueue>; 3],
    workload: Arc<Workload>,
    crowd: Crowd,
    script: Script,
    calm_since: Option<Instant>,
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut random = Random::from_seed(setup.seed ^ 0x0011_d00d);
        let clock = SimClock::new();
        let (truth, queues) = back_ends(&setup.weather, &clock);
        let net = Net::new(truth, clock, random.next_u64(), &setup);
        let workload = Arc::new(setup.workload.clone());
        let crowd = Crowd::new(&net, &workload, &setup.weather, &mut random);
        let client = net.connect("client");
        let script = Script::draw(client, net.grid(client, Release::This, 0), workload.clone(), &setup, &mut random);
        Self { setup, random, start: Instant::now(), net, queues, workload, crowd, script, calm_since: None }
    }

    async fn run(mut self) -> Outcome {
        if let Err(error) = self.store_input().await {
            self.net.watch(|watch| watch.violated("setup", error.to_string()));
        }
        let mut ended = false;
        while !ended && self.net.watch(|watch| watch.violations().is_empty()) {
            sleep(TICK).await;
            self.tick();
            ended = self.script.step(&self.net, self.start.elapsed()) && self.is_quiet().await;
            self.check_patience();
        }
        self.calm();
        self.crowd.leave();
        self.net.settle().await;
        if ended {
            self.check_end().await;
        }
        self.outcome()
    }

    fn tick(&mut self) {
        if self.calm_since.is_none() {
            if self.start.elapsed() >= self.setup.weather.lasts {
                self.calm();
            } else {
                self.crowd.suffer(&self.setup.weather, &mut self.random);
            }
        }
        let doomed = self.net.doomed();
        self.script.die_if_in(&doomed);
        self.check_window();
        self.crowd.tend(&doomed, &mut self.random);
    }

    fn calm(&mut self) {
        if self.calm_since.is_none() {
            self.calm_since = Some(Instant::now());
            self.net.calm();
            self.queues.iter().for_each(|queue| queue.calm());
            self.crowd.finish_upgrade();
        }
    }

    /// Whether every message has met its end (L2). Reports keep coming, but none stays.
    async fn is_quiet(&mut self) -> bool {
        if self.calm_since.is_none() {
            return false;
        }
        let truth = self.net.truth().clone();
        for (queue, most) in [(&truth.tasks, 0), (&truth.dead_tasks, 0), (&truth.reports, MOST_REPORTS)] {
            match queue.depth().await {
                Ok(depth) if depth.waiting + depth.in_flight <= most => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    /// Where nothing goes wrong, or nothing of which nobody is told, the queue is as shallow as its leader says (E5): priorities and wishes act at once. Messages of what is
    /// committed, or of a job that is over, only wait to be taken away.
    fn check_window(&self) {
        let is_gentle = self.setup.weather.is_gentle()
            && self.setup.plan.is_none()
            && self.net.watch(|watch| watch.tally.of(Event::Poison) == 0);
        if !is_gentle {
            return;
        }
        let is_calm = self.setup.weather.is_calm();
        let most = u64::from(ManagerConfig::default().window_per_slot * self.crowd.slots());
        let share = u64::from(self.crowd.slots() / 8).max(1);
        self.net.watch(|watch| {
            let (open, copies) = (watch.open_tasks(), watch.open_copies());
            if open > most {
                watch.violated("E5", format!("{open} tasks are handed out, with a window of {most}"));
            }
            if copies > share && is_calm {
                watch.violated("E6", format!("{copies} copies are open, with a share of {share}"));
            }
        });
    }

    fn check_patience(&mut self) {
        let last = self.net.watch(|watch| watch.last_commit()).max(self.script.last_step());
        // All of it may have to be done by slow workers.
        let times = if self.setup.weather.slow_workers > 0.0 { SLOWNESS } else { 1 };
        let is_silent =
            self.calm_since.is_some_and(|since| since.max(last.unwrap_or(since)).elapsed() > PATIENCE * times);
        let is_over = is_silent || self.start.elapsed() > LONGEST * times;
        if is_over {
            let waits_for = self.script.waits_for();
            let rule = if waits_for.is_some() { "L1" } else { "L2" };
            let what = waits_for.unwrap_or_else(|| "messages are left that nobody ends".to_owned());
            self.net.watch(|watch| watch.violated(rule, what));
        }
    }

    async fn check_end(&mut self) {
        for Done { job: id, edition } in self.script.jobs() {
            let workload = self.workload.edited(edition);
            let Some(job) = self.net.watch(|watch| watch.job(&id).cloned()) else { continue };
            let faults = match Left::read(self.net.truth(), &workload, job).await {
                Err(fault) => vec![fault],
                Ok(mut left) => {
                    let why = |stage: &_, item| self.net.watch(|watch| watch.last_failure(&id, stage, item).cloned());
                    let tries = |stage: &_, item| self.net.watch(|watch| watch.tries(&id, stage, item));
                    let faults = left.faults(&workload, &why, &tries);
                    (0..left.excused).for_each(|_| self.net.note(Event::Excused));
                    faults
                }
            };
            self.net.watch(|watch| {
                faults.into_iter().for_each(|fault| watch.violated("result", fault));
                watch.check_end(&id);
                if self.setup.plan.is_none() {
                    watch.check_thrift(&self.setup.weather);
                }
            });
        }
    }

    fn outcome(self) -> Outcome {
        let (seed, calls, took) = (self.setup.seed, self.net.calls(), self.start.elapsed());
        let mishaps = self.queues.iter().map(|queue| queue.mishaps());
        self.net.watch(|watch| mishaps.for_each(|mishaps| watch.tally.note_mishaps(mishaps)));
        self.net.watch(|watch| Outcome {
            seed,
            violations: watch.violations().to_vec(),
            tally: watch.tally.clone(),
            digest: watch.trace.digest(),
            calls,
            trace: watch.trace.lines().to_vec(),
            took,
        })
    }

    async fn store_input(&self) -> Result<()> {
        for is_shifted in [false, true] {
            let workload = self.workload.edited(Edition { is_shifted, ..Edition::default() });
            for (name, text) in workload.input() {
                let key = format!("{}/{name}", workload.input_folder());
                self.net.truth().objects.put(&key, text.into_bytes().into()).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (took, calls) = (self.took.as_secs(), self.calls);
        write!(f, "seed {}: {calls} calls, {took} s, trace {:016x}", self.seed, self.digest)?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// The back ends as they are, but for what the queues do wrong by themselves.
fn back_ends(weather: &Weather, clock: &SimClock) -> (Grid, [Arc<MemoryQueue>; 3]) {
    let usual = QueueSettings::default();
    let settings = |faults| QueueSettings {
        retention: weather.retention.unwrap_or(usual.retention),
        max_in_flight: weather.max_in_flight.unwrap_or(usual.max_in_flight),
        faults,
        dead_letters: None,
    };
    let [tasks, dead, reports] = weather.queues;
    let dead = Arc::new(MemoryQueue::new(settings(dead)));
    let dead_letters = Some(DeadLetters { max_receives: MAX_RECEIVES, queue: dead.clone() });
    let tasks = Arc::new(MemoryQueue::new(QueueSettings { dead_letters, ..settings(tasks) }));
    let reports = Arc::new(MemoryQueue::new(settings(reports)));
    let (clock, queues) = (Arc::new(clock.clone()), [tasks.clone(), dead.clone(), reports.clone()]);
    (Grid { tasks, dead_tasks: dead, reports, clock, ..grid() }, queues)
}

/// Workers have no use for a folder here.
fn no_folder() -> PathBuf {
    PathBuf::new()
}

/// A job that was submitted.
#[derive(Clone, Debug)]
struct Done {
    job: JobId,
    edition: Edition,
}

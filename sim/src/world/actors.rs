//! Managers and workers: they live, suffer, die, and come again.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use grid_core::ids::WorkerId;
use grid_core::random::Random;
use grid_worker::runner::Stop;
use grid_worker::{Worker, WorkerConfig};
use job_manager::{ManagerConfig, Progress, Role, manage};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::no_folder;
use crate::net::{ActorId, Net, Release};
use crate::runner::SimRunner;
use crate::tally::Event;
use crate::weather::{SLOWNESS, Weather};
use crate::workload::Workload;

/// How long a worker's lease lasts here.
pub const LEASE: Duration = Duration::from_secs(10);

/// Everybody.
pub(super) struct Crowd {
    net: Arc<Net>,
    workload: Arc<Workload>,
    actors: Vec<Actor>,
    /// How likely a new life is one of the next release.
    next_release: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Manager,
    Worker,
}

struct Actor {
    id: ActorId,
    name: String,
    kind: Kind,
    skew_ms: i64,
    slots: u32,
    /// Items take so many times as long here.
    slowness: u32,
    lives: u64,
    life: Option<Life>,
    back_at: Instant,
}

struct Life {
    task: JoinHandle<Result<(), String>>,
    stop: Stop,
    release: Release,
    /// The machine is taken away then.
    ends_at: Option<Instant>,
}

impl Crowd {
    pub fn new(net: &Arc<Net>, workload: &Arc<Workload>, weather: &Weather, random: &mut Random) -> Self {
        let workers = 1 + random.below(3) as usize;
        let mut actors = Vec::new();
        for place in 0..2 + workers {
            let (kind, name) = match place {
                0 | 1 => (Kind::Manager, format!("manager-{place}")),
                _ => (Kind::Worker, format!("worker-{}", place - 2)),
            };
            let id = net.connect(&name);
            let skew = weather.skew.as_millis() as u64;
            let skew_ms = random.below(2 * skew + 1) as i64 - skew as i64;
            let (slots, back_at) = (1 + random.below(4) as u32, Instant::now());
            let is_slow = weather.slow_workers > 0.0 && random.chance(weather.slow_workers);
            let slowness = if is_slow { SLOWNESS } else { 1 };
            for (event, is_so) in [(Event::SlowWorker, is_slow && kind == Kind::Worker), (Event::Skewed, skew_ms != 0)]
            {
                if is_so {
                    net.note(event);
                }
            }
            actors.push(Actor { id, name, kind, skew_ms, slots, slowness, lives: 0, life: None, back_at });
        }
        Self { net: net.clone(), workload: workload.clone(), actors, next_release: weather.mixed }
    }

    /// What befalls everybody in one tick.
    pub fn suffer(&mut self, weather: &Weather, random: &mut Random) {
        let now = Instant::now();
        for actor in &mut self.actors {
            let (kill, killed) = match actor.kind {
                Kind::Manager => (weather.kill_manager, Event::ManagerKilled),
                Kind::Worker => (weather.kill_worker, Event::WorkerKilled),
            };
            let mut happens = |event, chance| {
                let happens = random.chance(chance);
                if happens {
                    self.net.watch(|watch| watch.happened(event, actor.id));
                }
                happens
            };
            let (dies, freezes) = (happens(killed, kill), happens(Event::Frozen, weather.freeze));
            let is_cut = happens(Event::CutOff, weather.cut_off);
            let is_taken = actor.kind == Kind::Worker && happens(Event::Spot, weather.spot);
            let mut some = |most: u64| Duration::from_millis(500 + random.below(most));
            if freezes {
                self.net.freeze(actor.id, now + some(40_000));
            }
            if is_cut {
                self.net.cut_off(actor.id, now + some(40_000));
            }
            if is_taken && let Some(life) = &mut actor.life {
                life.stop.drain.cancel();
                life.ends_at = Some(now + some(20_000));
                self.net.watch(|watch| watch.told_to_go(actor.id));
            }
            if dies {
                actor.is_killed(&self.net, now + some(15_000));
            }
        }
    }

    /// Slots of all workers.
    pub fn slots(&self) -> u32 {
        self.actors.iter().filter(|actor| actor.kind == Kind::Worker).map(|actor| actor.slots).sum()
    }

    /// Where two releases are at work, the upgrade comes to its end: whoever is of the old one is told to go.
    pub fn finish_upgrade(&mut self) {
        if self.next_release == 0.0 {
            return;
        }
        self.next_release = 1.0;
        for life in self.actors.iter().filter_map(|actor| actor.life.as_ref()) {
            if life.release == Release::This {
                life.stop.drain.cancel();
            }
        }
    }

    /// Lets the doomed die, and the dead come again.
    pub fn tend(&mut self, doomed: &[ActorId], random: &mut Random) {
        let now = Instant::now();
        for actor in &mut self.actors {
            let is_over = actor.life.as_ref().and_then(|life| life.ends_at).is_some_and(|end| now >= end);
            if is_over || doomed.contains(&actor.id) {
                actor.is_killed(&self.net, now + Duration::from_millis(500 + random.below(2_000)));
            }
            if let Some(life) = &mut actor.life
                && life.task.is_finished()
            {
                let ended = (&mut life.task).now_or_never();
                actor.note_end(&self.net, ended);
                actor.die(now + Duration::from_millis(500 + random.below(2_000)));
            }
            if actor.life.is_none() && now >= actor.back_at {
                self.net.reconnect(actor.id);
                let release = if random.chance(self.next_release) { Release::Next } else { Release::This };
                actor.begin(&self.net, &self.workload, release, random);
            }
        }
    }

    /// All die, and nobody comes again.
    pub fn leave(&mut self) {
        for actor in &mut self.actors {
            actor.die(Instant::now());
        }
    }
}

impl Actor {
    /// As by `kill -9`.
    fn is_killed(&mut self, net: &Net, back_at: Instant) {
        net.watch(|watch| watch.dies(self.id));
        self.die(back_at);
    }

    fn die(&mut self, back_at: Instant) {
        if let Some(life) = self.life.take() {
            life.task.abort();
            self.back_at = back_at;
        }
    }

    fn begin(&mut self, net: &Arc<Net>, workload: &Arc<Workload>, release: Release, random: &mut Random) {
        self.lives += 1;
        net.watch(|watch| watch.begins(self.id));
        let (grid, seed, stop) = (net.grid(self.id, release, self.skew_ms), random.next_u64(), Stop::default());
        let task = match self.kind {
            Kind::Manager => {
                let config = ManagerConfig { name: self.name.clone(), seed, ..ManagerConfig::default() };
                let progress = watch::Sender::new(Progress::default());
                let managing = manage(grid, config, progress, watch::Sender::new(Role::default()), stop.drain.clone());
                tokio::spawn(async move { managing.await.map_err(|error| format!("{error:?}")) })
            }
            Kind::Worker => {
                let config = WorkerConfig {
                    worker: WorkerId::new(format!("{}-{}", self.name, self.lives)),
                    pool: "default".into(),
                    slots: self.slots,
                    lease: LEASE,
                    poll: Duration::from_secs(4),
                    rest: Duration::ZERO,
                    heartbeat: Duration::from_secs(2),
                    patience: Duration::from_secs(120),
                    scratch: no_folder(),
                    seed,
                };
                let (name, clock) = (config.worker.clone(), grid.clock.clone());
                let runner = SimRunner {
                    workload: workload.clone(),
                    net: net.clone(),
                    actor: self.id,
                    slowness: self.slowness,
                    name,
                    clock,
                };
                let working = Worker::new(grid.for_worker(), Arc::new(runner), config).run(stop.clone());
                tokio::spawn(async move { working.await.map_err(|error| format!("{error:?}")) })
            }
        };
        self.life = Some(Life { task, stop, release, ends_at: None });
    }

    /// Nobody ends without having been told, but a worker whose disk is full.
    fn note_end(&self, net: &Net, ended: Option<Result<Result<(), String>, tokio::task::JoinError>>) {
        let is_told = self.life.as_ref().is_some_and(|life| life.stop.drain.is_cancelled());
        let why = match ended {
            Some(Ok(Ok(()))) if is_told => return net.watch(|watch| watch.has_gone(self.id)),
            Some(Ok(Err(error))) if self.kind == Kind::Worker && error.contains("Full") => return,
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.to_string(),
            Some(Ok(Ok(()))) | None => "it was not told to".to_owned(),
        };
        net.watch(|watch| watch.violated("L1", format!("{} ended: {why}", self.name)));
    }
}

//! What lies between an actor and the back ends: calls that are slow, lost, late, or answered to nobody.
//!
//! A call is a thing of its own: it takes effect, or not, whatever has become of its caller. That is what makes zombies.

mod broken;
mod notices;
mod objects;
mod queues;
mod release;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grid_core::random::Random;
use infra::grid::Sources;
use infra::{Error, ErrorKind, Grid, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::TaskTracker;

pub use self::queues::QueueName;
pub use self::release::Release;
use crate::clock::SimClock;
use crate::mutant::Mutant;
use crate::tally::Event;
use crate::watch::Watch;
use crate::weather::Weather;
use crate::world::Setup;

/// How long a caller waits for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// The longest that a slow call takes, each way.
const SLOWEST: Duration = Duration::from_secs(20);

/// The latest that a late call takes effect.
const LATEST: Duration = Duration::from_secs(45);

/// How long a call takes on a good day, each way.
const USUAL: Duration = Duration::from_millis(12);

/// The back ends, and all ways to them.
pub struct Net {
    truth: Grid,
    clock: SimClock,
    start: Instant,
    shared: Mutex<Shared>,
    under_way: TaskTracker,
    plan: Option<CallPlan>,
    mutant: Option<Mutant>,
}

/// What is done to one call, counted from the beginning of the run; for runs that try every call in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPlan {
    /// Which call, from 0.
    pub call: u64,
    /// What becomes of it.
    pub what: Planned,
}

/// What becomes of a call that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It has no effect and gets no answer.
    FailBefore,
    /// It takes effect and gets no answer.
    FailAfter,
    /// Its caller dies before it takes effect.
    KillBefore,
    /// Its caller dies when it has taken effect.
    KillAfter,
}

struct Shared {
    random: Random,
    weather: Weather,
    watch: Watch,
    lines: Vec<Line>,
    calls: u64,
    /// Actors that have met their death and do not know it yet.
    doomed: Vec<ActorId>,
}

/// Names an actor for as long as the run lasts; a new life of it has the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActorId(pub usize);

/// How an actor is connected.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    frozen_until: Option<Instant>,
    cut_until: Option<Instant>,
}

/// One actor's way to the back ends, in one of its lives.
#[derive(Clone)]
pub struct Link {
    net: Arc<Net>,
    actor: ActorId,
    release: Release,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Plain { before: Duration },
    Slow { request: Duration, response: Duration },
    CallLost,
    AnswerLost,
    Late(Duration),
    Throttled,
    CutOff { is_applied: bool },
    Death { is_applied: bool },
}

impl Net {
    /// Puts the weather between actors and back ends.
    pub fn new(truth: Grid, clock: SimClock, seed: u64, setup: &Setup) -> Arc<Self> {
        let shared = Shared {
            random: Random::from_seed(seed),
            weather: setup.weather.clone(),
            watch: Watch::new(setup.is_readable),
            lines: Vec::new(),
            calls: 0,
            doomed: Vec::new(),
        };
        let (shared, under_way, plan, mutant) = (Mutex::new(shared), TaskTracker::new(), setup.plan, setup.mutant);
        Arc::new(Self { truth, clock, start: Instant::now(), shared, under_way, plan, mutant })
    }

    /// Connects a new actor.
    pub fn connect(&self, name: &str) -> ActorId {
        let mut shared = self.shared();
        let actor = ActorId(shared.lines.len());
        shared.lines.push(Line::default());
        shared.watch.name(actor, name);
        actor
    }

    /// The back ends as an actor of a release reaches them; its clock is wrong by `skew_ms`.
    pub fn grid(self: &Arc<Self>, actor: ActorId, release: Release, skew_ms: i64) -> Grid {
        let link = Link { net: self.clone(), actor, release };
        let objects = Arc::new(link.clone());
        Grid {
            sources: Sources::default().with("grid", objects.clone()),
            objects,
            tasks: Arc::new(link.queue(QueueName::Tasks)),
            dead_tasks: Arc::new(link.queue(QueueName::DeadTasks)),
            reports: Arc::new(link.queue(QueueName::Reports)),
            notifier: Arc::new(link.clone()),
            state: Arc::new(link),
            clock: Arc::new(self.clock.skewed(skew_ms)),
            requests: self.truth.requests.clone(),
        }
    }

    /// The back ends themselves.
    pub fn truth(&self) -> &Grid {
        &self.truth
    }

    /// Looks at what was seen.
    pub fn watch<T>(&self, look: impl FnOnce(&mut Watch) -> T) -> T {
        look(&mut self.shared().watch)
    }

    /// Notes that something happened.
    pub fn note(&self, event: Event) {
        self.watch(|watch| watch.tally.note(event));
    }

    /// Whether something happens that does with this probability, drawn from the seed.
    pub fn chance(&self, probability: impl FnOnce(&Weather) -> f64) -> bool {
        let mut shared = self.shared();
        let probability = probability(&shared.weather);
        shared.random.chance(probability)
    }

    /// What goes wrong now.
    fn weather<T>(&self, look: impl FnOnce(&Weather) -> T) -> T {
        look(&self.shared().weather)
    }

    /// A number from the seed.
    pub fn draw(&self) -> u64 {
        self.shared().random.next_u64()
    }

    /// Nothing goes wrong any more; what was under way still is.
    pub fn calm(&self) {
        let mut shared = self.shared();
        shared.weather = Weather::calm();
        for line in &mut shared.lines {
            (line.frozen_until, line.cut_until) = (None, None);
        }
    }

    /// Waits until nothing is under way any more.
    pub async fn settle(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.under_way.reopen();
    }

    /// Lets an actor stand still.
    pub fn freeze(&self, actor: ActorId, until: Instant) {
        let mut shared = self.shared();
        shared.lines[actor.0].frozen_until = Some(until);
        shared.watch.troubled_until(actor, until);
    }

    /// Lets no call of an actor be answered.
    pub fn cut_off(&self, actor: ActorId, until: Instant) {
        self.shared().lines[actor.0].cut_until = Some(until);
    }

    /// A new life of an actor is neither frozen nor cut off.
    pub fn reconnect(&self, actor: ActorId) {
        let mut shared = self.shared();
        let line = &mut shared.lines[actor.0];
        (line.frozen_until, line.cut_until) = (None, None);
    }

    /// Lets an actor die at the next look around.
    pub fn doom(&self, actor: ActorId) {
        self.shared().doomed.push(actor);
    }

    /// The actors that have met their death since this was last asked.
    pub fn doomed(&self) -> Vec<ActorId> {
        std::mem::take(&mut self.shared().doomed)
    }

    /// Calls that were made.
    pub fn calls(&self) -> u64 {
        self.shared().calls
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, actor: ActorId) -> Fate {
        let fate = self.drawn_fate(actor);
        if !matches!(fate, Fate::Plain { .. }) {
            // Before that it has been answered, or given up.
            self.watch(|watch| watch.troubled_until(actor, Instant::now() + LATEST));
        }
        fate
    }

    fn drawn_fate(&self, actor: ActorId) -> Fate {
        let mut shared = self.shared();
        let call = shared.calls;
        shared.calls += 1;
        shared.watch.tally.note(Event::Call);
        if let Some(plan) = self.plan.filter(|plan| plan.call == call) {
            return planned(plan.what);
        }
        let mut is_cut = shared.lines[actor.0].cut_until.is_some_and(|until| Instant::now() < until);
        let is_out = |(from, lasts): (Duration, Duration)| (from..from + lasts).contains(&self.start.elapsed());
        if shared.weather.outage.is_some_and(is_out) {
            is_cut = true;
            shared.watch.tally.note(Event::Outage);
        }
        let Shared { random, weather, watch, .. } = &mut *shared;
        if is_cut {
            return Fate::CutOff { is_applied: random.chance(0.3) };
        }
        if weather.death_at_call > 0.0 && random.chance(weather.death_at_call) {
            watch.tally.note(Event::DeathAtCall);
            return Fate::Death { is_applied: random.chance(0.5) };
        }
        let fate = random.unit();
        let mut sum = 0.0;
        let mut meets = |rate: f64| {
            sum += rate * 0.3;
            fate < sum
        };
        if meets(weather.call_lost) {
            Fate::CallLost
        } else if meets(weather.answer_lost) {
            Fate::AnswerLost
        } else if meets(weather.late) {
            Fate::Late(random.duration(LATEST))
        } else if meets(weather.throttled) {
            Fate::Throttled
        } else if meets(weather.slow) {
            Fate::Slow { request: random.duration(SLOWEST), response: random.duration(SLOWEST) }
        } else {
            Fate::Plain { before: random.duration(USUAL) }
        }
    }

    /// Waits while an actor stands still.
    async fn thawed(&self, actor: ActorId) {
        loop {
            let frozen = self.shared().lines[actor.0].frozen_until.filter(|until| Instant::now() < *until);
            match frozen {
                None => return,
                Some(until) => sleep_until(until).await,
            }
        }
    }
}

fn planned(what: Planned) -> Fate {
    match what {
        Planned::FailBefore => Fate::CallLost,
        Planned::FailAfter => Fate::AnswerLost,
        Planned::KillBefore => Fate::Death { is_applied: false },
        Planned::KillAfter => Fate::Death { is_applied: true },
    }
}

impl Link {
    /// A call that takes effect with `apply`, which also tells the watch what it did.
    async fn call<T: Send + 'static>(&self, apply: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.net.thawed(self.actor).await;
        let answer = self.meet(apply).await;
        self.net.thawed(self.actor).await;
        answer
    }

    async fn meet<T: Send + 'static>(&self, apply: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let net = &self.net;
        match net.fate(self.actor) {
            Fate::Plain { before } => {
                sleep(before).await;
                apply.await
            }
            Fate::Slow { request, response } => self.ask(request, apply, response).await,
            Fate::Throttled => {
                net.note(Event::Throttled);
                sleep(USUAL).await;
                Err(Error::new(ErrorKind::Throttled, "too fast (on purpose)"))
            }
            Fate::CallLost | Fate::CutOff { is_applied: false } => {
                net.note(Event::CallLost);
                sleep(CALL_TIMEOUT / 4).await;
                Err(no_answer())
            }
            Fate::AnswerLost | Fate::CutOff { is_applied: true } => {
                net.note(Event::AnswerLost);
                self.send_off(USUAL, apply);
                sleep(CALL_TIMEOUT / 4).await;
                Err(no_answer())
            }
            Fate::Late(by) => {
                net.note(Event::LateCall);
                self.send_off(by, apply);
                sleep(USUAL).await;
                Err(no_answer())
            }
            Fate::Death { is_applied } => {
                if is_applied {
                    self.send_off(Duration::ZERO, apply);
                }
                net.doom(self.actor);
                std::future::pending().await
            }
        }
    }

    /// The call goes its way, and its caller waits for as long as callers do.
    async fn ask<T: Send + 'static>(
        &self,
        request: Duration,
        apply: impl Future<Output = Result<T>> + Send + 'static,
        response: Duration,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let net = self.net.clone();
        self.net.under_way.spawn(async move {
            sleep(request).await;
            if answer.is_closed() {
                net.note(Event::LateCall);
            }
            let done = apply.await;
            sleep(response).await;
            drop(answer.send(done));
        });
        match timeout(CALL_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(no_answer()),
        }
    }

    /// The call goes its way, and nobody waits for it.
    fn send_off<T: Send + 'static>(&self, after: Duration, apply: impl Future<Output = Result<T>> + Send + 'static) {
        self.net.under_way.spawn(async move {
            sleep(after).await;
            drop(apply.await);
        });
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "no answer (on purpose)")
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("actor", &self.actor).finish_non_exhaustive()
    }
}

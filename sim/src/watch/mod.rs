//! Sees every call where it takes effect, and knows what must never be. It has a memory of its own, and asks nobody.

mod copies;
mod leases;
mod manners;
mod messages;
mod objects;
mod receipts;
mod redrives;
mod rows;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use grid_core::ids::{AttemptKey, ItemIndex, JobId, StageName, WorkerId};
use grid_core::job::Job;
use grid_core::reason::Reason;
use grid_core::submission::Submission;
use grid_core::wire::{ItemFailure, Manifest};
use infra::queue::{Depth, Receipt};
use infra::state::RowKey;
use infra::{Error, ErrorKind};
use tokio::time::Instant;

pub use self::trace::Trace;
use crate::net::{ActorId, QueueName};
use crate::tally::{Event, Tally};
use crate::weather::Weather;

/// What was seen so far.
#[derive(Debug)]
pub struct Watch {
    /// What happened.
    pub trace: Trace,
    /// How often what happened.
    pub tally: Tally,
    violations: Vec<String>,
    last_commit: Option<Instant>,
    names: Vec<String>,
    objects: BTreeMap<String, Bytes>,
    /// Data and logs that manifests name.
    named: BTreeMap<String, String>,
    rows: BTreeMap<RowKey, Seen>,
    jobs: BTreeMap<JobId, SeenJob>,
    submissions: BTreeMap<String, BTreeSet<JobId>>,
    /// What was received.
    receipts: BTreeMap<(QueueName, Receipt), (String, Instant)>,
    depths: BTreeMap<QueueName, Depth>,
    sent: BTreeSet<Sent>,
    /// Those that were not settled when that was last looked at.
    open: BTreeSet<Sent>,
    /// Copies that were sent.
    copies: BTreeMap<Sent, copies::Copies>,
    /// Executions of an attempt that began.
    executions: BTreeMap<Sent, u64>,
    /// What is known of attempts by their messages.
    mail: BTreeMap<Attempt, manners::Mail>,
    /// Since when nothing went wrong with the calls of an actor.
    well_since: BTreeMap<ActorId, Instant>,
    /// Events that others were told of, by their ids.
    told: BTreeSet<String>,
    /// One of which others were told twice, by leaders whose rows were not refused.
    told_twice: Option<String>,
    /// Jobs of which a row was refused: whoever wrote it reads the job again, and tells again what it did not write.
    refused: BTreeSet<JobId>,
    /// An item that was tried again sooner than its stage says, by clocks that may be wrong.
    too_soon: Option<String>,
    /// An attempt that was given up on after fewer deaths than it may cost, unless words of the living were lost.
    too_few_deaths: Option<String>,
    /// When actors died last.
    died_at: BTreeMap<ActorId, Instant>,
    /// How many heartbeats of a worker were refused since one was not.
    refused_heartbeats: BTreeMap<ActorId, u32>,
    /// A worker lived of which nothing could be heard.
    has_fallen_silent: bool,
    /// Executions under way: worker, attempt, and when they began by the worker's clock.
    running: BTreeSet<Execution>,
    /// Executions that ever began, and of which copy.
    begun: BTreeMap<Execution, u32>,
    /// Leases of tasks that workers have.
    leases: BTreeMap<(ActorId, Receipt), leases::Lease>,
    /// When the lives of actors began.
    begun_at: BTreeMap<ActorId, Instant>,
    /// Workers that were told to go.
    going: BTreeSet<ActorId>,
    /// Workers that an item killed when it was alone in its task.
    kills: BTreeMap<(JobId, StageName, ItemIndex), u32>,
    /// Who has reported which attempts.
    reported: BTreeSet<(ActorId, Attempt)>,
    /// Jobs of tenants.
    of_tenants: BTreeMap<String, BTreeSet<String>>,
}

/// An attempt of a task, by its names.
type Attempt = (JobId, StageName, AttemptKey);

/// An attempt in a round: one whose message a stopped round has taken away is sent again in the next, and rightly so.
type Sent = (Attempt, u32);

/// An execution: its worker, the attempt, and when it began by the worker's clock.
type Execution = (WorkerId, Attempt, u64);

/// Whether a stage fails in a round.
#[derive(Clone, Copy, Debug)]
struct Fails {
    surely: bool,
    perhaps: bool,
}

/// Why nothing of a job may be handed out.
#[derive(Clone, Copy, Debug)]
struct Hold {
    /// Since the leader was told of it, or before that since it is in the rows.
    since: Instant,
    /// Who has written so.
    by: ActorId,
    /// Whether they have told the leader.
    is_told: bool,
}

/// A row as it is now.
#[derive(Clone, Debug)]
struct Seen {
    version: u64,
    epoch: u64,
    body: Vec<u8>,
}

/// A job, by what was written of it.
#[derive(Debug)]
struct SeenJob {
    submission: Arc<Submission>,
    /// As its rows had it after the last write; none before the first.
    job: Option<Job>,
    stages: BTreeMap<StageName, SeenStage>,
    /// Set while nothing of it may be handed out.
    held: Option<Hold>,
    /// Since when its rows say that the round runs which runs now.
    round_since: Instant,
    /// When a leader took it up for that round: what it had heard before, it looks up.
    taken_up: Instant,
    /// The round that ran when its entry in the list of active jobs was written last.
    listed: Option<u32>,
    /// Since when workers can know of its rounds that they were stopped.
    stopped: BTreeMap<u32, Instant>,
    /// The items that were given up on when it was wished last that such items run again.
    dead_at_wish: BTreeMap<StageName, Vec<ItemIndex>>,
    /// How many items of every stage had been given up on when the round that runs began, and do not run again in it: those of the wish
    /// that it runs, and all when that was fulfilled. What ended in between may count for either round.
    left_dead: BTreeMap<StageName, RangeInclusive<usize>>,
    /// The parameters with which items run again that were given up on.
    revived: BTreeMap<(StageName, ItemIndex), BTreeMap<String, String>>,
}

/// A stage, by its manifests and what its rows once said.
#[derive(Debug, Default)]
struct SeenStage {
    manifests: BTreeMap<AttemptKey, Manifest>,
    /// Which attempt committed an item: there is never another.
    committed: BTreeMap<ItemIndex, AttemptKey>,
    failed: BTreeSet<ItemIndex>,
    /// How often an item failed that was to blame for it alone, by its own doing.
    own_failures: BTreeMap<ItemIndex, u32>,
    /// How many of these there were when it was given another set of attempts.
    failures_before: BTreeMap<ItemIndex, u32>,
    /// The most of them in one of the sets before.
    most_failures: BTreeMap<ItemIndex, u32>,
    /// How often an item wanted more memory, in this set of attempts.
    hungers: BTreeMap<ItemIndex, i32>,
    /// When an item failed by its own doing last, in this set of attempts.
    failed_at: BTreeMap<ItemIndex, Instant>,
    /// Attempts that were once recorded as out, since when and by whom.
    recorded: BTreeMap<AttemptKey, (Instant, ActorId)>,
}

impl SeenStage {
    /// An item is given another set of attempts.
    fn begin_anew(&mut self, item: ItemIndex) {
        let of_last_set = self.failures_of_last_set(item);
        let most = self.most_failures.entry(item).or_default();
        *most = of_last_set.max(*most);
        self.failures_before.insert(item, self.own_failures.get(&item).copied().unwrap_or(0));
        self.hungers.remove(&item);
        self.failed_at.remove(&item);
    }

    /// Whether an item failed by its own doing in one of its attempts, of this set.
    fn has_failed_in(&self, item: ItemIndex, attempt: u32) -> bool {
        let is_it =
            |failed: &ItemFailure| (failed.first, failed.count, failed.failure.reason) == (item, 1, Reason::Exit);
        let of_attempt = self.manifests.iter().filter(|(key, _)| key.attempt == attempt);
        self.failures_of_last_set(item) > 0 && of_attempt.flat_map(|(_, manifest)| &manifest.failed).any(is_it)
    }

    fn failures_of_last_set(&self, item: ItemIndex) -> u32 {
        let of = |failures: &BTreeMap<ItemIndex, u32>| failures.get(&item).copied().unwrap_or(0);
        of(&self.own_failures).saturating_sub(of(&self.failures_before))
    }
}

impl SeenJob {
    /// Whether more items of a stage were given up on than are allowed, some of them in the round that runs: surely, or as it may be
    /// counted.
    fn fails_in_round(&self, now: &Job, stage: &StageName) -> Fails {
        let left = self.left_dead.get(stage).cloned().unwrap_or(0..=0);
        let is_more_than = |left: usize| now.is_failed(stage) && now.dead(stage).len() > left;
        Fails { surely: is_more_than(*left.end()), perhaps: is_more_than(*left.start()) }
    }

    /// How often failed items of it were run again.
    fn round(&self) -> u32 {
        self.job.as_ref().map_or(0, Job::round)
    }
}

impl Watch {
    /// One that has seen nothing; `readable` keeps a trace for people.
    pub fn new(readable: bool) -> Self {
        Self {
            trace: Trace::new(readable),
            tally: Tally::default(),
            violations: Vec::new(),
            last_commit: None,
            names: Vec::new(),
            objects: BTreeMap::new(),
            named: BTreeMap::new(),
            rows: BTreeMap::new(),
            jobs: BTreeMap::new(),
            submissions: BTreeMap::new(),
            receipts: BTreeMap::new(),
            depths: BTreeMap::new(),
            sent: BTreeSet::new(),
            open: BTreeSet::new(),
            copies: BTreeMap::new(),
            executions: BTreeMap::new(),
            mail: BTreeMap::new(),
            well_since: BTreeMap::new(),
            told: BTreeSet::new(),
            told_twice: None,
            refused: BTreeSet::new(),
            too_soon: None,
            too_few_deaths: None,
            died_at: BTreeMap::new(),
            refused_heartbeats: BTreeMap::new(),
            has_fallen_silent: false,
            running: BTreeSet::new(),
            begun: BTreeMap::new(),
            leases: BTreeMap::new(),
            begun_at: BTreeMap::new(),
            going: BTreeSet::new(),
            kills: BTreeMap::new(),
            reported: BTreeSet::new(),
            of_tenants: BTreeMap::new(),
        }
    }

    /// What was seen that must never be, the first first.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// When a manifest was written last.
    pub fn last_commit(&self) -> Option<Instant> {
        self.last_commit
    }

    /// The name of an actor in traces.
    pub fn name(&mut self, actor: ActorId, name: &str) {
        self.names.resize(self.names.len().max(actor.0 + 1), String::new());
        name.clone_into(&mut self.names[actor.0]);
    }

    /// Something must never be, by the invariant `rule`.
    pub fn violated(&mut self, rule: &str, what: impl Into<String>) {
        let what = format!("{rule}: {}", what.into());
        self.trace.note("watch", "VIOLATION", &what, b"", &"");
        self.violations.push(what);
    }

    /// Something that happened beside the calls.
    pub fn happened(&mut self, event: Event, actor: ActorId) {
        self.tally.note(event);
        self.note(actor, "!", &format!("{event:?}"), b"", &"");
    }

    /// Good repair hides faults: where nothing went wrong, nothing is done twice (E1), and where nothing was lost without
    /// its sender being told, and nobody fell silent, nothing is sent again for want of news (E2).
    pub fn check_thrift(&mut self, weather: &Weather) {
        if weather.skew.is_zero()
            && let Some(what) = self.too_soon.take()
        {
            self.violated("S19", what);
        }
        if weather.delivers_reports()
            && let Some(what) = self.too_few_deaths.take()
        {
            self.violated("S15", what);
        }
        if self.tally.of(Event::Poison) > 0 || !weather.is_gentle() {
            return;
        }
        if let Some(id) = self.told_twice.take() {
            self.violated("E1", format!("others were told of {id} twice, and nothing went wrong"));
        }
        let is_too_often = |(sent, times): &(&Sent, &u64)| **times > self.permitted(sent);
        if let Some((((_, stage, key), _), times)) = self.executions.iter().find(is_too_often)
            && weather.is_calm()
        {
            let what = format!("{stage} {key} was executed {times} times, and nothing went wrong");
            self.violated("E1", what);
        }
        if let Some((stage, key)) = self.taken_and_executed() {
            self.violated("E1", format!("{stage} {key} was executed, and was taken from an earlier job"));
        }
        let is_sent_again = self.tally.of(Event::SentAgain) > 0 && !self.has_fallen_silent;
        if is_sent_again || (weather.is_calm() && self.tally.of(Event::Resend) > 0) {
            self.violated("E2", "a task was sent again, and nothing was lost");
        }
        if weather.is_calm() && self.tally.of(Event::Failover) > 0 {
            self.violated("E2", "the lead was taken from a manager that kept it");
        }
        self.check_requests(weather);
    }

    /// An attempt that was executed, though an earlier job had what it makes.
    fn taken_and_executed(&self) -> Option<(StageName, AttemptKey)> {
        let is_taken = |(job, stage, key): &Attempt| {
            let manifest = self.jobs.get(job).and_then(|seen| seen.stages.get(stage)?.manifests.get(key));
            manifest.is_some_and(|manifest| manifest.reused_from.is_some())
        };
        let mut executed = self.executions.keys().map(|(attempt, _)| attempt);
        executed.find(|attempt| is_taken(attempt)).map(|(_, stage, key)| (stage.clone(), *key))
    }

    /// What a task costs at most (E3) of writes of objects: its outputs, its manifest and its list of inputs, beside what a stage costs.
    fn check_requests(&mut self, weather: &Weather) {
        let stages: usize = self.jobs.values().map(|seen| seen.submission.pipeline.stages.len()).sum();
        let (attempts, of_stages) = (
            self.tally.of(Event::Attempt) + self.tally.of(Event::Copied) + self.tally.of(Event::Reuse),
            6 * (stages as u64 + 2),
        );
        let writes = self.tally.of(Event::ObjectWrite);
        if weather.is_calm() && writes > 3 * attempts + of_stages {
            self.violated("E3", format!("{writes} objects were written for {attempts} attempts of {stages} stages"));
        }
    }

    /// A read took effect.
    pub fn saw_read(&mut self, actor: ActorId, what: &str, key: &str, done: Result<(), &Error>) {
        self.note(actor, what, key, b"", &ended(&done));
    }

    fn note(&mut self, actor: ActorId, what: &str, to: &str, body: &[u8], end: &dyn std::fmt::Display) {
        let Self { trace, names, .. } = self;
        let name = names.get(actor.0).map_or("somebody", String::as_str);
        trace.note(name, what, to, body, end);
    }
}

/// A word for how a call ended.
fn ended<T, E: std::borrow::Borrow<Error>>(done: &Result<T, E>) -> String {
    match done {
        Ok(_) => "ok".to_owned(),
        Err(error) => kind_of(error.borrow()).to_string(),
    }
}

fn kind_of(error: &Error) -> ErrorKind {
    error.kind
}
